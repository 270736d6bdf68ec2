"""Colorization: from the lightness of an image, what were its colours?"""

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
from jaxssl.models import dense
from jaxssl.pretext import color, gamut, greyness
from jaxssl.types import Array, Example, Method, Picture, PyTree, Views


@dataclasses.dataclass(frozen=True)
class Colorization:
    """Colorization as classification: the encoder sees L, a head names the ab bin of the pixels.

    loss = mean over places of v(Z) · -sum_q Z_q log softmax(head(encoder(L)))_q, where Z is the
    soft code of the pixel's ab over 313 bins, and the weight v, of its nearest bin, makes rare
    colours count as much as the many desaturated ones. A grey image weighs nothing.

    The places are every ``output_stride``-th pixel; the official code puts the weight on the
    gradient only, which trains the same and prints the unweighted loss, here "cross_entropy".

    Attributes:
        augment: crop and flip; the encoder takes the colours away. By default 176 pixels of an
            image of 256, whose 44 places suit an encoder of stride 4, 8 or 16, such as a ResNet
            with the small stem; the official network's stride is 8.
        output_stride: pixels of the view a place, along a side; the places on a side must be the
            cells of the encoder's last map times 1, 2, 4, …
        head_width: channels of the head.
        num_neighbours: bins that share a pixel in the soft code.
        sigma: width of the soft code and of the smoothing of the prior, Lab units.
        uniform_share: lambda of the weights: 0 weighs by the inverse prior, 1 all alike.
        temperature: of the annealed mean that turns a prediction into a colour, for pictures.
        prior: 313 frequencies of the bins in the data set; empty until ``prepare``.

    Source: Zhang et al., Colorful Image Colorization, 2016, arXiv:1603.08511, eq. 2 to 5;
        crop and mirror from models/colorization_train_val_v2.prototxt of
        github.com/richzhang/colorization.
    """

    augment: policies.CropFlip = policies.CropFlip.fixed_scale(176, image_size=256)
    output_stride: int = 4
    head_width: int = 256
    num_neighbours: int = 10
    sigma: float = 5.0
    uniform_share: float = 0.5
    temperature: float = 0.38
    prior: tuple[float, ...] = ()

    def __post_init__(self):
        if self.output_stride < 1 or self.augment.size % self.output_stride:
            raise ValueError(
                f"Colorization: output_stride must divide the image size {self.augment.size}; got "
                f"{self.output_stride}. The paper's is 4."
            )

    def prepare(self, num_examples: int, sample: Callable[[], np.ndarray]) -> Self:
        """The same with the prior of a data set; see ``types.MethodConfig``.

        Raises:
            ValueError: grey images.
        """
        del num_examples
        images = sample()
        greyness.check_has_color("Colorization", images)
        prior = color.ab_prior(images, num_neighbours=self.num_neighbours, sigma=self.sigma)
        return dataclasses.replace(self, prior=tuple(prior.tolist()))

    def build(self, encoder: nn.Module, *, axis_name: str | None) -> Method:
        """Binds the hyper-parameters; see ``types.Method``.

        Raises:
            ValueError: an encoder that sees colours, or a config that is not prepared.
        """
        seen = getattr(encoder.config, "color_space", type(encoder).__name__)
        if seen != "lightness":
            raise ValueError(
                "Colorization: the encoder must see lightness alone, or it would copy the colors; "
                f"got {seen!r}. Set color_space='lightness' and mean=(50.0,) of the encoder."
            )
        if not self.prior:
            raise ValueError(
                "Colorization: prior must be that of a data set; got none. Call "
                "prepare(num_examples, sample)."
            )
        weights = jnp.asarray(
            color.rebalancing_weights(np.array(self.prior), uniform_share=self.uniform_share),
            jnp.float32,
        )
        network = self._network(encoder, axis_name)

        def view(key: Array, example: Example) -> Views:
            return {"image": self.augment(key, example["image"])}

        def init(key: Array, views: Views) -> tuple[PyTree, PyTree]:
            return network.init(key, views["image"])

        def loss(params, state, views, key, clock):
            del key, clock
            logits, state = network.apply(params, state, views["image"])
            ab = self._target(views["image"])
            code = color.soft_ab(ab, num_neighbours=self.num_neighbours, sigma=self.sigma)
            nearest = color.hard_ab(ab)
            is_colored = jnp.any(jnp.abs(ab) > greyness.LEAST_COLOR, axis=(1, 2, 3), keepdims=True)
            weight = weights[nearest] * is_colored[..., 0].astype(jnp.float32)
            values = losses.soft_cross_entropy(logits, code)
            metrics = {
                "accuracy": jnp.mean((logits.argmax(-1) == nearest).astype(jnp.float32)),
                "cross_entropy": jnp.mean(values),
            }
            return jnp.mean(weight * values, axis=(1, 2)), (state, metrics)

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
        """The views, what the encoder sees of them, and the network's colours on the same L.

        Returns:
            Titles and images float32 [B, H, W, 3] in [0, 1]; right is a place whose likeliest bin
            is the nearest one to its pixel.
        """
        images = views["image"]
        logits = network.predict(params, state, images)
        is_right = logits.argmax(-1) == color.hard_ab(self._target(images))
        ab = color.annealed_mean(logits, temperature=self.temperature)
        lab = colorspace.rgb_to_lab(images)
        lightness = lab[..., :1]
        grey = jnp.concatenate([lightness, jnp.zeros_like(lab[..., 1:])], axis=-1)
        ab = jax.image.resize(ab, lab[..., 1:].shape, "bilinear")
        colored = jnp.concatenate([lightness, ab], axis=-1)
        return [
            ("view", images),
            ("what the encoder sees", colorspace.lab_to_rgb(grey)),
            (
                f"its colours ({is_right.sum()} of {is_right.size} places right)",
                colorspace.lab_to_rgb(colored),
            ),
        ]

    def _target(self, images: Array) -> Array:
        """ab of the places, float32 [B, side, side, 2]."""
        return colorspace.rgb_to_lab(color.sample_cells(images, self.output_stride))[..., 1:]

    def _network(self, encoder: nn.Module, axis_name: str | None) -> functional.WithHead:
        head = dense.DenseHead(
            side=self.augment.size // self.output_stride,
            num_classes=gamut.NUM_AB_BINS,
            width=self.head_width,
            dtype=encoder.config.dtype,
            axis_name=axis_name,
        )
        return functional.WithHead(encoder, head, read=operator.attrgetter("tokens"))
