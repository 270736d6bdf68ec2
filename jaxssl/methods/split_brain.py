"""Split-brain autoencoder: two halves, each asked for the channels that the other one sees."""

import dataclasses
import functools
import operator
from collections.abc import Callable
from typing import Self

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxssl import colorspace, losses
from jaxssl.augment import policies
from jaxssl.methods.shared import assembly, functional
from jaxssl.models import split
from jaxssl.pretext import color, gamut, greyness
from jaxssl.types import Array, Example, Method, Picture, PyTree, Views


@dataclasses.dataclass(frozen=True)
class SplitBrain:
    """Split-brain autoencoder: L predicts ab, ab predicts L, and both are the representation.

    loss = mean over places of cross_entropy(head(half_1(L)), bin of ab)
    + cross_entropy(head(half_2(ab)), bin of L), with 313 bins of ab and 50 of L, hard labels and
    equal weights. No half ever sees what it is asked for; together they see the whole image.

    Attributes:
        augment: crop and flip. By default 180 pixels of an image of 256.
        output_stride: pixels of the view a place, along a side; the places on a side must be the
            cells of the encoder's last map times 1, 2, 4, … By default there are 12 x 12, from the
            6 x 6 cells of ResNets with the ImageNet stem.
        head_width: channels of each half's head.

    Source: Zhang et al., Split-Brain Autoencoders: Unsupervised Learning by Cross-Channel
        Prediction, 2017, arXiv:1611.09842, eq. 1 to 4. Its training code is not published; the
        mirror is from colorization/train_alexnet/train_val.prototxt of
        github.com/richzhang/colorization, the same authors' network with the same crop.
    """

    augment: policies.CropFlip = policies.CropFlip.fixed_scale(180, image_size=256)
    output_stride: int = 15
    head_width: int = 256

    def __post_init__(self):
        if self.output_stride < 1 or self.augment.size % self.output_stride:
            raise ValueError(
                f"SplitBrain: output_stride must divide the image size {self.augment.size}; got "
                f"{self.output_stride}. The paper's targets are 12 places for 180 pixels."
            )

    def prepare(self, num_examples: int, sample: Callable[..., np.ndarray]) -> Self:
        """The same, of images that hold colours; see ``types.MethodConfig``.

        Raises:
            ValueError: grey images.
        """
        del num_examples
        greyness.check_has_color("SplitBrain", sample(greyness.NUM_CHECKED))
        return self

    def build(self, encoder: nn.Module, *, axis_name: str | None) -> Method:
        """Binds the hyper-parameters; see ``types.Method``.

        Raises:
            ValueError: an encoder that is not split.
        """
        if not isinstance(encoder, split.Split):
            raise ValueError(
                "SplitBrain: the encoder must be a Split, one half for L and one for ab; got "
                f"{type(encoder).__name__}. Use models.SplitConfig(half=...)."
            )
        network = self._network(encoder, axis_name)

        def view(key: Array, example: Example) -> Views:
            return {"image": self.augment(key, example["image"])}

        def init(key: Array, views: Views) -> tuple[PyTree, PyTree]:
            return network.init(key, views["image"])

        def loss(params, state, views, key, clock):
            del key, clock
            logits, state = network.apply(params, state, views["image"])
            values: Array | float = 0.0
            metrics = {}
            for name, scores, labels in zip(("ab", "lightness"), logits, self._labels(views)):
                values += losses.cross_entropy(scores, labels).mean(axis=(1, 2))
                is_right = (scores.argmax(-1) == labels).astype(jnp.float32)
                metrics[f"accuracy_{name}"] = jnp.mean(is_right)
            return values, (state, metrics)

        return assembly.assemble(
            view,
            init,
            loss,
            size=self.augment.size,
            show=functools.partial(self._show, network),
        )

    def _show(
        self, network: functional.WithHead, params: PyTree, state: PyTree, views: Views
    ) -> list[Picture]:
        """The views, and each half's answer joined to the true channels that it was given.

        Returns:
            Titles and images float32 [B, H, W, 3] in [0, 1]; ab is the annealed mean of the answer,
            L the middle of its likeliest bin. Right is a place whose likeliest bin is the true one.
        """
        images = views["image"]
        logits = network.predict(params, state, images)
        is_right = [
            scores.argmax(-1) == labels for scores, labels in zip(logits, self._labels(views))
        ]
        lab = colorspace.rgb_to_lab(images)
        lightness, ab = lab[..., :1], lab[..., 1:]
        ab_answer = color.annealed_mean(logits[0])
        lightness_answer = color.lightness_of_bin(logits[1].argmax(-1))[..., None]

        def join(lightness: Array, ab: Array) -> Array:
            lightness = jax.image.resize(lightness, lab[..., :1].shape, "bilinear")
            ab = jax.image.resize(ab, lab[..., 1:].shape, "bilinear")
            return colorspace.lab_to_rgb(jnp.concatenate([lightness, ab], axis=-1))

        return [
            ("view", images),
            (
                f"colours from L ({is_right[0].sum()} of {is_right[0].size} places right)",
                join(lightness, ab_answer),
            ),
            (
                f"L from colours ({is_right[1].sum()} of {is_right[1].size} places right)",
                join(lightness_answer, ab),
            ),
        ]

    def _labels(self, views: Views) -> tuple[Array, Array]:
        """Bins of ab and of L of the places, int32 [B, side, side] each."""
        lab = colorspace.rgb_to_lab(color.sample_cells(views["image"], self.output_stride))
        return color.hard_ab(lab[..., 1:]), color.lightness_bin(lab[..., 0])

    def _network(self, encoder: nn.Module, axis_name: str | None) -> functional.WithHead:
        heads = split.CrossHeads(
            side=self.augment.size // self.output_stride,
            num_ab=gamut.NUM_AB_BINS,
            num_lightness=color.NUM_LIGHTNESS_BINS,
            width=self.head_width,
            dtype=encoder.config.dtype,
            axis_name=axis_name,
        )
        return functional.WithHead(encoder, heads, name="heads", read=operator.attrgetter("tokens"))
