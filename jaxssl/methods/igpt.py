"""iGPT: from the pixels before it, in raster order, which colour has the next one?"""

import dataclasses
import operator
from collections.abc import Callable
from typing import Self

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np

from jaxssl import checks
from jaxssl.augment import policies
from jaxssl.methods.shared import assembly, functional, language, vits
from jaxssl.pretext import palette as palettes
from jaxssl.types import Array, Example, Method, Picture, PyTree, Views


@dataclasses.dataclass(frozen=True)
class IGPT:
    """Generative pretraining from pixels: each pixel is named out of M colours.

    The view is a small image whose pixels are replaced by the nearest of M clusters of the data
    set's colours. A transformer reads it pixel by pixel, none seeing those behind it, and a linear
    layer scores what follows:

        loss = mean over pixels n > 1 of  -log softmax(W token_(n-1) + b) at cluster_n

    with pixels counted from 1. The encoder is a ViT with patches of one pixel and causal attention,
    in evaluation too. The paper's best features are means over pixels of a block in the middle:
    ``--stage`` of the evaluators. Metrics: ``accuracy``, and ``bits_per_token``, of a pixel.

    It differs from the official code in that a pixel enters as its colour, by a linear layer (there
    its cluster's number, by a table), and evaluation shows colours as they are; in that the first
    pixel is not named (there from a learned start); and in the encoder's norms and GELU. iGPT-S has
    width 512, depth 24 and 8 heads, and learned positions. What the optimizer adds there: Adam,
    betas 0.9 and 0.95, no weight decay.

    Attributes:
        augment: crop and flip, down to a small image; the paper: 32, 48 or 64 pixels.
        num_clusters: M.
        palette: M colours in [0, 1], of 1 or 3 channels; empty until ``prepare``.

    Source: Chen et al., Generative Pretraining from Pixels, ICML 2020, sections 2 and 3; src/ of
        github.com/openai/image-gpt.
    """

    augment: policies.CropFlip = policies.CropFlip(
        32, crop_scale=(0.34, 0.77), crop_ratio=(1.0, 1.0)
    )
    num_clusters: int = 512
    palette: tuple[tuple[float, ...], ...] = ()

    def __post_init__(self):
        checks.at_least(self, 2, "num_clusters", fix="The paper has 512.")

    def prepare(self, num_examples: int, sample: Callable[[], np.ndarray]) -> Self:
        """The same with the colours of a data set; see ``types.MethodConfig``.

        Raises:
            ValueError: images of fewer colours than are asked for.
        """
        del num_examples
        colors = palettes.fit(sample(), self.num_clusters)
        return dataclasses.replace(self, palette=tuple(map(tuple, colors.tolist())))

    def build(self, encoder: nn.Module, *, axis_name: str | None) -> Method:
        """Binds the hyper-parameters; see ``types.Method``.

        Raises:
            ValueError: an encoder that is no causal ViT of single pixels, an image of one pixel, or
                a config that is not prepared.
        """
        del axis_name  # nothing here depends on other devices
        _check_encoder(encoder)
        size = self.augment.size
        checks.at_least("IGPT", 2, size=size, fix="The paper's images have 32 pixels or more.")
        if not self.palette:
            raise ValueError(
                "IGPT: palette must be that of a data set; got none. Call "
                "prepare(num_examples, sample)."
            )
        colors = jnp.array(self.palette, jnp.float32)
        head = vits.linear_head(encoder, len(self.palette))
        network = functional.WithHead(encoder, head, read=operator.attrgetter("tokens"))

        def view(key: Array, example: Example) -> Views:
            clusters = palettes.nearest(self.augment(key, example["image"]), colors)
            return {"image": palettes.paint(clusters, colors, size), "clusters": clusters}

        def init(key: Array, views: Views) -> tuple[PyTree, PyTree]:
            return network.init(key, views["image"])

        def loss(params, state, views, key, clock):
            del key, clock
            scores, state = network.apply(params, state, views["image"])
            values, metrics = language.values_and_metrics(scores[:, :-1], views["clusters"][:, 1:])
            return values, (state, metrics)

        def complete(params: PyTree, state: PyTree, clusters: Array) -> Array:
            """The upper half, and below it pixels drawn one by one, each from those before it."""

            def draw(place: Array, clusters: Array) -> Array:
                images = palettes.paint(clusters, colors, size)
                scores = network.predict(params, state, images)[:, place - 1]
                key = jax.random.fold_in(jax.random.key(0), place)
                return clusters.at[:, place].set(jax.random.categorical(key, scores))

            return jax.lax.fori_loop(size // 2 * size, size * size, draw, clusters)

        def show(params: PyTree, state: PyTree, views: Views) -> list[Picture]:
            """The views; each pixel as it is named from the true ones before it; completions."""
            images, clusters = views["image"], views["clusters"]
            named = network.predict(params, state, images)[:, :-1].argmax(axis=-1)
            named = jnp.concatenate([clusters[:, :1], named], axis=1)
            return [
                ("view", images),
                ("each pixel from those before it", palettes.paint(named, colors, size)),
                (
                    "the lower half, drawn",
                    palettes.paint(complete(params, state, clusters), colors, size),
                ),
            ]

        return assembly.assemble(view, init, loss, size=size, show=show)


def _check_encoder(encoder: nn.Module) -> None:
    vits.check_encoder("IGPT", encoder, can="read pixels in order", sees_pixels=True)
    if encoder.config.patch_size != 1:
        raise ValueError(
            "IGPT: the encoder's patches must be single pixels, which are named; got patches of "
            f"{encoder.config.patch_size}. Set --encoder.patch-size 1."
        )
    if not encoder.config.causal:
        raise ValueError(
            "IGPT: the encoder must not see the pixels it is asked for; got causal False. Set "
            "--encoder.causal."
        )
