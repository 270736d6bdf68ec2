"""Views of geometry alone: resize, random-resized crop, padded crop, flip."""

import dataclasses
import itertools
from typing import Self

import jax
import jax.numpy as jnp

from jaxssl import checks, cropping
from jaxssl.augment import color, geometry
from jaxssl.types import Array

CROP_RATIO = (3 / 4, 4 / 3)
SWITCH = "Use 0 to switch it off, 1 to apply it always."  # to who gave another probability


@dataclasses.dataclass(frozen=True)
class Resize:
    """The whole image resized to a square, antialiased; spends no randomness.

    The view without augmentation: at the image's own size it is exactly the identity.

    Attributes:
        size: side of the result, pixels.
        interpolation: "linear" or "cubic".
    """

    size: int
    interpolation: str = "linear"

    def __post_init__(self):
        _check_resize(self)

    def __call__(self, key: Array, image: Array) -> Array:
        """The image [H, W, C], uint8 or floating in [0, 1], as [size, size, C] float32."""
        del key
        image = to_float_image(self, image)
        rows, columns = (
            geometry.resize_matrix(
                0.0, length, length=length, size=self.size, method=self.interpolation
            )
            for length in image.shape[:2]
        )
        return jnp.clip(geometry.apply(image, rows, columns), 0.0, 1.0)


@dataclasses.dataclass(frozen=True)
class CropFlip:
    """Random-resized crop and horizontal flip: the views of rotation prediction on ImageNet.

    Attributes:
        size: side of the view, pixels.
        crop_scale: lowest and highest fraction of the image's area.
        crop_ratio: lowest and highest width / height of the box.
        flip_prob: probability of the flip.
        interpolation: "linear" or "cubic", antialiased.

    ``fixed_scale`` makes the crop that the pretext tasks before it have.

    Source: Szegedy et al., Going Deeper with Convolutions, 2014, arXiv:1409.4842, section 6.
    """

    size: int
    crop_scale: tuple[float, float] = (0.08, 1.0)
    crop_ratio: tuple[float, float] = CROP_RATIO
    flip_prob: float = 0.5
    interpolation: str = "linear"

    def __post_init__(self):
        _check_resize(self)
        name = type(self).__name__
        if not 0 < self.crop_scale[0] <= self.crop_scale[1] <= 1:
            raise ValueError(
                f"{name}: crop_scale must be a pair of areas 0 < low <= high <= 1; got "
                f"{self.crop_scale}. For the whole image use (1.0, 1.0)."
            )
        if not 0 < self.crop_ratio[0] <= self.crop_ratio[1]:
            raise ValueError(
                f"{name}: crop_ratio must be a pair 0 < low <= high of width/height; got "
                f"{self.crop_ratio}. The published pair is (3/4, 4/3)."
            )
        checks.in_range(self, 0, 1, "flip_prob", fix=SWITCH)

    @classmethod
    def fixed_scale(cls, size: int, *, image_size: int, flip_prob: float = 0.5) -> Self:
        """The crop of ``size`` pixels anywhere in a square image of ``image_size`` pixels.

        Of an image of that size a square is cut, at a whole pixel drawn uniformly, and nothing is
        resized. Of another, or with another ``size`` put in later, the box is the same part of the
        image, (size / image_size)² of its area, and is resized.

        Args:
            size: side of the view, pixels.
            image_size: side that the images have been resized to, pixels.
            flip_prob: probability of the mirror image.

        Returns:
            The config, whose scale and ratio are one value each.

        Raises:
            ValueError: a crop larger than the image, or none.
        """
        fix = "Resize the images larger, or cut smaller crops."
        checks.in_range(f"{cls.__name__}.fixed_scale", 1, image_size, size=size, fix=fix)
        area = (size / image_size) ** 2
        return cls(size, (area, area), (1.0, 1.0), flip_prob)

    def host_crops(self) -> tuple[cropping.Crop, ...]:
        """What the host must know to make the crop, and leave the rest of the view to the device.

        A view that gets this crop in place of an image, as ``cropping.Crops``, is the rest alone.
        """
        return (cropping.Crop(self.size, self.crop_scale, self.crop_ratio, self.interpolation),)

    def __call__(self, key: Array, image: Array | cropping.Crops) -> Array:
        """One view [size, size, C] float32 in [0, 1].

        Args:
            key: PRNG key; of one key the flip is the same whoever made the crop.
            image: [H, W, C], uint8 or floating in [0, 1]; or its crop.
        """
        draws = draw(key, crop=geometry.NUM_CROP_DRAWS, flip=1)
        image, rows, columns = self.prepare(image, draws["crop"], draws["flip"])
        return jnp.clip(geometry.apply(image, rows, columns), 0.0, 1.0)

    def prepare(
        self, image: Array | cropping.Crops, crop: Array, flip: Array
    ) -> tuple[Array, Array, Array]:
        """An image as floats, and the row and column matrix that make the cropped view of it.

        Args:
            image: [H, W, C], uint8 or floating in [0, 1]; or its crop.
            crop: [NUM_CROP_DRAWS] float32, uniform in [0, 1); of no use where the crop is there.
            flip: [1] float32, uniform in [0, 1).

        Returns:
            Image float32 in [0, 1], and [size, H] and [size, W] float32; the columns may be
            mirrored.
        """
        if isinstance(image, cropping.Crops):
            image = to_float_image(self, image.only())
            rows = columns = jnp.eye(self.size, dtype=jnp.float32)
        else:
            image = to_float_image(self, image)
            rows, columns = self._matrices(crop, image.shape)
        return image, rows, geometry.flip_matrix(columns, flip[0] < self.flip_prob)

    def _matrices(self, crop: Array, shape: tuple[int, ...]) -> tuple[Array, Array]:
        height, width, _ = shape
        top, left, crop_height, crop_width = geometry.crop_box(
            crop, height, width, scale=self.crop_scale, ratio=self.crop_ratio
        )
        rows = geometry.resize_matrix(
            top, crop_height, length=height, size=self.size, method=self.interpolation
        )
        columns = geometry.resize_matrix(
            left, crop_width, length=width, size=self.size, method=self.interpolation
        )
        return rows, columns


@dataclasses.dataclass(frozen=True)
class PadCropFlip:
    """Zero padding, a random crop of the image's own size, and a flip: the classic CIFAR view.

    Pixels are moved, never interpolated.

    Attributes:
        padding: pixels added on every side.
        flip_prob: probability of the horizontal flip.

    Source: He et al., Deep Residual Learning, 2015, arXiv:1512.03385, section 4.2.
    """

    padding: int = 4
    flip_prob: float = 0.5

    def __post_init__(self):
        checks.at_least(self, 0, "padding", fix="The usual value is 4.")
        checks.in_range(self, 0, 1, "flip_prob", fix=SWITCH)

    def __call__(self, key: Array, image: Array) -> Array:
        """One view [H, W, C] float32 in [0, 1] of [H, W, C], uint8 or floating in [0, 1]."""
        image = to_float_image(self, image)
        draws = draw(key, shift=2, flip=1)
        down, right = jnp.floor(draws["shift"] * (2 * self.padding + 1)) - self.padding
        rows = geometry.shift_matrix(down, length=image.shape[0])
        columns = geometry.shift_matrix(right, length=image.shape[1])
        columns = geometry.flip_matrix(columns, draws["flip"][0] < self.flip_prob)
        return geometry.apply(image, rows, columns)


def to_float_image(view: object, image: Array) -> Array:
    """One image [H, W, C], uint8 or floating in [0, 1], as float32; raises where it is none."""
    if image.ndim != 3:
        raise ValueError(
            f"{type(view).__name__}: an image must be [H, W, C], one example; got shape "
            f"{image.shape}. Map over a batch with jax.vmap, or add the channel axis."
        )
    return color.to_float(image)


def draw(key: Array, **counts: int) -> dict[str, Array]:
    """Uniform numbers in [0, 1), float32, by name, ``counts`` of each.

    They are one draw, cut in the order of the names: what is added at the end leaves the earlier
    ones as they were. (Each further draw would add a third of a second of compilation.)
    """
    ends = list(itertools.accumulate(counts.values()))
    uniform = jax.random.uniform(key, (ends[-1],), jnp.float32)
    return dict(zip(counts, jnp.split(uniform, ends[:-1]), strict=True))


def _check_resize(view: Resize | CropFlip) -> None:
    fix = "Use the side in pixels that the encoder expects, such as 32 or 224."
    checks.at_least(view, 1, "size", fix=fix)
    fix = "Use 'linear' unless the policy asks for bicubic crops."
    checks.choice(view, geometry.METHODS, "interpolation", fix=fix)
