"""Holes in an image: the label is what was there.

Masks are bool [S, S], true where a pixel is hidden. Each image draws its own; shapes are fixed.

Source: Pathak et al., Context Encoders: Feature Learning by Inpainting, 2016, arXiv:1604.07379,
section 3.3 "Region masks"; random regions follow the method of the official code.
"""

import math

import jax
import jax.numpy as jnp

from jaxssl.types import Array

MEAN_COLOR = (117 / 255, 104 / 255, 123 / 255)  # of the official code, in [0, 1]


def central_square(size: int) -> slice:
    """Rows, and columns, of the square predicted by a central mask: the middle half of the side."""
    return slice(size // 4, size // 4 + size // 2)


def central_hole(size: int, *, overlap: int) -> Array:
    """Hides the central square but for a rim of ``overlap`` pixels inside it.

    The rim is predicted though it is seen, which keeps a prediction continuous with its context.

    Args:
        size: S, pixels.
        overlap: width of the rim, pixels, 0 <= overlap < S // 4.

    Returns:
        bool [S, S], (S // 2 - 2 · overlap)^2 of them true.

    Raises:
        ValueError: an overlap that leaves no hole.
    """
    _check_overlap("central_hole", size, overlap)
    square = central_square(size)
    return _square(size, square.start + overlap, square.stop - overlap)


def central_weights(size: int, *, overlap: int, rim_weight: float) -> Array:
    """What each pixel weighs under a central mask: 1 in the hole, ``rim_weight`` in the rim.

    Args:
        size: S, pixels.
        overlap: width of the rim, pixels, 0 <= overlap < S // 4.
        rim_weight: 10 in the paper.

    Returns:
        float32 [S, S], 0 outside the central square.

    Raises:
        ValueError: an overlap that leaves no hole.

    Source: Pathak et al. 2016, section 4.1 (overlap of 7 pixels, 10 times the weight).
    """
    hole = central_hole(size, overlap=overlap)
    square = central_square(size)
    rim = _square(size, square.start, square.stop) & ~hole
    return hole.astype(jnp.float32) + rim_weight * rim.astype(jnp.float32)


def random_blocks(key: Array, size: int, *, num_blocks: int = 5, max_area: float = 0.25) -> Array:
    """Hides several equal squares, anywhere inside the image; they may overlap.

    The paper names neither number nor size, only that they cover up to a quarter of the image: the
    side is floor(S sqrt(max_area / num_blocks)), so that disjoint blocks stay below ``max_area``.

    Args:
        key: PRNG key.
        size: S, pixels.
        num_blocks: number of squares.
        max_area: fraction of the image, in (0, 1].

    Returns:
        bool [S, S].

    Raises:
        ValueError: blocks smaller than a pixel.
    """
    side = math.floor(size * math.sqrt(max_area / num_blocks))
    if side < 1:
        raise ValueError(
            f"random_blocks: a block must be at least 1 pixel wide; got {num_blocks} blocks in "
            f"{max_area} of {size}x{size} pixels. Use fewer blocks."
        )
    corners = jax.random.randint(key, (2, num_blocks, 1), 0, size - side + 1)
    place = jnp.arange(size)[None, None]
    rows, columns = (place >= corners) & (place < corners + side)  # [num_blocks, S] each
    return jnp.any(rows[:, :, None] & columns[:, None, :], axis=0)


def random_region(
    key: Array, size: int, *, cells: float = 7.68, area: tuple[float, float] = (0.2, 0.3)
) -> Array:
    """Hides a region of random shape: the lowest part of smooth random noise.

    Uniform noise on a grid is interpolated bicubically (Keys, a = -1/2) to pixels; hidden are the
    lowest pixels, a fraction of the image drawn uniformly from ``area``.

    The official code interpolates one pattern of 10,000 pixels by 1 / 0.06, hides what is below
    0.25, and draws windows of it until 20 to 30 % of one is hidden: a loop of unknown length. Here
    the threshold is chosen for the area instead; every image has its own noise, where there one
    mask served a batch; and the grid is given in cells per image, 0.06 · 128 pixels, so that shapes
    scale with the image.

    Args:
        key: PRNG key.
        size: S, pixels.
        cells: noise values per side of the image; more make smaller, more numerous shapes.
        area: lowest and highest fraction of the image that is hidden.

    Returns:
        bool [S, S], floor(u · S^2) of them true for u in ``area``, at least 1.
    """
    num_values = math.ceil(cells) + 4  # a cubic reaches one cell before the image and two after
    noise_key, place_key = jax.random.split(key)
    noise = jax.random.uniform(noise_key, (num_values, num_values))
    row, column, fraction = jax.random.uniform(place_key, (3,))
    knots = jnp.arange(num_values, dtype=jnp.float32)[None]
    place = 1 + (jnp.arange(size, dtype=jnp.float32)[:, None] + 0.5) * (cells / size)  # in cells
    rows, columns = (_cubic(place + offset - knots) for offset in (row, column))
    smooth = rows @ noise @ columns.T
    hidden_area = area[0] + fraction * (area[1] - area[0])
    num_hidden = jnp.clip(jnp.floor(hidden_area * size**2).astype(jnp.int32), 1, size**2 - 1)
    return smooth < jnp.sort(smooth.reshape(-1))[num_hidden]


def fill(images: Array, hidden: Array, color: tuple[float, ...]) -> Array:
    """Paints the hidden pixels in one colour; the others come through bit for bit.

    Args:
        images: [..., H, W, C], floating in [0, 1].
        hidden: bool [..., H, W].
        color: one value, or one per channel, in [0, 1].

    Returns:
        [..., H, W, C], the dtype of ``images``.

    Raises:
        ValueError: ``color`` has neither 1 nor C values.
    """
    channels = images.shape[-1]
    if len(color) not in (1, channels):
        raise ValueError(
            f"fill: color must have 1 value or one per channel; got {len(color)} values for "
            f"{channels} channels."
        )
    paint = jnp.broadcast_to(jnp.asarray(color, images.dtype), (channels,))
    return jnp.where(hidden[..., None], jnp.broadcast_to(paint, images.shape), images)


def _square(size: int, start: int, stop: int) -> Array:
    place = jnp.arange(size)
    inside = (place >= start) & (place < stop)
    return inside[:, None] & inside[None, :]


def _cubic(distance: Array) -> Array:
    """The cubic convolution kernel with a = -1/2, 0 beyond a distance of 2."""
    x = jnp.abs(distance)
    near = (1.5 * x - 2.5) * x * x + 1
    far = ((-0.5 * x + 2.5) * x - 4) * x + 2
    return jnp.where(x < 1, near, jnp.where(x < 2, far, 0.0))


def _check_overlap(function: str, size: int, overlap: int) -> None:
    if not 0 <= 2 * overlap < size // 2:
        raise ValueError(
            f"{function}: overlap must be at least 0 and leave a hole in the central {size // 2} "
            f"pixels; got {overlap}. The paper has 7 of 64, the official code 4."
        )
