"""Published augmentation recipes: frozen dataclasses called with a key and one image.

    recipe = recipes.SimCLR(size=32, jitter_strength=0.5, blur_prob=0.0)
    views = jax.vmap(recipe)(keys, images)          # [B] keys, [B, H, W, C] uint8 or float32

Every field is a number, a string or a tuple of numbers, so that a recipe goes into JSON. A call
returns one view, float32 in [0, 1]; a method that wants two calls it with two keys. A view spends
one draw of uniform numbers, cut into named parts (each further draw would add a third of a second
of compilation): a part that is added later at the end does not change the earlier ones.
"""

import dataclasses
import itertools

import jax
import jax.numpy as jnp

from jaxssl.augment import color, geometry
from jaxssl.types import Array

CROP_RATIO = (3 / 4, 4 / 3)


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
        _check_size(self)

    def __call__(self, key: Array, image: Array) -> Array:
        """The image [H, W, C], uint8 or floating in [0, 1], as [size, size, C] float32."""
        del key
        image = _checked_image(self, image)
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

    Source: Szegedy et al., Going Deeper with Convolutions, 2014, arXiv:1409.4842, section 6.
    """

    size: int
    crop_scale: tuple[float, float] = (0.08, 1.0)
    crop_ratio: tuple[float, float] = CROP_RATIO
    flip_prob: float = 0.5
    interpolation: str = "linear"

    def __post_init__(self):
        _check_size(self)
        _check_crop(self)
        _check_probabilities(self, "flip_prob")

    def __call__(self, key: Array, image: Array) -> Array:
        """One view [size, size, C] float32 in [0, 1] of [H, W, C], uint8 or floating in [0, 1]."""
        image = _checked_image(self, image)
        crop, flip = _draw(key, geometry.NUM_CROP_DRAWS, 1)
        rows, columns = _crop_flip(crop, flip, image.shape, self)
        return jnp.clip(geometry.apply(image, rows, columns), 0.0, 1.0)


@dataclasses.dataclass(frozen=True)
class MAE(CropFlip):
    """The views of masked autoencoders: large bicubic crops and flips, no colour.

    The default interpolation is the paper's bicubic (Keys a = -1/2, antialiased, clipped to
    [0, 1]). The fields are those of CropFlip.

    Source: He et al., Masked Autoencoders Are Scalable Vision Learners, 2021, arXiv:2111.06377,
    table 8; crop ratio from the official main_pretrain.py.
    """

    crop_scale: tuple[float, float] = (0.2, 1.0)
    interpolation: str = "cubic"


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
        if self.padding < 0:
            raise ValueError(
                f"PadCropFlip: padding must be at least 0 pixels; got {self.padding}. "
                "The usual value is 4."
            )
        _check_probabilities(self, "flip_prob")

    def __call__(self, key: Array, image: Array) -> Array:
        """One view [H, W, C] float32 in [0, 1] of [H, W, C], uint8 or floating in [0, 1]."""
        image = _checked_image(self, image)
        shift, flip = _draw(key, 2, 1)
        down, right = jnp.floor(shift * (2 * self.padding + 1)) - self.padding
        rows = geometry.shift_matrix(down, length=image.shape[0])
        columns = geometry.shift_matrix(right, length=image.shape[1])
        columns = geometry.flip_matrix(columns, flip[0] < self.flip_prob)
        return geometry.apply(image, rows, columns)


@dataclasses.dataclass(frozen=True)
class SimCLR:
    """Crop, flip, colour jitter, greyscale and blur: the views of SimCLR and its relatives.

    The defaults are the ImageNet recipe. CIFAR: ``jitter_strength=0.5, blur_prob=0.0``. MoCo v2:
    ``crop_scale=(0.2, 1.0), jitter=(0.4, 0.4, 0.4, 0.1)``.

    Differences from the official code and torchvision, all for speed: crops are bilinear with
    antialiasing (official: bicubic without); jitter runs as brightness, contrast, saturation,
    hue, in this order always (official: shuffled); values are clipped once at the end; hue turns
    the chroma plane of YIQ, not of HSV; contrast works on luma (TensorFlow: on every channel); blur
    comes before colour, which differs only where values clip and, by its border, in the mean that
    contrast sees; its border is renormalised, and its kernel has at least 3 pixels, so that it
    still blurs sides under 20. Images without exactly three channels skip saturation, hue and
    greyscale; brightness and contrast act on all their channels alike.

    Attributes:
        size: side of the view, pixels.
        crop_scale: lowest and highest fraction of the image's area.
        crop_ratio: lowest and highest width / height of the box.
        flip_prob: probability of the horizontal flip.
        jitter: largest change of brightness, contrast, saturation (factors drawn from
            1 - x to 1 + x, at least 0) and of hue (turns, at most 0.5), at strength 1.
        jitter_strength: multiplies ``jitter``.
        jitter_prob: probability of the four jitters together.
        grayscale_prob: probability of greyscale.
        blur_prob: probability of the blur; its kernel is size/10 pixels, made odd.
        blur_sigma: lowest and highest standard deviation of the blur, pixels.
        interpolation: "linear" or "cubic", antialiased.

    Source: Chen et al., A Simple Framework for Contrastive Learning of Visual Representations,
    2020, arXiv:2002.05709, appendix A; CIFAR values from the official README, crop ratio and
    kernel from its data_util.py.
    """

    size: int
    crop_scale: tuple[float, float] = (0.08, 1.0)
    crop_ratio: tuple[float, float] = CROP_RATIO
    flip_prob: float = 0.5
    jitter: tuple[float, float, float, float] = (0.8, 0.8, 0.8, 0.2)
    jitter_strength: float = 1.0
    jitter_prob: float = 0.8
    grayscale_prob: float = 0.2
    blur_prob: float = 0.5
    blur_sigma: tuple[float, float] = (0.1, 2.0)
    interpolation: str = "linear"

    def __post_init__(self):
        _check_size(self)
        _check_crop(self)
        _check_probabilities(self, "flip_prob", "jitter_prob", "grayscale_prob", "blur_prob")
        if min(self.jitter) < 0 or self.jitter_strength < 0:
            raise ValueError(
                f"SimCLR: jitter and jitter_strength must be at least 0; got {self.jitter} and "
                f"{self.jitter_strength}. Use 0 to switch a jitter off."
            )
        if self.jitter[3] * self.jitter_strength > 0.5:
            raise ValueError(
                "SimCLR: jitter[3] · jitter_strength must be at most 0.5 turns of hue; got "
                f"{self.jitter[3]} · {self.jitter_strength}. Half a turn reaches every hue."
            )
        if not 0 < self.blur_sigma[0] <= self.blur_sigma[1]:
            raise ValueError(
                "SimCLR: blur_sigma must be a pair 0 < low <= high in pixels; got "
                f"{self.blur_sigma}. The published pair is (0.1, 2.0)."
            )

    def __call__(self, key: Array, image: Array) -> Array:
        """One view [size, size, C] float32 in [0, 1] of [H, W, C], uint8 or floating in [0, 1]."""
        image = _checked_image(self, image)
        crop, flip, jitter, grey, blur = _draw(key, geometry.NUM_CROP_DRAWS, 1, 5, 1, 2)
        rows, columns = _crop_flip(crop, flip, image.shape, self)
        if self.blur_prob:
            blur = self._blur_matrix(blur)
            rows, columns = geometry.compose(blur, rows), geometry.compose(blur, columns)
        view = geometry.apply(image, rows, columns)
        affine = self._color(jitter, grey, view.mean(axis=(0, 1)))
        return jnp.clip(color.apply(view, affine), 0.0, 1.0)

    def _blur_matrix(self, draws: Array) -> Array:
        gate, draw = draws
        sigma = jnp.where(gate < self.blur_prob, geometry.between(draw, *self.blur_sigma), 0.0)
        return geometry.blur_matrix(sigma, size=self.size, radius=max(1, self.size // 20))

    def _color(self, jitter: Array, grey: Array, mean: Array) -> color.Affine:
        """The whole colour chain as one map; ``mean`` [C] of the cropped image."""
        gate, *draws = jitter
        *factor_changes, turns = [change * self.jitter_strength for change in self.jitter]
        bright, contrast, saturation = (
            geometry.between(draw, max(0.0, 1.0 - change), 1.0 + change)
            for change, draw in zip(factor_changes, draws)
        )
        channels = mean.shape[0]
        chain = color.brightness(bright, channels=channels)
        chain = color.compose(color.contrast(contrast, color.transform(chain, mean)), chain)
        if channels == 3:
            chain = color.compose(color.saturation(saturation), chain)
            chain = color.compose(color.hue(geometry.between(draws[3], -turns, turns)), chain)
        chain = color.select(gate < self.jitter_prob, chain)
        if channels == 3:
            greyscale = color.select(grey[0] < self.grayscale_prob, color.grayscale())
            chain = color.compose(greyscale, chain)
        return chain


def _crop_flip(
    crop: Array, flip: Array, shape: tuple[int, ...], recipe: CropFlip | SimCLR
) -> tuple[Array, Array]:
    """Row and column matrix of a random-resized crop whose columns may be mirrored."""
    height, width, _ = shape
    top, left, crop_height, crop_width = geometry.crop_box(
        crop, height, width, scale=recipe.crop_scale, ratio=recipe.crop_ratio
    )
    rows = geometry.resize_matrix(
        top, crop_height, length=height, size=recipe.size, method=recipe.interpolation
    )
    columns = geometry.resize_matrix(
        left, crop_width, length=width, size=recipe.size, method=recipe.interpolation
    )
    return rows, geometry.flip_matrix(columns, flip[0] < recipe.flip_prob)


def _draw(key: Array, *counts: int) -> list[Array]:
    """Uniform numbers in [0, 1), float32, one array for each count."""
    ends = list(itertools.accumulate(counts))
    return jnp.split(jax.random.uniform(key, (ends[-1],), jnp.float32), ends[:-1])


def _checked_image(recipe: object, image: Array) -> Array:
    if image.ndim != 3:
        raise ValueError(
            f"{type(recipe).__name__}: an image must be [H, W, C], one example; got shape "
            f"{image.shape}. Map the recipe over a batch with jax.vmap, or add the channel axis."
        )
    return color.to_float(image)


def _check_size(recipe: Resize | CropFlip | SimCLR) -> None:
    if recipe.size < 1:
        raise ValueError(
            f"{type(recipe).__name__}: size must be at least 1 pixel; got {recipe.size}. "
            "Use the side the encoder expects, such as 32 or 224."
        )
    if recipe.interpolation not in geometry.METHODS:
        raise ValueError(
            f'{type(recipe).__name__}: interpolation must be "linear" or "cubic"; got '
            f'"{recipe.interpolation}". Use "linear" unless the recipe asks for bicubic crops.'
        )


def _check_crop(recipe: CropFlip | SimCLR) -> None:
    low, high = recipe.crop_scale
    if not 0 < low <= high <= 1:
        raise ValueError(
            f"{type(recipe).__name__}: crop_scale must be a pair of areas 0 < low <= high <= 1; "
            f"got {recipe.crop_scale}. For the whole image use (1.0, 1.0)."
        )
    low, high = recipe.crop_ratio
    if not 0 < low <= high:
        raise ValueError(
            f"{type(recipe).__name__}: crop_ratio must be a pair 0 < low <= high of width/height; "
            f"got {recipe.crop_ratio}. The published pair is (3/4, 4/3)."
        )


def _check_probabilities(recipe: object, *names: str) -> None:
    for name in names:
        value = getattr(recipe, name)
        if not 0 <= value <= 1:
            raise ValueError(
                f"{type(recipe).__name__}: {name} must be in [0, 1]; got {value}. "
                "Use 0 to switch it off, 1 to apply it always."
            )
