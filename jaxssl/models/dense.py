"""Convolutional head: from the cells of a map to an answer for every place of a finer one."""

import math
from typing import Literal

import flax.linen as nn
import jax.numpy as jnp

from jaxssl import checks
from jaxssl.models import convolution, layers
from jaxssl.types import Array


class DenseHead(nn.Module):
    """Maps the tokens of a square grid to logits on a grid of ``side`` x ``side`` places.

    A 3x3 convolution, BatchNorm and ReLU on the grid of the tokens; then each doubling repeats
    every cell 2 x 2 and applies the same again, until there are ``side`` cells on a side; a last
    1x1 convolution is linear.

    Attributes:
        side: places on a side of the result; the side of the tokens' grid times a power of two.
        num_classes: K, logits of a place.
        width: channels of the hidden convolutions.
        dtype: compute dtype; the logits are float32.
        axis_name: device axis over which BatchNorm is synchronised, or None.

    Source: conv8 and conv_313 of Zhang et al., Colorful Image Colorization, 2016, arXiv:1603.08511,
        table 4, with BatchNorm, and repeated cells instead of a transposed convolution.
    """

    side: int
    num_classes: int
    width: int = 256
    dtype: Literal["float32", "bfloat16"] = "float32"
    axis_name: str | None = None

    @nn.compact
    def __call__(self, tokens: Array, train: bool = False) -> Array:
        """Applies the head.

        Args:
            tokens: [B, N, D], floating, cells of a square grid in raster order.
            train: normalise by the global batch and update ``batch_stats``, which must be mutable.

        Returns:
            float32 [B, side, side, K].

        Raises:
            ValueError: N is not a square, or ``side`` not its root times 1, 2, 4, …
        """
        num_doublings = self._num_doublings(tokens)
        grid = math.isqrt(tokens.shape[1])
        x = tokens.reshape(tokens.shape[0], grid, grid, -1)
        for index in range(num_doublings + 1):
            if index > 0:
                x = layers.double(x)
            x = convolution.Conv(
                self.width,
                (3, 3),
                use_bias=False,
                dtype=jnp.dtype(self.dtype),
                kernel_init=nn.initializers.he_normal(),
                name=f"conv{index}",
            )(x)
            x = nn.relu(
                layers.batch_norm(
                    x,
                    train=train,
                    axis_name=self.axis_name,
                    dtype=self.dtype,
                    name=f"norm{index}",
                )
            )
        logits = layers.linear(x, self.num_classes, dtype=self.dtype, name="logits")
        return logits.astype(jnp.float32)

    def _num_doublings(self, tokens: Array) -> int:
        checks.choice(self, layers.DTYPES, "dtype")
        checks.at_least(self, 1, "side", "num_classes", "width")
        if tokens.ndim != 3 or math.isqrt(tokens.shape[1]) ** 2 != tokens.shape[1]:
            raise ValueError(
                f"DenseHead: tokens must be [B, N, D] with N a square number; got shape "
                f"{tokens.shape}. Use square images."
            )
        grid = math.isqrt(tokens.shape[1])
        factor, rest = divmod(self.side, grid)
        if rest or factor.bit_count() != 1:
            raise ValueError(
                f"DenseHead: side must be the side of the encoder's last map, {grid}, times 1, 2, "
                f"4 …; got {self.side}. Change the image size or the output stride."
            )
        return factor.bit_length() - 1
