"""Test images made worse, on the device: five kinds of corruption at five strengths, and rotation.

Kinds and strengths are those of ImageNet-C that can be had from the pixels alone. The width of the
blur is that of CIFAR-10-C, as a part of the side: the weakest of ImageNet-C is nothing on images of
28 pixels. The image stays uint8, so that an encoder reads it by the program that it reads any other
by.

Source: Hendrycks and Dietterich, Benchmarking Neural Network Robustness to Common Corruptions and
    Perturbations, 2019, arXiv:1903.12261, and its code.
"""

import functools
import math
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import jax.scipy.ndimage
import numpy as np

from jaxssl import pooling
from jaxssl.types import Array

_SIDE = 32  # pixels, of the images that the strengths of the blur were chosen for


class Corruption(NamedTuple):
    """One way to make images worse.

    Attributes:
        strengths: five of them, from weak to strong, in the unit that ``unit`` says.
        unit: what a strength is.
        prepare: from a strength and the side of images to what ``apply`` is given of it.
        apply: (key, image float32 [S, S, C] in [0, 1], what was prepared) to an image alike.
    """

    strengths: tuple[float, ...]
    unit: str
    prepare: Callable[[float, int], np.ndarray]
    apply: Callable[[Array, Array, Array], Array]


def corrupt(name: str, images: np.ndarray, rows: np.ndarray, strength: float, seed: int) -> Array:
    """A batch of images, made worse.

    Args:
        name: one of ``ALL``.
        images: uint8 [B, S, S, C].
        rows: int32 [B], of the images in their split: randomness depends on these and the seed, not
            on the batch.
        strength: in the unit of its kind.
        seed: of what is random.

    Returns:
        uint8 [B, S, S, C].
    """
    kind = ALL[name]
    prepared = kind.prepare(strength, images.shape[1]).astype(np.float32)
    return _corrupt(images, rows, prepared, seed, apply=kind.apply)


@functools.partial(jax.jit, static_argnames="apply")
def _corrupt(images: Array, rows: Array, prepared: Array, seed: int, *, apply: Callable) -> Array:
    key = jax.random.key(seed)

    def each(image: Array, row: Array) -> Array:
        made = apply(jax.random.fold_in(key, row), image.astype(jnp.float32) / 255, prepared)
        return jnp.round(255 * jnp.clip(made, 0.0, 1.0)).astype(jnp.uint8)

    return jax.vmap(each)(images, rows)


def _as_is(strength: float, _: int) -> np.ndarray:
    return np.asarray(strength)


def _add_noise(key: Array, image: Array, deviation: Array) -> Array:
    return image + deviation * jax.random.normal(key, image.shape)


def _lower_contrast(_: Array, image: Array, factor: Array) -> Array:
    mean = image.mean(axis=(0, 1), keepdims=True)
    return (image - mean) * factor + mean


def _brighten(_: Array, image: Array, amount: Array) -> Array:
    """More value, in HSV, at the same hue and saturation."""
    value = image.max(axis=-1, keepdims=True)
    brighter = jnp.minimum(value + amount, 1.0)
    return jnp.where(value > 0, image * brighter / jnp.where(value > 0, value, 1.0), brighter)


def _mix(_: Array, image: Array, weights: Array) -> Array:
    """Each row, and each column, as a weighted mean of all; weights are [S, S]."""
    full = jax.lax.Precision.HIGHEST
    return jnp.einsum("ij,kl,jlc->ikc", weights, weights, image, precision=full)


def _blurring(deviation: float, side: int) -> np.ndarray:
    """Weights of a Gaussian on one axis; the image is mirrored at its edges."""
    deviation *= side / _SIDE
    radius = max(1, math.ceil(4 * deviation))
    offsets = np.arange(-radius, radius + 1)
    kernel = np.exp(-0.5 * (offsets / deviation) ** 2)
    places = (np.arange(side)[:, None] + offsets) % (2 * side)
    weights = np.zeros((side, side))
    mirrored = np.where(places < side, places, 2 * side - 1 - places)
    np.add.at(weights, (np.arange(side)[:, None], mirrored), kernel / kernel.sum())
    return weights


def _pixelating(share: float, side: int) -> np.ndarray:
    """Weights that average over so large a share of the pixels as squares, and repeat these."""
    cells = max(1, round(share * side))
    nearest = (np.arange(side) * cells) // side
    return pooling.area_weights(side, cells)[nearest]


def _rotate(_: Array, image: Array, degrees: Array) -> Array:
    """Counter-clockwise about the centre, bilinear; what comes from outside is the nearest edge."""
    side = image.shape[0]
    angle, centre = jnp.deg2rad(degrees), (side - 1) / 2
    rows, columns = (axis - centre for axis in jnp.mgrid[:side, :side].astype(jnp.float32))
    source = [
        jnp.cos(angle) * rows + jnp.sin(angle) * columns + centre,
        jnp.cos(angle) * columns - jnp.sin(angle) * rows + centre,
    ]

    def turned(channel: Array) -> Array:
        return jax.scipy.ndimage.map_coordinates(channel, source, order=1, mode="nearest")

    return jax.vmap(turned, in_axes=-1, out_axes=-1)(image)


CORRUPTIONS = {
    "noise": Corruption(
        (0.08, 0.12, 0.18, 0.26, 0.38), "standard deviation, white being 1", _as_is, _add_noise
    ),
    "blur": Corruption(
        (0.4, 0.6, 0.7, 0.8, 1.0), f"standard deviation, pixels of {_SIDE}", _blurring, _mix
    ),
    "contrast": Corruption(
        (0.4, 0.3, 0.2, 0.1, 0.05), "part that is left", _as_is, _lower_contrast
    ),
    "brightness": Corruption((0.1, 0.2, 0.3, 0.4, 0.5), "added to the value", _as_is, _brighten),
    "pixelate": Corruption(
        (0.6, 0.5, 0.4, 0.3, 0.25), "part of the side that is left", _pixelating, _mix
    ),
}
ROTATION = {
    "rotation": Corruption((15.0, 30.0, 45.0, 60.0, 90.0), "degrees", _as_is, _rotate),
}
ALL = CORRUPTIONS | ROTATION
