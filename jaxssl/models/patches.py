"""Images as rows of patches, and where each patch sits.

Patches are in raster order; the P values of one patch are laid out (row, column, channel).
"""

import einops
import jax.numpy as jnp
import numpy as np

from jaxssl import checks
from jaxssl.types import Array


def patch_grid(height: int, width: int, patch_size: int, *, caller: str) -> tuple[int, int]:
    """Rows and columns of patches in an image.

    Args:
        height: image height, pixels.
        width: image width, pixels.
        patch_size: side of a square patch, pixels.
        caller: name that the error starts with.

    Returns:
        (rows, columns); N = rows · columns.

    Raises:
        ValueError: a side is not a positive multiple of the patch.
    """
    checks.at_least(caller, 1, patch_size=patch_size)
    if height < 1 or width < 1 or height % patch_size or width % patch_size:
        below = [side // patch_size * patch_size for side in (height, width)]
        above = [-(-max(side, 1) // patch_size) * patch_size for side in (height, width)]
        sizes = [size for size in (below, above) if min(size) > 0]
        # A square image is named by one side, as people write it.
        nearest = [f"{h}" if height == width else f"{h}x{w}" for h, w in sizes]
        raise ValueError(
            f"{caller}: height and width must be multiples of the patch size; got image "
            f"{height}x{width}, patch {patch_size}; nearest sizes {' or '.join(nearest)}."
        )
    return height // patch_size, width // patch_size


def patchify(images: Array, patch_size: int) -> Array:
    """Cuts images into square patches.

    Args:
        images: [B, H, W, C], any dtype.
        patch_size: side of a patch in pixels; must divide H and W.

    Returns:
        [B, N, P] of the same dtype, N in raster order, P = patch_size² · C laid out (row, column,
        channel).

    Raises:
        ValueError: ``images`` is not of rank 4, or a side is not a multiple of the patch.
    """
    if images.ndim != 4:
        raise ValueError(
            f"patchify: images must be [B, H, W, C]; got shape {images.shape}. Add a batch axis?"
        )
    height, width = images.shape[1:3]
    rows, columns = patch_grid(height, width, patch_size, caller="patchify")
    return einops.rearrange(
        images, "b (row p) (col q) c -> b (row col) (p q c)", row=rows, col=columns
    )


def unpatchify(patches: Array, patch_size: int, *, grid: tuple[int, int]) -> Array:
    """Puts patches back into images; the inverse of ``patchify``.

    Args:
        patches: [B, N, P], any dtype, N in raster order, P laid out (row, column, channel).
        patch_size: side of a patch, pixels.
        grid: (rows, columns) of patches, rows · columns = N.

    Returns:
        [B, H, W, C] of the same dtype.

    Raises:
        ValueError: N is not rows · columns, or P is not a multiple of patch_size².
    """
    rows, columns = grid
    _, num_patches, num_values = patches.shape
    if num_patches != rows * columns or num_values % patch_size**2:
        raise ValueError(
            "unpatchify: patches must be [B, rows · columns, patch_size² · C]; got shape "
            f"{patches.shape}, grid {rows}x{columns}, patch {patch_size}."
        )
    return einops.rearrange(
        patches,
        "b (row col) (p q c) -> b (row p) (col q) c",
        row=rows,
        col=columns,
        p=patch_size,
        q=patch_size,
    )


def gather_rows(rows: Array, indices: Array) -> Array:
    """Picks rows of each example.

    Args:
        rows: [B, N, D], any dtype.
        indices: int32 [B, K], each in [0, N).

    Returns:
        [B, K, D], row ``indices[b, k]`` of example b.
    """
    return jnp.take_along_axis(rows, indices[:, :, None], axis=1)


def sincos_positions(
    rows: int, columns: int, width: int, *, reference: int | None = None
) -> np.ndarray:
    """Fixed 2-D sine-cosine position table.

    Patch (y, x) gets [sin(x·w), cos(x·w), sin(y·w), cos(y·w)] with w_i = 10000^(−i / (width/4)),
    i = 0 … width/4 − 1. The column comes first, as in MAE's published code, so that its weights
    can be used. Computed in float64.

    With ``reference`` R, x is (x + 1/2) · R / columns − 1/2 and y likewise: any grid spans the
    range of R x R patches, cell borders on cell borders, as when a learned table is resized.

    Args:
        rows: rows of patches.
        columns: columns of patches.
        width: features D, a multiple of 4.
        reference: side of the square grid in whose coordinates patches are placed, at least 1;
            None: their own.

    Returns:
        float32 [N, D] in raster order, values in [−1, 1].

    Raises:
        ValueError: ``width`` is not a positive multiple of 4.

    Source: He et al., Masked Autoencoders Are Scalable Vision Learners, 2021, arXiv:2111.06377,
        appendix A.1; Vaswani et al., Attention Is All You Need, 2017, arXiv:1706.03762, sec. 3.5.
    """
    if width < 4 or width % 4:
        raise ValueError(
            f"sincos_positions: width must be a positive multiple of 4; got {width}; "
            f"nearest {max(4, width // 4 * 4)} or {(width // 4 + 1) * 4}."
        )
    frequencies = 10000.0 ** (-np.arange(width // 4, dtype=np.float64) / (width // 4))
    y, x = np.divmod(np.arange(rows * columns), columns)
    if reference is not None:
        y, x = (y + 0.5) * reference / rows - 0.5, (x + 0.5) * reference / columns - 0.5
    angle_x, angle_y = np.outer(x, frequencies), np.outer(y, frequencies)
    table = [np.sin(angle_x), np.cos(angle_x), np.sin(angle_y), np.cos(angle_y)]
    return np.concatenate(table, axis=1).astype(np.float32)
