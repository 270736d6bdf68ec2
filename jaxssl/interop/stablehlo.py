"""An encoder as a computation of its own, StableHLO with the weights in it, for any batch."""

import importlib.util

import jax
import numpy as np
from jax import export

from jaxssl import checkpoints, inputs
from jaxssl.interop import outgoing

FILE = "encoder.stablehlo"
USAGE = f'jax.export.deserialize(open("{{out}}/{FILE}", "rb").read()).call(images)'
PLATFORMS = ("cpu", "cuda", "tpu")


def check(encoder: checkpoints.RestoredEncoder) -> tuple[int, int]:
    """Side and channels of the images that an encoder is fed.

    Raises:
        ValueError: it is fed something else.
        ImportError: no flatbuffers, without which JAX writes no such file.
    """
    side = inputs.image_side(encoder.inputs)
    if side is None:
        raise ValueError(
            "export: the encoder must be fed one square image; got one that is fed "
            f"{', '.join(name for name, *_ in encoder.inputs)}."
        )
    if importlib.util.find_spec("flatbuffers") is None:
        raise ImportError(
            "export: --to stablehlo needs the package flatbuffers, with which JAX writes it; got "
            'none. pip install "jaxssl[stablehlo]", or pip install flatbuffers.'
        )
    return side


def features(encoder: checkpoints.RestoredEncoder, images: np.ndarray) -> dict[str, np.ndarray]:
    """What the computation must give: the encoder's own features."""
    return outgoing.run(encoder.module, encoder.variables, images)


def serialise(encoder: checkpoints.RestoredEncoder) -> bytes:
    """The computation: float32 images [B, S, S, C] in [0, 1] to "pooled" and "tokens", any B."""
    size, channels = inputs.square_side(encoder.inputs)

    def features(images: jax.Array) -> dict[str, jax.Array]:
        # Behind the barrier compilers do not compute with the weights beforehand, for minutes.
        variables = jax.lax.optimization_barrier(encoder.variables)
        made = encoder.module.apply(variables, images, train=False)
        return {"pooled": made.pooled, "tokens": made.tokens}

    shape = (*export.symbolic_shape("batch"), size, size, channels)
    images = jax.ShapeDtypeStruct(shape, np.float32)
    return bytes(export.export(jax.jit(features), platforms=PLATFORMS)(images).serialize())


def call(graph: bytes, images: np.ndarray) -> dict[str, np.ndarray]:
    """Features by a serialised computation."""
    return jax.tree.map(np.asarray, jax.jit(export.deserialize(bytearray(graph)).call)(images))
