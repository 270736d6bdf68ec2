"""What DINO and iBOT share: heads, the teacher's probabilities, prototypes that wait."""

import flax.linen as nn
import jax

from jaxssl.models import heads
from jaxssl.types import Array, Clock, PyTree


def make_projector(
    encoder: nn.Module,
    width: int,
    dim: int,
    *,
    batch_norm: bool = False,
    axis_name: str | None = None,
) -> heads.MLP:
    """Three layers with exact GELU, from an encoder's features to those of prototypes.

    Args:
        encoder: whose compute dtype it has.
        width: features of the two hidden layers.
        dim: features of the last.
        batch_norm: BatchNorm in the hidden layers.
        axis_name: device axis over which that is synchronised, or None.
    """
    return heads.MLP(
        (width, width, dim),
        batch_norm=batch_norm,
        activation="gelu",
        # The authors truncate it at 100 standard deviations, which changes nothing.
        kernel_init=nn.initializers.normal(0.02),
        dtype=encoder.config.dtype,
        axis_name=axis_name,
    )


def probabilities(scores: Array, center: Array, temperature: Array | float) -> Array:
    """P_t, softmax((scores - center) / temperature), of the teacher's scores [..., M]."""
    shape = (1,) * (scores.ndim - 1) + center.shape
    return jax.nn.softmax((scores - center.reshape(shape)) / temperature, axis=-1)


def entropy(probabilities: Array) -> Array:
    """In nats, [...], of probabilities [..., M]."""
    return jax.scipy.special.entr(probabilities).sum(axis=-1)


def freeze_prototypes(params: PyTree, clock: Clock, num_epochs: float) -> PyTree:
    """``Method.frozen`` where "prototypes" stay as they began for ``num_epochs``."""
    nowhere = jax.tree.map(lambda _: False, params)
    is_early = clock.epoch < num_epochs
    return nowhere | {"prototypes": jax.tree.map(lambda _: is_early, params["prototypes"])}
