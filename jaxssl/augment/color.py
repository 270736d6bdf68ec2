"""Colour jitter and greyscale as affine maps of a pixel's channels, and solarisation.

Every operation but solarisation is ``out = matrix · pixel + bias``, so a chain of them is one map,
applied once. The price is stated once, here: values are clipped at the end of the chain instead of
after each operation, the order is fixed, and hue turns the chroma plane of YIQ instead of the HSV
circle.
Luma is 0.299 R + 0.587 G + 0.114 B; saturation, hue and greyscale keep it.
"""

import functools
import math
from typing import NamedTuple

import jax.numpy as jnp
import numpy as np

from jaxssl.types import Array

LUMA = np.array([0.299, 0.587, 0.114], np.float32)
# FCC NTSC: rows Y, I, Q.
_YIQ = np.array([[0.299, 0.587, 0.114], [0.5959, -0.2746, -0.3213], [0.2115, -0.5227, 0.3112]])


class Affine(NamedTuple):
    """A map of one pixel's channels: matrix [C, C] and bias [C], float32."""

    matrix: Array
    bias: Array


def to_float(image: Array) -> Array:
    """float32 in [0, 1] from uint8 in [0, 255]; a floating image only changes its dtype.

    Args:
        image: array of any shape, uint8 or floating.

    Returns:
        The same shape, float32.

    Raises:
        TypeError: on another dtype.
    """
    if image.dtype == jnp.uint8:
        return image.astype(jnp.float32) / 255.0
    if jnp.issubdtype(image.dtype, jnp.floating):
        return image.astype(jnp.float32)
    raise TypeError(
        f"to_float: an image must be uint8 in [0, 255] or floating in [0, 1]; got {image.dtype}. "
        "Cast it with astype(jnp.uint8)."
    )


def apply(image: Array, affine: Affine) -> Array:
    """Maps every pixel, without clipping: [H, W, C] float32 to the same shape."""
    # Multiply-adds over whole planes: a dot with an inner size of 3 is several times slower.
    out = affine.bias[None, None, :]
    for channel in range(image.shape[-1]):
        weights = affine.matrix[:, channel]
        out = out + image[:, :, channel : channel + 1] * weights[None, None, :]
    return out


def compose(outer: Affine, inner: Affine) -> Affine:
    """The map that applies ``inner`` first, then ``outer``."""
    return Affine(_product(outer.matrix, inner.matrix), transform(outer, inner.bias))


def transform(affine: Affine, pixel: Array) -> Array:
    """Maps one pixel [C]: also the mean of an image to the mean of the mapped image."""
    return jnp.sum(affine.matrix * pixel[None, :], axis=1) + affine.bias


def brightness(factor: Array | float, *, channels: int) -> Affine:
    """Multiplies all channels by ``factor``; 1 is the identity."""
    return Affine(factor * jnp.eye(channels, dtype=jnp.float32), jnp.zeros(channels, jnp.float32))


def contrast(factor: Array | float, mean: Array) -> Affine:
    """Scales the distance of every channel from the image's mean luma.

    out = factor · pixel + (1 - factor) · luma(mean). The mean is that of the image which comes in:
    in a chain, ``transform`` the first image's mean by what precedes.

    Args:
        factor: scalar, 1 is the identity, 0 a constant image.
        mean: [C] float32, mean over the pixels of the image. Luma weighs three channels as RGB
            and any other number of channels equally.

    Returns:
        Affine of C channels.
    """
    channels = mean.shape[0]
    weights = LUMA if channels == 3 else np.full(channels, 1 / channels, np.float32)
    luma = jnp.sum(weights * mean)
    identity = jnp.eye(channels, dtype=jnp.float32)
    return Affine(factor * identity, jnp.full(channels, (1.0 - factor) * luma))


def saturation(factor: Array | float) -> Affine:
    """Scales the distance of RGB from luma: factor 1 is the identity, 0 is grey."""
    return Affine(
        factor * jnp.eye(3, dtype=jnp.float32) + (1.0 - factor) * _grey(), jnp.zeros(3, jnp.float32)
    )


def hue(shift: Array | float) -> Affine:
    """Turns the chroma plane of YIQ by ``shift`` turns and keeps luma.

    The sign is HSV's: a positive shift leads from red to green. HSV hue advances by 0.6 to 1.7
    times the shift, 1.07 on average over the RGB cube at small shifts; HSV's own shift keeps the
    largest and the smallest channel where this keeps luma.

    Args:
        shift: scalar, turns; 0 and 1 are the identity.

    Returns:
        Affine of three channels.
    """
    angle = 2.0 * math.pi * shift
    chroma, turn = _hue_basis()
    matrix = jnp.eye(3, dtype=jnp.float32) + (jnp.cos(angle) - 1.0) * chroma + jnp.sin(angle) * turn
    return Affine(matrix, jnp.zeros(3, jnp.float32))


def grayscale() -> Affine:
    """Replaces every channel of RGB by luma."""
    return Affine(_grey(), jnp.zeros(3, jnp.float32))


def solarize(image: Array, threshold: Array | float) -> Array:
    """Inverts bright values: 1 - x where x >= threshold, x elsewhere; not affine.

    Args:
        image: float32 in [0, 1], any shape.
        threshold: scalar; 0 inverts everything, above 1 nothing.

    Returns:
        The same shape, float32 in [0, 1].
    """
    return jnp.where(image >= threshold, 1.0 - image, image)


def select(condition: Array, affine: Affine) -> Affine:
    """``affine`` where the boolean scalar holds, the identity elsewhere."""
    identity = jnp.eye(affine.bias.shape[0], dtype=jnp.float32)
    return Affine(
        jnp.where(condition, affine.matrix, identity), jnp.where(condition, affine.bias, 0.0)
    )


def _grey() -> Array:
    return jnp.tile(LUMA[None, :], (3, 1))


@functools.cache
def _hue_basis() -> tuple[np.ndarray, np.ndarray]:
    """What the cosine and the sine of the angle multiply, in RGB; worked out in float64."""
    inverse = np.linalg.inv(_YIQ)
    chroma = inverse @ np.diag([0.0, 1.0, 1.0]) @ _YIQ
    # Clockwise in the I-Q plane: red, green, blue, as HSV counts.
    turn = inverse @ np.array([[0, 0, 0], [0, 0, 1], [0, -1, 0]]) @ _YIQ
    return chroma.astype(np.float32), turn.astype(np.float32)


def _product(left: Array, right: Array) -> Array:
    # Not a dot: under vmap that would be thousands of 3 × 3 products.
    return jnp.sum(left[:, :, None] * right[None, :, :], axis=1)
