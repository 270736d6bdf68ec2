"""An encoder that compiles fast and is hard on several devices: batch statistics everywhere."""

import dataclasses
from typing import Literal

import flax.linen as nn
import jax.numpy as jnp

from jaxssl import types
from jaxssl.models import dual, layers, split
from jaxssl.types import Array


@dataclasses.dataclass(frozen=True)
class SmallConfig:
    """Hyper-parameters of a Small encoder, as those of a ResNet."""

    width: int = 8
    dtype: Literal["float32", "bfloat16"] = "float32"
    color_space: Literal["rgb", "lightness", "ab", "lab"] = "rgb"
    mean: tuple[float, ...] = (0.5,)
    std: tuple[float, ...] = (0.25,)
    batch_norm: bool = True

    def build(self, *, axis_name: str | None = None) -> "Small":
        return Small(self, axis_name)


class Small(nn.Module):
    """Two convolutions of stride 2, each followed by synchronised batch norm, if any, and ReLU.

    Images of any size and number of channels; a quarter of the side is the side of the tokens.
    """

    config: SmallConfig
    axis_name: str | None = None

    @nn.compact
    def __call__(self, images: Array, train: bool = False) -> types.Features:
        config = self.config
        x = layers.standardise(images, config.mean, config.std, config.color_space)
        stages = []
        for index in (1, 2):
            conv = nn.Conv(
                config.width,
                (3, 3),
                strides=(2, 2),
                padding=[(1, 1)] * 2,
                use_bias=False,
                dtype=jnp.dtype(config.dtype),
                name=f"conv{index}",
            )
            x = conv(x)
            if config.batch_norm:
                x = layers.batch_norm(
                    x,
                    train=train,
                    axis_name=self.axis_name,
                    dtype=config.dtype,
                    name=f"norm{index}",
                )
            x = nn.relu(x)
            stages.append(x.astype(jnp.float32).mean(axis=(1, 2)))
        tokens = x.astype(jnp.float32).reshape(len(x), -1, config.width)
        return types.Features(stages[-1], tokens, tuple(stages))


@dataclasses.dataclass(frozen=True)
class SmallSplitConfig:
    """Hyper-parameters of a split encoder of two Small halves."""

    width: int = 8
    dtype: Literal["float32", "bfloat16"] = "float32"
    mean: tuple[float, ...] = (50.0, 0.0, 0.0)
    std: tuple[float, ...] = (25.0, 20.0, 20.0)
    batch_norm: bool = True

    @property
    def halves(self) -> tuple[SmallConfig, SmallConfig]:
        return tuple(
            SmallConfig(
                self.width, self.dtype, space, self.mean[part], self.std[part], self.batch_norm
            )
            for space, part in (("lightness", slice(0, 1)), ("ab", slice(1, 3)))
        )

    def build(self, *, axis_name: str | None = None) -> "SmallSplit":
        return SmallSplit(self, axis_name)


class SmallSplit(split.Split):
    """A Split whose halves are Small instead of ResNets."""

    config: SmallSplitConfig

    @nn.compact
    def __call__(self, images: Array, train: bool = False) -> types.Features:
        lightness, ab = (
            Small(half, self.axis_name, name=half.color_space)(images, train)
            for half in self.config.halves
        )
        return types.Features(
            jnp.concatenate([lightness.pooled, ab.pooled], axis=-1),
            jnp.concatenate([lightness.tokens, ab.tokens], axis=-1),
            tuple(
                jnp.concatenate(pair, axis=-1)
                for pair in zip(lightness.stages, ab.stages, strict=True)
            ),
        )


@dataclasses.dataclass(frozen=True)
class SmallDualConfig(dual.DualConfig):
    """Hyper-parameters of a Dual encoder whose images go through a Small network."""

    image: SmallConfig = SmallConfig()
