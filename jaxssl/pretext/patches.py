"""Patches of a 3 x 3 grid: where they lie, cutting them out, and pasting them back.

Cells are counted in raster order; a neighbour of the centre by the same order without the centre,
so that the opposite of neighbour k is 7 - k:

    cells  0 1 2    neighbours  0 1 2
           3 4 5                3 . 4
           6 7 8                5 6 7

A patch is named by its corner (row, column of its top left pixel). Pixels are only moved.
"""

import jax
import jax.numpy as jnp
from jax import lax

from jaxssl.types import Array

SIDE = 3
NUM_CELLS = SIDE**2
CENTRE = NUM_CELLS // 2
NUM_NEIGHBOURS = NUM_CELLS - 1


def grid_corners(
    key: Array, height: int, width: int, *, size: int, pitch: int, spread: int
) -> Array:
    """Draws a grid somewhere in an image, and each of its patches near its place in the grid.

        corner(r, c) = origin + pitch · (r, c) + shift(r, c)

    with every shift uniform in {0 … spread}², and the origin uniform over the places where the
    whole grid fits. Patches of context prediction have pitch = size + gap and spread = 2 · jitter;
    tiles cut from the cells of a jigsaw have pitch = cell and spread = cell - size. Two patches
    side by side are at least pitch - size - spread pixels apart; below 0 they may overlap.

    Args:
        key: PRNG key.
        height: H of the image, pixels.
        width: W of the image, pixels.
        size: side of a patch, pixels.
        pitch: from one place of the grid to the next, pixels.
        spread: largest shift of a patch, pixels.

    Returns:
        int32 [9, 2], the corner (row, column) of every cell.

    Raises:
        ValueError: size or pitch below 1, spread below 0, or a grid that does not fit the image.

    Source: Doersch et al., Unsupervised Visual Representation Learning by Context Prediction, 2015,
    arXiv:1505.05192, section 3.1 and 4; Noroozi and Favaro, Unsupervised Learning of Visual
    Representations by Solving Jigsaw Puzzles, 2016, arXiv:1603.09246, section 3.3.
    """
    if size < 1 or pitch < 1 or spread < 0:
        raise ValueError(
            "grid_corners: size and pitch must be at least 1 and spread at least 0 pixels; got "
            f"{size}, {pitch} and {spread}. A gap of 0 is a pitch of one patch."
        )
    extent = (SIDE - 1) * pitch + size + spread
    if extent > min(height, width):
        raise ValueError(
            f"grid_corners: a grid of 3 x 3 patches of {size} pixels with pitch {pitch} and spread "
            f"{spread} must fit the image, for which that has to be {extent} pixels wide and high; "
            f"got {height} x {width}. Enlarge the image, or take smaller patches and gaps."
        )
    origin_key, shift_key = jax.random.split(key)
    room = jnp.array([height - extent, width - extent], jnp.int32)
    origin = jax.random.randint(origin_key, (2,), 0, room + 1, jnp.int32)
    shifts = jax.random.randint(shift_key, (NUM_CELLS, 2), 0, spread + 1, jnp.int32)
    cells = jnp.arange(NUM_CELLS, dtype=jnp.int32)
    places = pitch * jnp.stack([cells // SIDE, cells % SIDE], axis=-1)
    return origin[None, :] + places + shifts


def neighbour_cell(neighbour: Array | int) -> Array:
    """The cell of a neighbour of the centre: 0-3 stay, 4-7 become 5-8.

    Args:
        neighbour: int32 in 0 … 7, any shape.

    Returns:
        int32 in 0 … 8 without 4, the shape of ``neighbour``.
    """
    neighbour = jnp.int32(neighbour)
    return neighbour + jnp.asarray(neighbour >= CENTRE, jnp.int32)


def opposite(neighbour: Array) -> Array:
    """Where the centre lies as seen from a neighbour: 7 - k, int32, any shape."""
    return NUM_NEIGHBOURS - 1 - neighbour


def cut(image: Array, corners: Array, *, size: int) -> Array:
    """Cuts squares out of an image.

    Args:
        image: [H, W, C], any dtype.
        corners: int32 [K, 2]; squares must lie inside the image (or they are moved inside).
        size: side of the squares, pixels.

    Returns:
        [K, size, size, C], the dtype of ``image``: out[k, y, x] = image[corner + (y, x)].
    """
    shape = (size, size, image.shape[-1])
    return jax.vmap(
        lambda corner: lax.dynamic_slice(image, (corner[0], corner[1], jnp.int32(0)), shape)
    )(corners)


def paste(canvas: Array, patches: Array, corners: Array) -> Array:
    """Puts squares onto a canvas; where they overlap, the later one is on top.

    The inverse of ``cut`` on the pixels that the squares cover.

    Args:
        canvas: [H, W, C], any dtype.
        patches: [K, P, P, C], the dtype of ``canvas``.
        corners: int32 [K, 2]; squares must lie inside the canvas (or they are moved inside).

    Returns:
        [H, W, C], the dtype of ``canvas``.
    """
    for patch, corner in zip(patches, corners, strict=True):
        canvas = lax.dynamic_update_slice(canvas, patch, (corner[0], corner[1], jnp.int32(0)))
    return canvas
