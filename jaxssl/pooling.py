"""Maps and tokens to vectors: averages over a grid of cells, and DINO's class tokens.

Probes of convolutional layers do not read the mean of a map but the map itself, averaged down until
about 9,000 numbers are left, so that every layer is judged by as many.

Source: Zhang et al., Colorful Image Colorization, 2016, arXiv:1603.08511, and Split-Brain
    Autoencoders, 2017, arXiv:1611.09842 (features resized to about 9,000 per layer); Noroozi et
    al., Representation Learning by Learning to Count, 2017, arXiv:1708.06734; Goyal et al., Scaling
    and Benchmarking Self-Supervised Visual Representation Learning, 2019, arXiv:1905.01235.
"""

import math

import jax.numpy as jnp
import numpy as np

from jaxssl import checks
from jaxssl.types import Array, Features

MAX_FEATURES = 9000  # of one layer, the classic number


def grid_pool(maps: Array, side: int) -> Array:
    """Averages a map over a grid of side x side cells, each the exact mean of its rectangle.

    cell (i, j) = mean of the map over [i h / S, (i + 1) h / S) x [j w / S, (j + 1) w / S), the map
    taken as constant on each of its own cells: rows and columns that a border cuts count by the
    part that lies inside. Adaptive pooling elsewhere counts them whole, and some of them twice; the
    two agree where S divides h and w.

    Args:
        maps: [B, h, w, D], floating.
        side: S, cells in a row and in a column, 1 to min(h, w).

    Returns:
        float32 [B, S · S · D], cells in raster order.

    Raises:
        ValueError: not of rank 4, or a side below 1 or above the map's.
    """
    if maps.ndim != 4:
        raise ValueError(f"grid_pool: maps must be [B, h, w, D]; got shape {maps.shape}.")
    batch, height, width, features = maps.shape
    checks.in_range("grid_pool", 1, min(height, width), side=side, fix="The map has no more.")
    rows, columns = (jnp.asarray(area_weights(length, side)) for length in (height, width))
    pooled = jnp.einsum("ih,jw,bhwd->bijd", rows, columns, maps.astype(jnp.float32))
    return pooled.reshape(batch, side * side * features)


def area_weights(length: int, cells: int) -> np.ndarray:
    """The part of each of ``length`` places in the mean of each of ``cells`` equal intervals.

    w[i, j] = |[i L / S, (i + 1) L / S) ∩ [j, j + 1)| · S / L

    Returns:
        float32 [cells, length], rows that sum to 1.
    """
    # In units of 1 / S of a place all borders are integers, so that no rounding makes a sliver.
    starts = np.arange(cells)[:, None] * length
    places = np.arange(length)[None] * cells
    overlap = np.minimum(starts + length, places + cells) - np.maximum(starts, places)
    return (np.maximum(overlap, 0) / length).astype(np.float32)


def largest_side(height: int, width: int, features: int, max_features: int) -> int:
    """The largest S with S² · D ≤ max_features, from 1 up to the map's shorter side."""
    return max(1, min(height, width, math.isqrt(max_features // features)))


def class_tokens(features: Features, *, num_blocks: int, patch_mean: bool) -> Array:
    """DINO's features of a linear probe: class tokens of the last blocks, through the final norm.

    Args:
        features: of a ViT with a class token and at least ``num_blocks`` blocks.
        num_blocks: n; the tokens of the last n blocks are concatenated, the earliest first.
        patch_mean: put the mean of the last block's patch tokens, after the final norm, behind
            them. (The official code can do so for one block only.)

    Returns:
        float32 [B, n · D], or [B, (n + 1) · D].

    Source: Caron et al., Emerging Properties in Self-Supervised Vision Transformers, 2021,
        arXiv:2104.14294, appendix F.2; facebookresearch/dino eval_linear.py, ``n_last_blocks`` (4
        for ViT-S, 1 for ViT-B) and ``avgpool_patchtokens`` (for ViT-B).
    """
    parts = list(features.class_tokens[-num_blocks:])
    if patch_mean:
        parts.append(features.tokens.mean(axis=1))
    return jnp.concatenate(parts, axis=-1)
