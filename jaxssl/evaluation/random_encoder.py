"""The network that a pretrained encoder is compared with: the same one, with random weights."""

import dataclasses
from collections.abc import Iterable, Iterator

import jax
import numpy as np

from jaxssl import checkpoints, data
from jaxssl.types import Array, PyTree

RULE = "residual branches open; batch statistics of the training images, no label read"
MIN_BATCHES = 50  # after which a running average keeps 0.9^50 = 0.5 % of its initial value


def draw(
    encoder: checkpoints.RestoredEncoder, seed: int, batches: Iterable[np.ndarray]
) -> checkpoints.RestoredEncoder:
    """The same network with random weights, given what training gives for nothing.

    An encoder as it is initialised is no fair opponent. With the last scale of each residual block
    at zero it is its stem and its shortcuts alone, and with batch statistics of zero and one its
    activations are scaled by chance. So residual branches start open (``zero_init_residual``
    False), and batch statistics are the running averages of the network in training mode over
    ``batches``. No weight is trained and no label read.

    Args:
        encoder: gives the network and the size of its images.
        seed: of the weights.
        batches: uint8 [B, H, W, C] each, 50 or more in random order; none is drawn where the
            network has no batch statistics.
    """
    size, channels = encoder.meta["image_size"], encoder.meta["channels"]
    module = _with_open_branches(encoder.module.config).build()
    images = np.zeros((1, size, size, channels), np.uint8)
    variables = jax.jit(lambda key: module.init(key, images))(jax.random.key(seed))
    if "batch_stats" in variables:

        @jax.jit
        def averaged(variables: PyTree, images: Array) -> PyTree:
            _, updated = module.apply(variables, images, train=True, mutable=["batch_stats"])
            return updated["batch_stats"]

        for batch in batches:
            variables = variables | {"batch_stats": averaged(variables, batch)}
    return dataclasses.replace(encoder, module=module, variables=variables)


def shuffled_images(source: data.Source, batch_size: int, seed: int) -> Iterator[np.ndarray]:
    """One pass over a source in random order, or as many as make ``MIN_BATCHES`` batches.

    Args:
        source: the training split.
        batch_size: images of a batch, at most; the last of a pass that fill none are left out.
        seed: of the order.

    Yields:
        uint8 [B, H, W, C]; no label is read.
    """
    size = min(batch_size, len(source))
    with data.Loader(source, batch_size=size, seed=seed) as loader:
        for step in range(max(loader.steps_per_epoch, MIN_BATCHES)):
            yield loader.batch(step)["image"]


def _with_open_branches(config: object) -> object:
    """A config, and those within it, with ``zero_init_residual`` False where it is a field."""
    changed = {}
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        if field.name == "zero_init_residual":
            changed[field.name] = False
        elif dataclasses.is_dataclass(value):
            changed[field.name] = _with_open_branches(value)
    return dataclasses.replace(config, **changed)
