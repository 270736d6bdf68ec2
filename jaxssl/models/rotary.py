"""Rotary positions of patches: queries and keys are turned by angles that say where they are."""

from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxssl.types import Array

BASE = 100.0  # of the periods, which reach from 1 almost to it


class Rotation(NamedTuple):
    """Cosines and sines, float32 [B or 1, N, d / 2], d features of a head."""

    cos: Array
    sin: Array


def patch_angles(rows: int, columns: int, head_dim: int) -> np.ndarray:
    """Angles of a grid of patches, one for each pair of a head's features.

        y = 2 (row + 1/2) / rows - 1,   x = 2 (column + 1/2) / columns - 1
        angle_i = 2 pi y / 100^(4 i / d),   angle_(d/4 + i) = 2 pi x / 100^(4 i / d),   i < d / 4

    Coordinates lie in (-1, 1) whatever the size of the grid, so that a small crop spans the range
    of a large one. The published recipe also rescales them by a factor that is drawn at each step
    of training, from 1/2 to 2; here they stay.

    Args:
        rows: rows of patches.
        columns: columns of patches.
        head_dim: d, a multiple of 4.

    Returns:
        float32 [N, d / 2], radians, raster order.

    Source: Su et al., RoFormer, 2021, arXiv:2104.09864, eq. 34; Siméoni et al., DINOv3, 2025,
        arXiv:2508.10104, section 3; rope_position_encoding.py of facebookresearch/dinov3.
    """
    periods = BASE ** (np.arange(head_dim // 4) * 4 / head_dim)
    y, x = np.divmod(np.arange(rows * columns), columns)
    y, x = 2 * (y + 0.5) / rows - 1, 2 * (x + 0.5) / columns - 1
    angles = [2 * np.pi * np.outer(each, 1 / periods) for each in (y, x)]
    return np.concatenate(angles, axis=1).astype(np.float32)


def rotation(angles: Array | np.ndarray, num_extra: int) -> Rotation:
    """Of angles [B or 1, N, d / 2], with ``num_extra`` tokens before them that are not turned."""
    angles = jnp.pad(angles, ((0, 0), (num_extra, 0), (0, 0)))
    return Rotation(jnp.cos(angles), jnp.sin(angles))


def rotate(x: Array, by: Rotation) -> Array:
    """Turns feature i with feature i + d / 2, of x [B, N, heads, d]; in float32, dtype as given."""
    cos, sin = (each[:, :, None] for each in by)
    first, second = jnp.split(x.astype(jnp.float32), 2, axis=-1)
    turned = [first * cos - second * sin, second * cos + first * sin]
    return jnp.concatenate(turned, axis=-1).astype(x.dtype)
