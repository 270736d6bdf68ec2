"""The network that a pretrained encoder is compared with: the same one, with random weights."""

import dataclasses
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from jaxssl import checkpoints, data, inputs
from jaxssl.types import Array, PyTree

RULE = "residual branches open; batch statistics of the training images, no label read"
MIN_BATCHES = 50  # after which a running average keeps 0.9^50 = 0.5 % of its initial value


def draw(
    encoder: checkpoints.RestoredEncoder, seed: int, batches: Iterable[Mapping[str, np.ndarray]]
) -> checkpoints.RestoredEncoder:
    """The same network with random weights, given what training gives for nothing.

    An encoder as it is initialised is no fair opponent. With the last scale of each residual block
    at zero it is its stem and its shortcuts alone, and with batch statistics of zero and one its
    activations are scaled by chance. So residual branches start open (``zero_init_residual``
    False), and batch statistics are the running averages of the network in training mode over
    ``batches``. No weight is trained and no label read.

    Args:
        encoder: gives the network and what it is fed.
        seed: of the weights.
        batches: columns [B, ...] each, 50 or more in random order; none is drawn where the network
            has no batch statistics.
    """
    module = _with_open_branches(encoder.module.config).build()
    example = [jnp.zeros(each.shape, each.dtype) for each in _shapes(encoder)]
    variables = jax.jit(lambda key: module.init(key, *example))(jax.random.key(seed))
    if "batch_stats" in variables:

        @jax.jit
        def averaged(variables: PyTree, *arrays: Array) -> PyTree:
            _, updated = module.apply(variables, *arrays, train=True, mutable=["batch_stats"])
            return updated["batch_stats"]

        for batch in batches:
            arrays = inputs.read(encoder.inputs, batch)
            variables = variables | {"batch_stats": averaged(variables, *arrays)}
    return dataclasses.replace(encoder, module=module, variables=variables)


def shuffled_batches(
    source: data.Source, batch_size: int, seed: int
) -> Iterator[dict[str, np.ndarray]]:
    """One pass over a source in random order, or as many as make ``MIN_BATCHES`` batches.

    Args:
        source: the training split.
        batch_size: rows of a batch, at most; the last of a pass that fill none are left out.
        seed: of the order.

    Yields:
        Columns [B, ...] by name, without labels.
    """
    size = min(batch_size, len(source))
    with data.Loader(source, batch_size=size, seed=seed) as loader:
        for step in range(max(loader.steps_per_epoch, MIN_BATCHES)):
            yield loader.batch(step)


def _shapes(encoder: checkpoints.RestoredEncoder) -> list[jax.ShapeDtypeStruct]:
    return list(inputs.shapes(encoder.inputs).values())


def _with_open_branches(config: Any) -> Any:
    """A config, and those within it, with ``zero_init_residual`` False where it is a field."""
    changed: dict[str, Any] = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.name == "zero_init_residual":
            changed[field.name] = False
        elif dataclasses.is_dataclass(value):
            changed[field.name] = _with_open_branches(value)
    return dataclasses.replace(config, **changed)
