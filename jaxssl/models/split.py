"""An encoder of two halves: one network sees lightness, the other the colours without it."""

import dataclasses
from typing import Literal

import flax.linen as nn
import jax.numpy as jnp

from jaxssl import checks, types
from jaxssl.models import dense, layers, resnet
from jaxssl.types import Array

_OF_THE_SPLIT = ("dtype", "color_space", "mean", "std")


@dataclasses.dataclass(frozen=True)
class SplitConfig:
    """Hyper-parameters of a Split encoder; plain fields that survive JSON.

    Attributes:
        half: the network of each half; ``width_multiplier`` is that of one half, 0.5 for the
            paper's halves of a full network. Its dtype, color_space, mean and std must be left
            alone: the split sets them.
        dtype: compute dtype of both halves.
        mean: subtracted from Lab images, one value or one for each of L, a and b, in Lab units.
        std: divides after that, one value or one for each of L, a and b.
    """

    half: resnet.ResNetConfig = resnet.ResNetConfig(depth=18, width_multiplier=0.5)
    dtype: Literal["float32", "bfloat16"] = "float32"
    mean: tuple[float, ...] = (50.0, 0.0, 0.0)
    std: tuple[float, ...] = (25.0, 20.0, 20.0)

    def __post_init__(self):
        checks.choice(self, layers.DTYPES, "dtype")
        for name in ("mean", "std"):
            if len(getattr(self, name)) not in (1, 3):
                raise ValueError(
                    f"SplitConfig: {name} must have 1 value or one for each of L, a and b; got "
                    f"{len(getattr(self, name))} values."
                )
        default = resnet.ResNetConfig()
        for name in _OF_THE_SPLIT:
            if getattr(self.half, name) != getattr(default, name):
                raise ValueError(
                    f"SplitConfig: half must leave its {name} alone; got "
                    f"{getattr(self.half, name)!r}. Set dtype, mean and std of the split itself."
                )

    @property
    def halves(self) -> tuple[resnet.ResNetConfig, resnet.ResNetConfig]:
        """The two networks: of lightness, and of ab."""
        mean, std = (value * 3 if len(value) == 1 else value for value in (self.mean, self.std))
        channels = {"lightness": slice(0, 1), "ab": slice(1, 3)}
        lightness, ab = (
            dataclasses.replace(
                self.half,
                dtype=self.dtype,
                color_space=space,  # type: ignore[arg-type]  # one of the two above
                mean=mean[part],
                std=std[part],
            )
            for space, part in channels.items()
        )
        return lightness, ab

    def build(self, *, axis_name: str | None = None) -> "Split":
        """The linen module, its BatchNorm synchronised over ``axis_name``."""
        return Split(self, axis_name)


class Split(nn.Module):
    """Two half networks side by side: L of Lab goes through one, ab through the other.

    Every feature is the one of the lightness half and the one of the ab half, concatenated.

    Attributes:
        config: hyper-parameters.
        axis_name: device axis over which BatchNorm is synchronised, or None.

    Source: Zhang et al., Split-Brain Autoencoders, 2017, arXiv:1611.09842, sec. 3 and fig. 2.
    """

    config: SplitConfig
    axis_name: str | None = None

    @nn.compact
    def __call__(self, images: Array, train: bool = False) -> types.Features:
        """Encodes images.

        Args:
            images: [B, H, W, 3], sRGB, uint8 or floating in [0, 1].
            train: normalise by the global batch and update ``batch_stats``, which must be mutable.

        Returns:
            Features in float32 as a ResNet's, of twice the width of a half.

        Raises:
            ValueError: ``images`` is not of rank 4 or not of 3 channels.
            TypeError: ``images`` is neither uint8 nor floating.
        """
        lightness, ab = (
            resnet.ResNet(half, self.axis_name, name=half.color_space)(images, train)
            for half in self.config.halves
        )
        return types.Features(
            _join(lightness.pooled, ab.pooled),
            _join(lightness.tokens, ab.tokens),
            tuple(map(_join, lightness.stages, ab.stages)),
            tuple(map(_join, lightness.maps, ab.maps)),
        )


class CrossHeads(nn.Module):
    """Each half of a Split encoder's tokens, asked for what the other half sees.

    Attributes:
        side: places on a side of the answers, as in ``DenseHead``.
        num_ab: logits of ab, read from the lightness half.
        num_lightness: logits of L, read from the ab half.
        width: channels of the hidden convolutions.
        dtype: compute dtype; the logits are float32.
        axis_name: device axis over which BatchNorm is synchronised, or None.
    """

    side: int
    num_ab: int
    num_lightness: int
    width: int = 256
    dtype: Literal["float32", "bfloat16"] = "float32"
    axis_name: str | None = None

    @nn.compact
    def __call__(self, tokens: Array, train: bool = False) -> tuple[Array, Array]:
        """Maps [B, N, D] to logits of ab and of L, float32 [B, side, side, K] each."""
        lightness, ab = jnp.split(tokens, 2, axis=-1)

        def head(num_classes: int, name: str) -> dense.DenseHead:
            return dense.DenseHead(
                self.side, num_classes, self.width, self.dtype, self.axis_name, name=name
            )

        return (
            head(self.num_ab, "ab")(lightness, train=train),
            head(self.num_lightness, "lightness")(ab, train=train),
        )


def _join(lightness: Array, ab: Array) -> Array:
    return jnp.concatenate([lightness, ab], axis=-1)
