"""One view with colours, blur and solarisation, fast or exactly as published."""

import dataclasses
from typing import Any

import jax.numpy as jnp

from jaxssl import checks, cropping
from jaxssl.augment import color, crops, exact, geometry
from jaxssl.types import Array

Change = Any  # what a field of a view may hold: a number, a word, or some numbers


@dataclasses.dataclass(frozen=True)
class View(crops.CropFlip):
    """Crop and flip, then blur, colour jitter, greyscale and solarisation.

    The defaults are the numbers of SimCLR on ImageNet. Values are clipped to [0, 1] before
    solarisation, which turns a value x >= ``solarize_threshold`` into 1 - x. Images without exactly
    three channels skip saturation, hue and greyscale; brightness and contrast act on all their
    channels alike. docs/augmentation.md says what differs from the usual libraries, and ``exact``
    takes away: it has the meaning of torchvision's transforms on float images, and their order. Of
    one key the crop, the flip and all numbers are the same either way.

    Attributes:
        size: side of the view, pixels.
        crop_scale: lowest and highest fraction of the image's area.
        crop_ratio: lowest and highest width / height of the box.
        flip_prob: probability of the horizontal flip.
        interpolation: "linear" or "cubic", antialiased.
        jitter: largest change of brightness, contrast, saturation (factors drawn from
            1 - x to 1 + x, at least 0) and of hue (turns, at most 0.5), at strength 1.
        jitter_strength: multiplies ``jitter``.
        jitter_prob: probability of the four jitters together.
        grayscale_prob: probability of greyscale.
        blur_prob: probability of the blur; its kernel is size/10 pixels, made odd.
        blur_sigma: lowest and highest standard deviation of the blur, pixels.
        solarize_prob: probability of solarisation.
        solarize_threshold: the darkest value that solarisation inverts, in [0, 1].
        exact: jitter in an order drawn for each image, with HSV hue and a clip after each
            operation; then greyscale, then the blur, mirrored at the border, whose kernel is
            size/10 pixels even where that is one pixel, no blur.
        grayscale_first: with ``exact``, greyscale comes before the jitter, as in MoCo v1.
    """

    jitter: tuple[float, float, float, float] = (0.8, 0.8, 0.8, 0.2)
    jitter_strength: float = 1.0
    jitter_prob: float = 0.8
    grayscale_prob: float = 0.2
    blur_prob: float = 0.5
    blur_sigma: tuple[float, float] = (0.1, 2.0)
    solarize_prob: float = 0.0
    solarize_threshold: float = 0.5
    exact: bool = False
    grayscale_first: bool = False

    def __post_init__(self):
        super().__post_init__()
        probabilities = "jitter_prob", "grayscale_prob", "blur_prob", "solarize_prob"
        checks.in_range(self, 0, 1, *probabilities, fix=crops.SWITCH)
        checks.at_least(self, 0, "jitter", "jitter_strength", fix="Use 0 to switch a jitter off.")
        checks.in_range(self, 0, 1, "solarize_threshold", fix="The published threshold is 0.5.")
        name = type(self).__name__
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

    def unused(self) -> dict[str, str]:
        """The fields of what is switched off, each with the one that switches it on."""
        switches = {
            "jitter": "jitter_prob",
            "jitter_strength": "jitter_prob",
            "blur_sigma": "blur_prob",
            "solarize_threshold": "solarize_prob",
        }
        unused = {
            field: f"it takes a {switch.replace('_', '-')} above 0"
            for field, switch in switches.items()
            if getattr(self, switch) == 0
        }
        return unused if self.exact else unused | {"grayscale_first": "it takes exact True"}

    def __call__(self, key: Array, image: Array | cropping.Crops) -> Array:
        """One view [size, size, C] float32 in [0, 1].

        Args:
            key: PRNG key; of one key flip and colours are the same whoever made the crop.
            image: [H, W, C], uint8 or floating in [0, 1]; or its crop.
        """
        return self.with_probabilities(
            key,
            image,
            self.blur_prob,
            self.solarize_prob,
            blurs=self.blur_prob > 0,
            solarizes=self.solarize_prob > 0,
        )

    def with_probabilities(
        self,
        key: Array,
        image: Array | cropping.Crops,
        blur_prob: Array | float,
        solarize_prob: Array | float,
        *,
        blurs: bool,
        solarizes: bool,
    ) -> Array:
        """The view with other probabilities than its own, which may be traced.

        One function of key and probabilities can so be mapped over several views, and compiles in
        the time of one.

        Args:
            key: PRNG key.
            image: [H, W, C], uint8 or floating in [0, 1]; or its crop.
            blur_prob: scalar.
            solarize_prob: scalar.
            blurs: whether the blur is compiled; False where ``blur_prob`` is 0 in all views.
            solarizes: the same of solarisation.

        Returns:
            [size, size, C] float32 in [0, 1].
        """
        counts = {"crop": geometry.NUM_CROP_DRAWS, "flip": 1, "jitter": 5, "grey": 1, "blur": 2}
        draws = crops.draw(key, **counts, solarize=1, **({"order": 4} if self.exact else {}))
        image, rows, columns = self.prepare(image, draws["crop"], draws["flip"])
        sigma = self._blur_sigma(draws["blur"], blur_prob) if blurs else None
        if self.exact:
            view = self._one_by_one(geometry.apply(image, rows, columns), draws, sigma)
        else:
            if sigma is not None:
                radius = max(1, self.size // 20)
                blur = geometry.blur_matrix(sigma, size=self.size, radius=radius)
                rows, columns = geometry.compose(blur, rows), geometry.compose(blur, columns)
            view = geometry.apply(image, rows, columns)
            affine = self._color(draws["jitter"], draws["grey"], view.mean(axis=(0, 1)))
            view = jnp.clip(color.apply(view, affine), 0.0, 1.0)
        if solarizes:
            happens = draws["solarize"][0] < solarize_prob
            threshold = jnp.where(happens, self.solarize_threshold, jnp.inf)
            view = color.solarize(view, threshold)
        return view

    def _one_by_one(self, view: Array, draws: dict[str, Array], sigma: Array | None) -> Array:
        """The cropped image [size, size, C] with colours and blur as torchvision applies them."""
        gate, *factor_draws = draws["jitter"]

        def jitter(view: Array) -> Array:
            factors = [
                geometry.between(draw, *ends)
                for draw, ends in zip(factor_draws, self._jitter_ranges(), strict=True)
            ]
            made = exact.jitter(view, jnp.stack(factors), exact.draw_order(draws["order"]))
            return jnp.where(gate < self.jitter_prob, made, view)

        def grayscale(view: Array) -> Array:
            return jnp.where(draws["grey"][0] < self.grayscale_prob, exact.grayscale(view), view)

        changes = [jitter] * (self.jitter_prob > 0) + [grayscale] * (self.grayscale_prob > 0)
        view = jnp.clip(view, 0.0, 1.0)  # cubic crops overshoot
        for change in reversed(changes) if self.grayscale_first else changes:
            view = change(view)
        if sigma is None:
            return view
        return jnp.clip(exact.blur(view, sigma, radius=self.size // 20), 0.0, 1.0)

    def _blur_sigma(self, draws: Array, prob: Array | float) -> Array:
        gate, draw = draws
        return jnp.where(gate < prob, geometry.between(draw, *self.blur_sigma), 0.0)

    def _jitter_ranges(self) -> list[tuple[float, float]]:
        """Lowest and highest factor of brightness, contrast, saturation, and shift of hue."""
        *factor_changes, turns = [change * self.jitter_strength for change in self.jitter]
        return [(max(0.0, 1.0 - x), 1.0 + x) for x in factor_changes] + [(-turns, turns)]

    def _color(self, jitter: Array, grey: Array, mean: Array) -> color.Affine:
        """The whole colour chain as one map; ``mean`` [C] of the cropped image."""
        gate, *draws = jitter
        *factor_ranges, turns = self._jitter_ranges()
        bright, contrast, saturation = (
            geometry.between(draw, *ends) for ends, draw in zip(factor_ranges, draws)
        )
        channels = mean.shape[0]
        chain = color.brightness(bright, channels=channels)
        chain = color.compose(color.contrast(contrast, color.transform(chain, mean)), chain)
        if channels == 3:
            chain = color.compose(color.saturation(saturation), chain)
            chain = color.compose(color.hue(geometry.between(draws[3], *turns)), chain)
        chain = color.select(gate < self.jitter_prob, chain)
        if channels == 3:
            greyscale = color.select(grey[0] < self.grayscale_prob, color.grayscale())
            chain = color.compose(greyscale, chain)
        return chain
