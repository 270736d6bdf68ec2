"""RandAugment: a few operations, drawn from fourteen, all with one strength.

Each is applied to one image on the device, by numbers that follow from the image's own key. There
is no branch: an operation costs one affine resampling and one of every change of colour, of which
the drawn one is kept.
"""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np

from jaxssl import checks
from jaxssl.augment import color, exact
from jaxssl.types import Array

OPERATIONS = (
    "identity", "shear_x", "shear_y", "translate_x", "translate_y", "rotate", "brightness",
    "color", "contrast", "sharpness", "posterize", "solarize", "autocontrast", "equalize",
)  # fmt: skip
MAX_MAGNITUDE = 30
_LEVELS = 256


@dataclasses.dataclass(frozen=True)
class RandAugment:
    """So many operations in a row, each drawn uniformly, with replacement.

    Differs from torchvision in resampling bilinearly, where that takes the nearest pixel; what
    comes from beyond the border is black in both. Images without exactly three channels skip
    "color".

    Attributes:
        num_operations: operations in a row; 0 leaves images as they are. Published: 2.
        magnitude: of all operations, in [0, 30]: 30 is a turn of 30 degrees, a shear of 0.3, a
            shift by 150/331 of the side, factors 0.1 and 1.9, 4 bits. Published: 9.

    Source: Cubuk et al., RandAugment: Practical Automated Data Augmentation with a Reduced Search
        Space, 2019, arXiv:1909.13719, figure 2; ranges from torchvision.transforms.RandAugment.
    """

    num_operations: int = 0
    magnitude: float = 9.0

    def __post_init__(self):
        checks.at_least(self, 0, "num_operations", fix="Use 0 to switch it off.")
        checks.in_range(self, 0, MAX_MAGNITUDE, "magnitude", fix="The usual magnitude is 9.")

    def unused(self) -> dict[str, str]:
        """What is not looked at where nothing is drawn."""
        return {} if self.num_operations else {"magnitude": "it takes num-operations above 0"}

    def __call__(self, key: Array, image: Array) -> Array:
        """An image [H, W, C] float32 in [0, 1] after the drawn operations; shape and range stay."""
        for index in range(self.num_operations):
            name_key, sign_key = jax.random.split(jax.random.fold_in(key, index))
            operation = jax.random.randint(name_key, (), 0, len(OPERATIONS))
            sign = jax.random.rademacher(sign_key, (), jnp.float32)
            image = apply(image, operation, level=self.magnitude / MAX_MAGNITUDE, sign=sign)
        return image


def apply(image: Array, operation: Array, *, level: float, sign: Array) -> Array:
    """One operation on one image.

    Args:
        image: [H, W, C] float32 in [0, 1].
        operation: int32 scalar, a place in ``OPERATIONS``.
        level: strength in [0, 1].
        sign: float32 scalar, 1 or -1: which way those go that have two.

    Returns:
        [H, W, C] float32 in [0, 1].
    """
    happens = {name: operation == place for place, name in enumerate(OPERATIONS)}
    factor = 1 + sign * 0.9 * level
    changes = {
        "brightness": exact.brightness(image, factor),
        "color": exact.saturation(image, factor),
        "contrast": exact.contrast(image, factor),
        "sharpness": sharpness(image, factor),
        "posterize": posterize(image, bits=8 - round(4 * level)),
        "solarize": color.solarize(image, 1 - level),
        "autocontrast": autocontrast(image),
        "equalize": equalize(image),
    }
    moved = _resample(image, _source(happens, level, sign, image.shape))
    return jnp.select([happens[name] for name in changes], list(changes.values()), moved)


def sharpness(image: Array, factor: Array | float) -> Array:
    """factor · image + (1 - factor) · smoothed, clipped; the border is not smoothed.

    Smoothed is the mean of 3 x 3 pixels of which the middle counts five times.
    """
    height, width, _ = image.shape
    if min(height, width) < 3:
        return image
    around = sum(image[y : height - 2 + y, x : width - 2 + x] for y in range(3) for x in range(3))
    smooth = image.at[1:-1, 1:-1].set((around + 4.0 * image[1:-1, 1:-1]) / 13.0)
    return jnp.clip(factor * image + (1.0 - factor) * smooth, 0.0, 1.0)


def posterize(image: Array, *, bits: int) -> Array:
    """Keeps the highest ``bits`` of 8 of every value."""
    step = 2.0 ** (8 - bits)
    return jnp.floor(_in_levels(image) / step) * step / (_LEVELS - 1)


def autocontrast(image: Array) -> Array:
    """Stretches each channel to [0, 1]; one of a single value stays as it is."""
    low, high = image.min(axis=(0, 1)), image.max(axis=(0, 1))
    is_flat = high == low
    low, extent = jnp.where(is_flat, 0.0, low), jnp.where(is_flat, 1.0, high - low)
    return (image - low[None, None]) / extent[None, None]


def equalize(image: Array) -> Array:
    """Gives each channel an even histogram of 256 values, as PIL's ``ImageOps.equalize``."""
    planes = _in_levels(image).astype(jnp.int32).transpose(2, 0, 1)
    return jax.vmap(_equalize_plane)(planes).transpose(1, 2, 0)


def _equalize_plane(plane: Array) -> Array:
    counts = jnp.bincount(plane.ravel(), length=_LEVELS)
    step = (plane.size - counts[plane.max()]) // (_LEVELS - 1)
    before = jnp.cumsum(counts) - counts
    table = jnp.clip((before + step // 2) // jnp.maximum(step, 1), 0, _LEVELS - 1)
    table = jnp.where(step == 0, jnp.arange(_LEVELS, dtype=table.dtype), table)
    return table[plane].astype(jnp.float32) / (_LEVELS - 1)


def _in_levels(image: Array) -> Array:
    """Whole numbers from 0 to 255, float32."""
    return jnp.round(image * (_LEVELS - 1))


def _source(
    happens: dict[str, Array], level: float, sign: Array, shape: tuple[int, ...]
) -> tuple[Array, Array]:
    """Where the pixels of the result come from: rows and columns [H, W]; their own mostly."""
    height, width, _ = shape
    rows, columns = (
        jnp.asarray(each, jnp.float32) for each in np.mgrid[:height, :width].astype(np.float32)
    )
    shear, turn, shift = 0.3 * level, math.radians(30.0) * level, 150.0 / 331.0 * level

    def where(name: str, amount: float) -> Array:
        return jnp.where(happens[name], sign * amount, 0.0)

    angle = where("rotate", turn)
    cosine, sine = jnp.cos(angle), jnp.sin(angle)
    y, x = rows - (height - 1) / 2, columns - (width - 1) / 2
    turned_rows = cosine * y - sine * x + (height - 1) / 2
    turned_columns = sine * y + cosine * x + (width - 1) / 2
    from_rows = where("shear_y", shear) * columns + where("translate_y", shift * height)
    from_columns = where("shear_x", shear) * rows + where("translate_x", shift * width)
    return turned_rows + from_rows, turned_columns + from_columns


def _resample(image: Array, source: tuple[Array, Array]) -> Array:
    """Bilinear, black beyond the border; exactly the image where every pixel is its own source."""

    def of_plane(plane: Array) -> Array:
        return jax.scipy.ndimage.map_coordinates(plane, list(source), order=1, mode="constant")

    return jax.vmap(of_plane, in_axes=-1, out_axes=-1)(image)
