"""Crops, flips, shifts and blur as matrices along one side of an image.

Each of these operations is linear and separable: it multiplies the rows of an image by one small
matrix and the columns by another. A chain of them is the product of their matrices, so a view
needs ``apply(image, rows, columns)`` once, whatever the chain is. Matrices have shape
[out, in], are float32, and every row of a crop or blur matrix sums to 1.
"""

import jax.numpy as jnp
from jax import lax

from jaxssl import checks, cropping
from jaxssl.types import Array

NUM_CROP_DRAWS = cropping.NUM_DRAWS
METHODS = ("linear", "cubic")
# Augmentation is a tiny share of a step; tensor-float products would cost the pixels up to half a
# grey level and make views differ between backends.
PRECISION = lax.Precision.HIGHEST


def apply(image: Array, rows: Array, columns: Array) -> Array:
    """Multiplies an image by one matrix along each side.

    out[i, j, c] = sum over y, x of rows[i, y] · image[y, x, c] · columns[j, x].

    Args:
        image: [H, W, C] float32, any range.
        rows: [H', H] float32, acts on the height.
        columns: [W', W] float32, acts on the width.

    Returns:
        [H', W', C] float32. Cubic weights overshoot the range of the image; nothing is clipped.
    """
    height, width, channels = image.shape
    planes = image.transpose(0, 2, 1).reshape(height, channels * width)
    # Two plain matrix products per image: channels ride along as columns, then as rows.
    tall = jnp.matmul(rows, planes, precision=PRECISION).reshape(-1, width)  # [H'·C, W]
    out = jnp.matmul(tall, columns.T, precision=PRECISION)  # [H'·C, W']
    return out.reshape(rows.shape[0], channels, columns.shape[0]).transpose(0, 2, 1)


def crop_box(
    draws: Array,
    height: int,
    width: int,
    *,
    scale: tuple[float, float],
    ratio: tuple[float, float],
) -> Array:
    """The box of a random-resized crop, [4] float32; see ``cropping.box``.

    Args:
        draws: [NUM_CROP_DRAWS] float32, uniform in [0, 1).
        height: H of the image, pixels.
        width: W of the image, pixels.
        scale: lowest and highest fraction of the image's area, in (0, 1].
        ratio: lowest and highest width / height of the box.
    """
    return cropping.box(draws, height, width, scale=scale, ratio=ratio, xp=jnp)


def resize_matrix(
    start: Array | float, extent: Array | float, *, length: int, size: int, method: str = "linear"
) -> Array:
    """Weights that cut [start, start + extent) out of a side and resize it, antialiased.

    Output i is centred on input coordinate start + (i + 1/2)·extent/size - 1/2; input j gets
    k((centre - j) / max(extent/size, 1)), k the triangle or the Keys cubic (a = -1/2), and each row
    is divided by its sum. Pixels outside the box get no weight: as in the published pipelines the
    crop comes before the resize. Equals ``jax.image.resize`` of the cut-out box.

    Args:
        start: scalar, first pixel of the box.
        extent: scalar > 0, pixels in the box; start + extent <= length.
        length: static pixels of the side.
        size: static pixels of the result.
        method: "linear" or "cubic".

    Returns:
        [size, length] float32.

    Raises:
        ValueError: on another ``method``.
    """
    fix = "Use 'linear' unless a policy asks for bicubic crops."
    checks.choice("resize_matrix", METHODS, method=method, fix=fix)
    kernel = _triangle if method == "linear" else _keys_cubic
    step = jnp.asarray(extent, jnp.float32) / size
    centres = start + (jnp.arange(size, dtype=jnp.float32) + 0.5) * step - 0.5
    pixels = jnp.arange(length, dtype=jnp.float32)
    weights = kernel((centres[:, None] - pixels[None, :]) / jnp.maximum(step, 1.0))
    inside = (pixels >= start) & (pixels < start + extent)
    weights = jnp.where(inside[None, :], weights, 0.0)
    return weights / weights.sum(axis=1, keepdims=True)


def shift_matrix(offset: Array | float, *, length: int) -> Array:
    """Moves a side by whole pixels and fills with zeros: out[i] = in[i + offset].

    Args:
        offset: scalar, a whole number of pixels.
        length: static pixels of the side.

    Returns:
        [length, length] float32 of zeros and ones.
    """
    pixels = jnp.arange(length, dtype=jnp.float32)
    return jnp.float32(pixels[:, None] + offset == pixels[None, :])


def blur_matrix(sigma: Array | float, *, size: int, radius: int) -> Array:
    """Gaussian blur along one side, cut off at ``radius`` pixels.

    out[i] = sum over |i - j| <= radius of exp(-(i - j)² / (2 sigma²)) · in[j], divided by the sum
    of the weights that fall inside the image: a constant image stays constant up to its border.
    (torchvision mirrors the image there, TensorFlow pads with zeros and darkens it.)

    Args:
        sigma: scalar >= 0, pixels; 0 gives exactly the identity.
        size: static pixels of the side.
        radius: static number of pixels on either side.

    Returns:
        [size, size] float32, a band matrix.
    """
    pixels = jnp.arange(size, dtype=jnp.float32)
    distance = jnp.abs(pixels[:, None] - pixels[None, :])
    # At the floor the neighbours' weight exp(-5e5) is 0 in float32, so that 0 needs no branch.
    weights = jnp.exp(-0.5 * (distance / jnp.maximum(sigma, 1e-3)) ** 2)
    weights = jnp.where(distance <= radius, weights, 0.0)
    return weights / weights.sum(axis=1, keepdims=True)


def flip_matrix(matrix: Array, flip: Array) -> Array:
    """Mirrors what a matrix makes: its rows in reverse order where ``flip``, a boolean scalar."""
    return jnp.where(flip, matrix[::-1], matrix)


def compose(outer: Array, inner: Array) -> Array:
    """The matrix [out, in] that applies ``inner`` first, then ``outer``."""
    return jnp.matmul(outer, inner, precision=PRECISION)


def between(draw: Array, low: float, high: float) -> Array:
    """Spreads draws from [0, 1) over [low, high); exactly ``low`` where the two are equal."""
    return low + (high - low) * draw


def _triangle(distance: Array) -> Array:
    return jnp.maximum(0.0, 1.0 - jnp.abs(distance))


def _keys_cubic(distance: Array) -> Array:
    # Keys, Cubic Convolution Interpolation, 1981, equation 4 with a = -1/2.
    x = jnp.abs(distance)
    near = (1.5 * x - 2.5) * x * x + 1.0
    far = ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return jnp.where(x < 1.0, near, jnp.where(x < 2.0, far, 0.0))
