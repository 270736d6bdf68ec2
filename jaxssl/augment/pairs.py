"""Views with colour, blur and solarisation, one at a time or in pairs."""

import dataclasses
import functools

import jax
import jax.numpy as jnp

from jaxssl.augment import checks, color, crops, geometry
from jaxssl.types import Array


@dataclasses.dataclass(frozen=True)
class SimCLR(crops.CropFlip):
    """Crop, flip, colour jitter, greyscale and blur: the views of SimCLR and its relatives.

    The defaults are the ImageNet recipe. CIFAR: ``jitter_strength=0.5, blur_prob=0.0``.

    Differences from the official code and torchvision, all for speed: crops are bilinear with
    antialiasing (official: bicubic without); jitter runs as brightness, contrast, saturation,
    hue, in this order always (official: shuffled); values are clipped once at the end; hue turns
    the chroma plane of YIQ, not of HSV; contrast works on luma (TensorFlow: on every channel); blur
    comes before colour, which differs only where values clip and, by its border, in the mean that
    contrast sees; its border is renormalised, and its kernel has at least 3 pixels, so that it
    still blurs sides under 20. Images without exactly three channels skip saturation, hue and
    greyscale; brightness and contrast act on all their channels alike. Solarisation, last, turns
    a value x >= ``solarize_threshold`` into 1 - x.

    Attributes (size, crop, flip and interpolation: see CropFlip):
        jitter: largest change of brightness, contrast, saturation (factors drawn from
            1 - x to 1 + x, at least 0) and of hue (turns, at most 0.5), at strength 1.
        jitter_strength: multiplies ``jitter``.
        jitter_prob: probability of the four jitters together.
        grayscale_prob: probability of greyscale.
        blur_prob: probability of the blur; its kernel is size/10 pixels, made odd.
        blur_sigma: lowest and highest standard deviation of the blur, pixels.
        solarize_prob: probability of solarisation.
        solarize_threshold: the darkest value that solarisation inverts, in [0, 1].

    Source: Chen et al., A Simple Framework for Contrastive Learning of Visual Representations,
    2020, arXiv:2002.05709, appendix A; CIFAR values from the official README, crop ratio and
    kernel from its data_util.py.
    """

    jitter: tuple[float, float, float, float] = (0.8, 0.8, 0.8, 0.2)
    jitter_strength: float = 1.0
    jitter_prob: float = 0.8
    grayscale_prob: float = 0.2
    blur_prob: float = 0.5
    blur_sigma: tuple[float, float] = (0.1, 2.0)
    solarize_prob: float = 0.0
    solarize_threshold: float = 0.5

    def __post_init__(self):
        super().__post_init__()
        checks.probabilities(self, "jitter_prob", "grayscale_prob", "blur_prob", "solarize_prob")
        name = type(self).__name__
        if min(self.jitter) < 0 or self.jitter_strength < 0:
            raise ValueError(
                f"{name}: jitter and jitter_strength must be at least 0; got {self.jitter} and "
                f"{self.jitter_strength}. Use 0 to switch a jitter off."
            )
        if self.jitter[3] * self.jitter_strength > 0.5:
            raise ValueError(
                f"{name}: jitter[3] · jitter_strength must be at most 0.5 turns of hue; got "
                f"{self.jitter[3]} · {self.jitter_strength}. Half a turn reaches every hue."
            )
        if not 0 < self.blur_sigma[0] <= self.blur_sigma[1]:
            raise ValueError(
                f"{name}: blur_sigma must be a pair 0 < low <= high in pixels; got "
                f"{self.blur_sigma}. The published pair is (0.1, 2.0)."
            )
        if not 0 <= self.solarize_threshold <= 1:
            raise ValueError(
                f"{name}: solarize_threshold must be in [0, 1], as pixels are; got "
                f"{self.solarize_threshold}. The published threshold is 0.5."
            )

    def __call__(self, key: Array, image: Array) -> Array:
        """One view [size, size, C] float32 in [0, 1] of [H, W, C], uint8 or floating in [0, 1]."""
        return self._view(
            key,
            image,
            self.blur_prob,
            self.solarize_prob,
            blurs=self.blur_prob > 0,
            solarizes=self.solarize_prob > 0,
        )

    def pair(self, key: Array, image: Array) -> tuple[Array, Array]:
        """Two views of one image, each what a call with a key of its own makes.

        Args:
            key: PRNG key, split in two.
            image: [H, W, C], uint8 or floating in [0, 1].

        Returns:
            View a and view b, [size, size, C] float32 in [0, 1].
        """
        key_a, key_b = jax.random.split(key)
        return self(key_a, image), self(key_b, image)

    def _view(
        self,
        key: Array,
        image: Array,
        blur_prob: Array | float,
        solarize_prob: Array | float,
        *,
        blurs: bool,
        solarizes: bool,
    ) -> Array:
        """One view; what no view of the recipe ever does is not compiled."""
        image = checks.to_float_image(self, image)
        crop, flip, jitter, grey, blur, solarize = crops.draw(
            key, geometry.NUM_CROP_DRAWS, 1, 5, 1, 2, 1
        )
        rows, columns = self.matrices(crop, flip, image.shape)
        if blurs:
            blur = self._blur_matrix(blur, blur_prob)
            rows, columns = geometry.compose(blur, rows), geometry.compose(blur, columns)
        view = geometry.apply(image, rows, columns)
        affine = self._color(jitter, grey, view.mean(axis=(0, 1)))
        view = jnp.clip(color.apply(view, affine), 0.0, 1.0)
        if solarizes:
            threshold = jnp.where(solarize[0] < solarize_prob, self.solarize_threshold, jnp.inf)
            view = color.solarize(view, threshold)
        return view

    def _blur_matrix(self, draws: Array, prob: Array | float) -> Array:
        gate, draw = draws
        sigma = jnp.where(gate < prob, geometry.between(draw, *self.blur_sigma), 0.0)
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


@dataclasses.dataclass(frozen=True)
class BYOL(SimCLR):
    """The asymmetric pair of BYOL: blur always and seldom, solarisation on the second view only.

    ``pair`` makes view a as a call does, and view b with the second probabilities. Barlow Twins
    and VICReg use this pair too. The differences from the official code are those of SimCLR; its
    crops are bicubic here as there.

    Attributes (all others: see SimCLR):
        second_blur_prob: probability of the blur of view b.
        second_solarize_prob: probability of solarisation of view b.

    Source: Grill et al., Bootstrap Your Own Latent, 2020, arXiv:2006.07733, appendix B, table 6;
    the authors' configs/byol.py and utils/augmentations.py.
    """

    jitter: tuple[float, float, float, float] = (0.4, 0.4, 0.2, 0.1)
    blur_prob: float = 1.0
    interpolation: str = "cubic"
    second_blur_prob: float = 0.1
    second_solarize_prob: float = 0.2

    def __post_init__(self):
        super().__post_init__()
        checks.probabilities(self, "second_blur_prob", "second_solarize_prob")

    def pair(self, key: Array, image: Array) -> tuple[Array, Array]:
        """Two views of one image, the second with the second probabilities; see SimCLR.

        One function of key and probabilities is mapped over both views, so that a pair compiles
        in the time of one view.
        """
        blur_probs = self.blur_prob, self.second_blur_prob
        solarize_probs = self.solarize_prob, self.second_solarize_prob
        view = functools.partial(
            self._view, blurs=max(blur_probs) > 0, solarizes=max(solarize_probs) > 0
        )
        view_a, view_b = jax.vmap(view, in_axes=(0, None, 0, 0))(
            jax.random.split(key),
            image,
            jnp.array(blur_probs, jnp.float32),
            jnp.array(solarize_probs, jnp.float32),
        )
        return view_a, view_b


@dataclasses.dataclass(frozen=True)
class MoCoV1(SimCLR):
    """The views of MoCo v1: colour jitter always, no blur. The fields are those of SimCLR.

    Differs from the official code in the order: there greyscale comes before the jitter.

    Source: He et al., Momentum Contrast for Unsupervised Visual Representation Learning, 2019,
    arXiv:1911.05722, section 3.3; numbers from the official main_moco.py.
    """

    crop_scale: tuple[float, float] = (0.2, 1.0)
    jitter: tuple[float, float, float, float] = (0.4, 0.4, 0.4, 0.4)
    jitter_prob: float = 1.0
    blur_prob: float = 0.0


@dataclasses.dataclass(frozen=True)
class MoCoV2(SimCLR):
    """The views of MoCo v2, and of SimSiam. The fields are those of SimCLR.

    Source: Chen et al., Improved Baselines with Momentum Contrastive Learning, 2020,
    arXiv:2003.04297, section 2; numbers from the official main_moco.py of ``--aug-plus``.
    """

    crop_scale: tuple[float, float] = (0.2, 1.0)
    jitter: tuple[float, float, float, float] = (0.4, 0.4, 0.4, 0.1)


@dataclasses.dataclass(frozen=True)
class MoCoV3(BYOL):
    """The pair of MoCo v3: BYOL's with bilinear crops. The fields are those of BYOL.

    The default crops are those of the vision transformers; for the ResNet-50:
    ``crop_scale=(0.2, 1.0)``.

    Source: Chen et al., An Empirical Study of Training Self-Supervised Vision Transformers, 2021,
    arXiv:2104.02057; numbers from the official main_moco.py.
    """

    interpolation: str = "linear"
