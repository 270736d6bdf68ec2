"""What the patches of a ViT say, as maps to look at: where it attends, and what resembles what."""

import jax
import jax.numpy as jnp
import numpy as np

from jaxssl.checkpoints import RestoredEncoder
from jaxssl.types import Array


def has_attention(encoder: RestoredEncoder) -> bool:
    """Whether ``attention_maps`` can be had of it."""
    return hasattr(encoder.module, "attention_maps")


def attention_maps(
    encoder: RestoredEncoder, images: Array | np.ndarray, *, block: int = -1
) -> Array:
    """How much the token that stands for an image attends to each of its patches.

        map_h(p) = softmax_k(q_h · k_h / sqrt(d)) at k = p

    The query is that of the class token; where there is none, the map is the mean over the queries
    of all patches, of which the pooled features are the mean too. What goes to the class token and
    to registers is left out, so that a map sums to 1 or less.

    Args:
        encoder: restored, a ViT.
        images: [B, H, W, C], as ``encoder`` takes them.
        block: which, as an index of Python; the last one by default.

    Returns:
        float32 [B, heads, h, w], h · w patches in raster order, at least 0.

    Raises:
        ValueError: another encoder than a ViT, or no such block.

    Source: Caron et al., Emerging Properties in Self-Supervised Vision Transformers, 2021,
        arXiv:2104.14294, figure 1 and visualize_attention.py of facebookresearch/dino.
    """
    if not has_attention(encoder):
        raise ValueError(
            f"attention_maps: the encoder must be a ViT; got {type(encoder.module).__name__}, "
            "which has no attention. Look at the gradient of a feature instead."
        )
    return encoder.module.attention_maps(encoder.variables, images, block=block)


def principal_colors(maps: Array | np.ndarray) -> np.ndarray:
    """The three first principal components of patches as red, green and blue.

    Patches of one colour, in whichever image, have like features. Each component is scaled so that
    its 1st and 99th percentile over all patches are 0 and 1, and cut there; its sign, which is
    arbitrary, is that of the largest entry of its direction.

    Args:
        maps: [B, h, w, D] with D at least 3, as those of ``Features.maps``.

    Returns:
        float32 [B, h, w, 3] in [0, 1].

    Raises:
        ValueError: no map of at least three features.

    Source: Oquab et al., DINOv2, 2023, arXiv:2304.07193, figure 1 (there of the foreground alone).
    """
    maps = np.asarray(maps, np.float32)
    if maps.ndim != 4 or maps.shape[-1] < 3:
        raise ValueError(
            f"principal_colors: maps must be [B, h, w, D] with D at least 3; got {maps.shape}."
        )
    rows = maps.reshape(-1, maps.shape[-1])
    rows = rows - rows.mean(axis=0)
    directions = np.linalg.svd(rows, full_matrices=False)[2][:3]
    largest = np.take_along_axis(directions, np.abs(directions).argmax(axis=1)[:, None], axis=1)
    scores = rows @ (directions * np.sign(largest)).T
    low, high = np.percentile(scores, [1, 99], axis=0).astype(np.float32)
    scores = (scores - low) / np.maximum(high - low, np.finfo(np.float32).tiny)
    return np.clip(scores, 0, 1).reshape(*maps.shape[:3], 3)


def color_patches(encoder: RestoredEncoder, images: Array | np.ndarray) -> np.ndarray:
    """``principal_colors`` of the last map of an encoder, ViT or not, of images [B, H, W, C]."""
    features = jax.jit(lambda variables, x: encoder.module.apply(variables, x))
    return principal_colors(features(encoder.variables, jnp.asarray(images)).maps[-1])
