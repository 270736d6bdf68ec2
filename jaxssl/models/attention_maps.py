"""Where a ViT attends: the weights of one block, as ``ViT.attention_maps`` hands them out."""

import dataclasses
from typing import Any

import jax.numpy as jnp

from jaxssl import checks
from jaxssl.models import transformer
from jaxssl.types import Array, PyTree


def attention_maps(config: Any, variables: PyTree, images: Array, *, block: int) -> Array:
    """How much what is pooled attends to each patch; see ``evaluation.token_maps``.

    Args:
        config: a ViTConfig.
        variables: of its module.
        images: [B, H, W, C].
        block: an index of Python.

    Returns:
        float32 [B, heads, h, w].

    Raises:
        ValueError: no such block.
    """
    depth = config.dimensions.depth
    checks.in_range("attention_maps", -depth, depth - 1, block=block)
    # In a loop, where a block has a name; and by the code here, which can hand its weights out.
    plain = dataclasses.replace(config, scan_layers=False, library_attention=False, remat="none")
    params = variables["params"]
    if config.scan_layers:
        params = transformer.unstack_layers(params)
    features, kept = plain.build().apply(
        {"params": params}, jnp.asarray(images), mutable=["intermediates"]
    )
    found = kept["intermediates"][f"block_{block % depth}"]["attention"]["weights"][0]
    rows, columns = features.maps[0].shape[1:3]
    to_patches = found[..., -rows * columns :].astype(jnp.float32)  # extra tokens stand first
    if config.pool == "class":
        maps = to_patches[:, :, 0]
    else:
        maps = to_patches[:, :, -rows * columns :].mean(axis=2)
    return maps.reshape(*maps.shape[:2], rows, columns)
