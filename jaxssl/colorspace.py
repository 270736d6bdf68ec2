"""sRGB and CIE Lab, pixel by pixel, for D65 white and the 2 degree observer.

Every function takes JAX arrays, computed in float32 or wider, or NumPy arrays, computed in NumPy in
their own precision, so that tables can be made in float64 outside of any trace. There is no matrix
product, whose float32 an accelerator may shorten.

Lab units: L in [0, 100]; over all 2^24 colours a lies in [-86.2, 98.2] and b in [-107.9, 94.5].
The rows of the matrix do not sum to the white exactly, so grey has an a and b of up to 0.005.

Source: IEC 61966-2-1:1999 (sRGB); CIE 15:2004 (Lab).
"""

from typing import Any, TypeVar

import jax.numpy as jnp
import numpy as np

from jaxssl.types import Array

A = TypeVar("A", Array, np.ndarray)

# XYZ of the sRGB primaries, one row for each of X, Y and Z, and of the white that they are
# measured against.
_XYZ_OF_RGB = (
    (0.412453, 0.357580, 0.180423),
    (0.212671, 0.715160, 0.072169),
    (0.019334, 0.119193, 0.950227),
)
_RGB_OF_XYZ = tuple(map(tuple, np.linalg.inv(np.array(_XYZ_OF_RGB)).tolist()))
_WHITE = (0.95047, 1.0, 1.08883)


def rgb_to_lab(rgb: A) -> A:
    """sRGB to Lab.

    Each channel c is made linear, c / 12.92 up to 0.04045 and ((c + 0.055) / 1.055)^2.4 above; the
    matrix gives XYZ, divided by the white's; then L = 116 f(Y) - 16, a = 500 (f(X) - f(Y)),
    b = 200 (f(Y) - f(Z)) with f(t) = t^(1/3) above 0.008856 and 7.787 t + 16 / 116 below.
    The gradient is finite everywhere, at black too.

    Args:
        rgb: floating [..., 3] in [0, 1].

    Returns:
        [..., 3], L, a and b in Lab units, at least float32.

    Raises:
        TypeError: ``rgb`` is not floating.
        ValueError: the last axis is not of 3 channels.
    """
    rgb = _checked("rgb_to_lab", "rgb", rgb, (3,))
    x, y, z = (
        _lightness_curve(value / white)
        for value, white in zip(_mixed(_XYZ_OF_RGB, _linear(rgb)), _WHITE)
    )
    return _module(rgb).stack([116 * y - 16, 500 * (x - y), 200 * (y - z)], axis=-1)


def lab_to_rgb(lab: A) -> A:
    """Lab to sRGB, the inverse of ``rgb_to_lab``; a colour that sRGB lacks is clipped by channel.

    Args:
        lab: floating [..., 3], L, a and b in Lab units.

    Returns:
        [..., 3] in [0, 1], at least float32.

    Raises:
        TypeError: ``lab`` is not floating.
        ValueError: the last axis is not of 3 channels.
    """
    lab = _checked("lab_to_rgb", "lab", lab, (3,))
    xp = _module(lab)
    y = (lab[..., 0] + 16) / 116
    curves = (y + lab[..., 1] / 500, y, y - lab[..., 2] / 200)
    xyz = [_inverse_lightness_curve(curve) * white for curve, white in zip(curves, _WHITE)]
    linear = xp.stack(_mixed(_RGB_OF_XYZ, xp.stack(xyz, axis=-1)), axis=-1)
    is_dark = linear <= 0.0031308
    # Both branches of a where are differentiated: keep the unused one away from a power of 0.
    bright = 1.055 * xp.where(is_dark, 1, linear) ** (1 / 2.4) - 0.055
    return xp.clip(xp.where(is_dark, 12.92 * linear, bright), 0, 1)


def lightness(images: A) -> A:
    """L of Lab alone, of colour or of grey images.

    Args:
        images: floating [..., 3] in [0, 1], or [..., 1], grey.

    Returns:
        [..., 1] in [0, 100], at least float32; of grey, the L of its three equal channels.

    Raises:
        TypeError: ``images`` is not floating.
        ValueError: the last axis is of neither 1 nor 3 channels.
    """
    images = _checked("lightness", "images", images, (1, 3))
    linear = _linear(images)
    # The middle row sums to 1, so that a grey pixel is its own Y.
    y = linear if images.shape[-1] == 1 else _mixed(_XYZ_OF_RGB[1:2], linear)[0][..., None]
    return 116 * _lightness_curve(y) - 16


def _linear(rgb: A) -> A:
    return _module(rgb).where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def _lightness_curve(t: A) -> A:
    xp = _module(t)
    is_dark = t <= 0.008856
    # The slope of the cube root is infinite at 0.
    return xp.where(is_dark, 7.787 * t + 16 / 116, xp.cbrt(xp.where(is_dark, 1, t)))


def _inverse_lightness_curve(f: A) -> A:
    return _module(f).where(f <= 0.2068966, (f - 16 / 116) / 7.787, f * f * f)


def _mixed(matrix: tuple[tuple[float, ...], ...], channels: A) -> list[A]:
    """The product of the matrix with every pixel [..., 3], one [...] for each row."""
    first, second, third = (channels[..., index] for index in range(3))
    return [row[0] * first + row[1] * second + row[2] * third for row in matrix]


def _module(array: A) -> Any:
    return np if isinstance(array, np.ndarray | np.generic) else jnp


def _checked(function: str, name: str, array: A, channels: tuple[int, ...]) -> A:
    if not jnp.issubdtype(array.dtype, jnp.floating):
        raise TypeError(
            f"{function}: {name} must be floating; got {array.dtype}. "
            "Divide uint8 images by 255 first."
        )
    if array.ndim < 1 or array.shape[-1] not in channels:
        raise ValueError(
            f"{function}: {name} must have {' or '.join(map(str, channels))} channels in the last "
            f"axis; got shape {array.shape}. Is the image grey?"
        )
    return array if array.dtype in (np.float32, np.float64) else array.astype(np.float32)
