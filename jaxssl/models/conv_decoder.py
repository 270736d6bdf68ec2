"""Convolutional decoder: from one vector per image back to pixels."""

from typing import Literal

import flax.linen as nn
import jax.numpy as jnp

from jaxssl import checks
from jaxssl.models import convolution, layers, products
from jaxssl.types import Array

SMALLEST_GRID = 4  # cells on a side
SLOPE = 0.2  # of the leaky ReLU after the bottleneck


class ConvDecoder(nn.Module):
    """From a code vector to an image: a small grid, doubled until it covers the image.

    A linear map gives a grid of G x G cells, BatchNorm and ReLU; then each doubling repeats every
    cell 2 x 2 (nearest neighbour) and applies a 3x3 convolution, BatchNorm and ReLU. A last 3x3
    convolution is linear, and the middle of its map is cut to the size asked for. There are n
    doublings, the most that leave size / 2^n at least 4, and G = ceil(size / 2^n): 7 doubled twice
    is 28, doubled five times 224. Repeating and convolving instead of a transposed convolution
    leaves no checkerboard (and is the faster of the two on a CPU).

    A linear bottleneck before the linear map to the grid narrows the code and does nothing else: as
    wide as the code, it changes nothing. With ``activated`` BatchNorm and leaky ReLU of slope 0.2
    follow it, as in the generators of the official context encoder.

    Attributes:
        size: S, side of the image, pixels.
        channels: C, channels of the image.
        width: channels of the map at full resolution; each coarser map has twice as many.
        bottleneck_dim: features of a linear layer before the grid, the code proper; None: no such
            layer.
        activated: BatchNorm and leaky ReLU after the bottleneck, which then has no bias of its own.
        bounded: tanh of the prediction, for images scaled to [-1, 1].
        dtype: compute dtype; the prediction is float32.
        axis_name: device axis over which BatchNorm is synchronised, or None.

    Source: the generator of Radford et al., Unsupervised Representation Learning with Deep
        Convolutional Generative Adversarial Networks, 2015, arXiv:1511.06434, sec. 3; repeating
        cells: Odena et al., Deconvolution and Checkerboard Artifacts, Distill, 2016; ``activated``
        and ``bounded``: netG of train.lua in github.com/pathak22/context-encoder.
    """

    size: int
    channels: int
    width: int = 16
    bottleneck_dim: int | None = None
    activated: bool = False
    bounded: bool = False
    dtype: Literal["float32", "bfloat16"] = "float32"
    axis_name: str | None = None

    @nn.compact
    def __call__(self, code: Array, train: bool = False) -> Array:
        """Predicts images.

        Args:
            code: [B, D], floating.
            train: normalise by the global batch and update ``batch_stats``, which must be mutable.

        Returns:
            float32 [B, S, S, C], in [-1, 1] where ``bounded``, else of any range.

        Raises:
            ValueError: a field below 1, an unknown dtype, ``activated`` without a bottleneck, or a
                code that is not [B, D].
        """
        self._check(code)
        num_doublings = max(0, (self.size // SMALLEST_GRID).bit_length() - 1)
        grid = -(-self.size // 2**num_doublings)
        features = self.width * 2**num_doublings

        x = code
        if self.activated and self.bottleneck_dim is not None:
            x = self._linear(x, self.bottleneck_dim, name="bottleneck")
            x = nn.leaky_relu(self._normalized(x, train, "bottleneck_norm"), SLOPE)
        elif self.bottleneck_dim is not None:
            x = layers.linear(x, self.bottleneck_dim, dtype=self.dtype, name="bottleneck")
        x = self._linear(x, grid * grid * features, name="grid")
        x = x.reshape(-1, grid, grid, features)
        x = nn.relu(self._normalized(x, train, "grid_norm"))
        for doubling in range(1, num_doublings + 1):
            features //= 2
            x = self._conv(layers.double(x), features, use_bias=False, name=f"conv{doubling}")
            x = nn.relu(self._normalized(x, train, f"norm{doubling}"))
        x = self._conv(x, self.channels, use_bias=True, name="prediction")
        margin = (x.shape[1] - self.size) // 2
        inside = slice(margin, margin + self.size)
        prediction = x[:, inside, inside].astype(jnp.float32)
        return jnp.tanh(prediction) if self.bounded else prediction

    def _linear(self, x: Array, features: int, *, name: str) -> Array:
        """A linear map without a bias, which BatchNorm would take away again."""
        return products.Dense(features, use_bias=False, dtype=self.dtype, name=name)(x)

    def _normalized(self, x: Array, train: bool, name: str) -> Array:
        return layers.batch_norm(
            x, train=train, axis_name=self.axis_name, dtype=self.dtype, name=name
        )

    def _conv(self, x: Array, features: int, *, use_bias: bool, name: str) -> Array:
        conv = convolution.Conv(
            features, (3, 3), use_bias=use_bias, dtype=jnp.dtype(self.dtype), name=name
        )
        return conv(x)

    def _check(self, code: Array) -> None:
        checks.choice(self, layers.DTYPES, "dtype")
        checks.at_least(self, 1, "size", "channels", "width", "bottleneck_dim")
        if self.activated and self.bottleneck_dim is None:
            raise ValueError(
                "ConvDecoder: activated needs a bottleneck to follow; got bottleneck_dim None. "
                "Give the bottleneck's width, such as 4000, or leave activated out."
            )
        if code.ndim != 2:
            raise ValueError(
                f"ConvDecoder: code must be [B, D]; got shape {code.shape}. "
                "Pool the tokens of an image into one vector."
            )
