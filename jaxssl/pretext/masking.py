"""Which patches of an image are hidden from the encoder: the label is the image itself."""

import math

import jax
import jax.numpy as jnp

from jaxssl import checks
from jaxssl.types import Array


def num_kept(num_patches: int, mask_ratio: float) -> int:
    """Patches the encoder still sees: int(num_patches · (1 - mask_ratio)), rounded down.

    The official MAE code's arithmetic, in double precision, to the last patch: 0.9 of 10 patches
    leaves int(0.9999999999999998) = 0.

    Args:
        num_patches: static, N.
        mask_ratio: static fraction of patches to hide.

    Returns:
        K, with 0 < K < N.

    Raises:
        ValueError: if no patch or every patch would be kept.
    """
    kept = int(num_patches * (1 - mask_ratio))
    if not 0 < kept < num_patches:
        raise ValueError(
            f"num_kept: masking must keep at least 1 and hide at least 1 of {num_patches} patches; "
            f"got mask ratio {mask_ratio}, which keeps {kept} of {num_patches}. "
            f"{_likely_fix(num_patches, kept)}"
        )
    return kept


def random_masking(key: Array, num_patches: int, mask_ratio: float) -> tuple[Array, Array]:
    """Draws which patches are kept: every subset of K patches is equally likely.

    The official code returns both sets in random order; here they ascend (raster order), which
    changes nothing for a transformer with position embeddings and keeps reads in order.

    Args:
        key: PRNG key.
        num_patches: static, N.
        mask_ratio: static fraction of patches to hide; K = num_kept(num_patches, mask_ratio).

    Returns:
        keep [K] int32 and masked [N - K] int32: disjoint, ascending, together 0 .. N - 1.

    Raises:
        ValueError: if no patch or every patch would be kept.

    Source: He et al., Masked Autoencoders Are Scalable Vision Learners, 2021, arXiv:2111.06377,
    section 3, "Masking".
    """
    kept = num_kept(num_patches, mask_ratio)
    order = jax.random.permutation(key, num_patches).astype(jnp.int32)
    return jnp.sort(order[:kept]), jnp.sort(order[kept:])


def random_squares(key: Array, grid: tuple[int, int], mask_ratio: float, *, side: int) -> Array:
    """Hides squares of a coarser grid: every subset of ceil(cells · mask_ratio) is equally likely.

    Args:
        key: PRNG key.
        grid: (rows, columns) of patches; N = rows · columns.
        mask_ratio: static fraction of squares to hide.
        side: of a square, patches; 1 hides single ones.

    Returns:
        bool [N], raster order, True where hidden.

    Raises:
        ValueError: no square or every square would be hidden, or squares do not divide the grid.

    Source: Xie et al., SimMIM: A Simple Framework for Masked Image Modeling, 2021,
    arXiv:2111.09886, section 3.2; MaskGenerator of microsoft/SimMIM.
    """
    checks.at_least("random_squares", 1, side=side)
    if grid[0] % side or grid[1] % side:
        raise ValueError(
            f"random_squares: the grid of patches must be a multiple of the squares; got "
            f"{grid[0]}x{grid[1]} patches and squares of {side}x{side}."
        )
    rows, columns = grid[0] // side, grid[1] // side
    num_hidden = math.ceil(rows * columns * mask_ratio)
    if not 0 < num_hidden < rows * columns:
        raise ValueError(
            f"random_squares: masking must keep at least 1 and hide at least 1 of "
            f"{rows * columns} squares; got mask ratio {mask_ratio}, which hides {num_hidden}. "
            "Use another ratio, or smaller squares."
        )
    order = jax.random.permutation(key, rows * columns).reshape(rows, columns)
    return (order < num_hidden).repeat(side, axis=0).repeat(side, axis=1).ravel()


def _likely_fix(num_patches: int, kept: int) -> str:
    if num_patches < 2:
        return "Use smaller patches."
    if kept <= 0:
        return f"Use at most {1 - 1.5 / num_patches:.6g}, which keeps 1."
    return "Use a ratio above 0, such as 0.75."
