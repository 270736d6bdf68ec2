"""An encoder of two towers: one network sees images, the other texts, both point into one space."""

import dataclasses
from typing import Any, ClassVar, Literal

import flax.linen as nn
import jax.numpy as jnp

from jaxssl import checks, types, vocabulary
from jaxssl.models import convnext, layers, products, resnet, vit
from jaxssl.models import text as texts
from jaxssl.types import Array

_OF_THE_PAIR = ("dtype", "color_space", "mean", "std")  # which the image tower must leave alone
_TEXT = texts.TextTransformerConfig(
    length=77, width=512, depth=12, num_heads=8, causal=True, pool="last"
)


@dataclasses.dataclass(frozen=True)
class DualConfig:
    """Hyper-parameters of a Dual encoder; plain fields that survive JSON.

    Attributes:
        image: the network of images. Its dtype, color_space, mean and std must be left alone: the
            pair sets them.
        text: the network of texts; causal, so that no token of a text sees what fills it up. Its
            dtype must be left alone.
        dim: dimensions of the space that both point into.
        dtype: compute dtype of both networks.
        mean: subtracted from images, one value or one per channel, in units of [0, 1].
        std: divides after that, one value or one per channel.
    """

    image: vit.ViTConfig | resnet.ResNetConfig | convnext.ConvNeXtConfig = vit.ViTConfig()
    text: texts.TextTransformerConfig = _TEXT
    dim: int = 512
    dtype: Literal["float32", "bfloat16"] = "float32"
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    color_space: ClassVar[str] = "rgb"

    def __post_init__(self):
        checks.at_least(self, 1, "dim")
        checks.choice(self, layers.DTYPES, "dtype")
        for tower, names in ((self.image, _OF_THE_PAIR), (self.text, ("dtype",))):
            default = type(tower)()
            for name in names:
                if getattr(tower, name) != getattr(default, name):
                    which = "image" if tower is self.image else "text"
                    raise ValueError(
                        f"DualConfig: {which} must leave its {name} alone; got "
                        f"{getattr(tower, name)!r}. Set dtype, mean and std of the pair itself."
                    )
        if not self.text.causal:
            raise ValueError(
                "DualConfig: text must be causal, so that what fills a text up changes nothing; "
                "got causal False. Set --encoder.text.causal True."
            )

    @property
    def towers(self) -> tuple[Any, texts.TextTransformerConfig]:
        """The two networks: of images, and of texts."""
        image = dataclasses.replace(self.image, dtype=self.dtype, mean=self.mean, std=self.std)
        return image, dataclasses.replace(self.text, dtype=self.dtype)

    def build(self, *, axis_name: str | None = None) -> "Dual":
        """The linen module, its BatchNorm synchronised over ``axis_name``."""
        return Dual(self, axis_name)


class Dual(nn.Module):
    """A network of images and one of texts, each with a linear map into a space of both.

    What of a text is read ends with its first separator: "last" pools that token, which has seen
    all of the text, as CLIP's end of text; "mean" the text and that token. More separators behind
    it change nothing.

    Attributes:
        config: hyper-parameters.
        axis_name: device axis over which BatchNorm is synchronised, or None.

    Source: Radford et al., Learning Transferable Visual Models From Natural Language Supervision,
        2021, arXiv:2103.00020, sec. 2.4.
    """

    config: DualConfig
    axis_name: str | None = None

    def setup(self):
        """Makes the networks and the maps."""
        image, text = self.config.towers
        self.image = image.build(axis_name=self.axis_name)
        self.text = text.build()
        self.image_projection, self.text_projection = (
            products.Dense(self.config.dim, dtype=self.config.dtype, use_bias=False)
            for _ in range(2)
        )

    def __call__(
        self, image: Array | None = None, tokens: Array | None = None, train: bool = False
    ) -> types.Features | tuple[types.Features, types.Features]:
        """Encodes images, texts, or both; images alone as the network of images does.

        Args:
            image: [B, H, W, C], uint8 or floating in [0, 1].
            tokens: integers [B, N], texts that separators fill up; at most L.
            train: normalise by the global batch and update ``batch_stats``, which must be mutable.

        Returns:
            Features of images, of texts, or of both; before the maps into the common space.

        Raises:
            ValueError: neither is given; no image where the parameters are made; or what either
                network refuses.
        """
        if self.is_initializing():  # all parameters, whichever network is looked at
            if image is None:
                raise ValueError(
                    "Dual: must be given images where its parameters are made; got none. Their "
                    "size is not in the config."
                )
            self.embed(image, jnp.zeros((1, 1), jnp.int32) if tokens is None else tokens)
        return _both_or_one(
            None if image is None else self.image(image, train),
            None if tokens is None else self._read(tokens, train),
        )

    def embed(
        self, image: Array | None = None, tokens: Array | None = None, train: bool = False
    ) -> Array | tuple[Array, Array]:
        """Images, texts, or both in the common space: float32 [B, dim] each, of any length."""
        return _both_or_one(
            None if image is None else self._project_image(image, train),
            None if tokens is None else self._project_text(tokens, train),
        )

    def _project_image(self, image: Array, train: bool) -> Array:
        return self.image_projection(self.image(image, train).pooled).astype(jnp.float32)

    def _project_text(self, tokens: Array, train: bool) -> Array:
        return self.text_projection(self._read(tokens, train).pooled).astype(jnp.float32)

    def _read(self, tokens: Array, train: bool) -> types.Features:
        """The network of texts, pooled over what is read of each."""
        features = self.text(tokens, train)
        config = self.config.text
        is_end = (tokens == vocabulary.separator(config.vocabulary)).astype(jnp.int32)
        is_read = jnp.cumsum(is_end, axis=1) - is_end == 0  # the first separator is

        def pool(rows: Array) -> Array:
            if config.pool == "last":
                last = is_read.sum(axis=1) - 1
                return jnp.take_along_axis(rows, last[:, None, None], axis=1)[:, 0]
            return rows.mean(axis=1, where=is_read[..., None])

        return features._replace(
            pooled=pool(features.tokens), stages=tuple(map(pool, features.maps))
        )


def _both_or_one(image: Any, tokens: Any) -> Any:
    """What there is of the two."""
    found = [each for each in (image, tokens) if each is not None]
    if not found:
        raise ValueError("Dual: must be given image, tokens or both; got neither.")
    return found[0] if len(found) == 1 else tuple(found)
