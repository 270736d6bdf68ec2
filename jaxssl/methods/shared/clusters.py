"""What SwAV and DeepCluster-v2 share: the projections of all crops, pictures of the clusters."""

import flax.linen as nn
import jax.numpy as jnp

from jaxssl.losses import numerics
from jaxssl.methods.shared import functional, multi_crop
from jaxssl.models import heads
from jaxssl.types import Array, Picture, PyTree, Views


def build_network(
    encoder: nn.Module, width: int, dim: int, axis_name: str | None
) -> functional.WithHead:
    """Encoder and projector: one hidden layer of ``width`` with batch norm, ``dim`` outputs."""
    projector = heads.MLP((width, dim), dtype=encoder.config.dtype, axis_name=axis_name)
    return functional.WithHead(encoder, projector, "projector")


def project(
    network: functional.WithHead, params: PyTree, state: PyTree, views: Views
) -> tuple[Array, PyTree]:
    """``multi_crop.apply`` with outputs [B, V, D] of norm 1."""
    crops = {name: views[name] for name in ("global", "local") if name in views}
    outputs, state = multi_crop.apply(network, params, state, crops)
    return numerics.unit_rows(outputs), state


def show(
    network: functional.WithHead,
    params: PyTree,
    state: PyTree,
    views: Views,
    prototypes: Array,
) -> list[Picture]:
    """``multi_crop.show``, and the first global views sorted by their prototypes.

    Args:
        network: encoder and projector.
        params: of a checkpoint.
        state: of a checkpoint.
        views: with "global" [B, 2, H, W, C].
        prototypes: [M, D] of any norm above 0.

    Returns:
        Titles and images float32 [B, H, W, C] in [0, 1]; the most used prototype comes first.
    """
    first = views["global"][:, 0]
    projections = network.predict(params, state, first)
    chosen = jnp.argmax(projections @ numerics.unit_rows(prototypes).T, axis=-1)
    num_images = jnp.bincount(chosen, length=len(prototypes))
    order = jnp.lexsort((chosen, -num_images[chosen]))
    title = f"sorted by prototype ({int((num_images > 0).sum())} used)"
    return [*multi_crop.show(network, params, state, views), (title, first[order])]
