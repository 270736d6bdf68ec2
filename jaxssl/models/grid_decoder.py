"""A light convolutional decoder over a grid of patches: what is hidden from what is around it."""

from typing import Literal

import flax.linen as nn
import jax.numpy as jnp

from jaxssl import checks
from jaxssl.models import activations, convolution, layers
from jaxssl.types import Array


class GridDecoder(nn.Module):
    """The decoder of data2vec 2.0: convolutions in groups over the whole grid, then a linear layer.

        x <- gelu(LayerNorm(conv(x))) [+ x, where it has as many channels]

    ``depth`` times, LayerNorm over the channels of a cell and without factors; the convolution
    keeps the size of the grid. Patches know where they are from what lies around them alone.

    Attributes:
        out_dim: P, values predicted of a patch.
        width: channels of the convolutions, a multiple of ``groups``, as D must be.
        depth: number of convolutions.
        kernel: cells on the side of one, odd.
        groups: parts of the channels that do not see each other.
        dtype: compute dtype; the prediction is float32.

    Source: Decoder2d in examples/data2vec/models/modalities/modules.py of
        github.com/facebookresearch/fairseq; Baevski et al. 2022, arXiv:2212.07525, section 3.1.
    """

    out_dim: int
    width: int = 768
    depth: int = 6
    kernel: int = 3
    groups: int = 16
    dtype: Literal["float32", "bfloat16"] = "float32"

    @nn.compact
    def __call__(self, tokens: Array, *, grid: tuple[int, int], train: bool = False) -> Array:
        """Predicts values of all patches.

        Args:
            tokens: [B, N, D] of all patches in raster order, whatever stands for those not seen.
            grid: (rows, columns) of patches, rows · columns = N.
            train: no effect; every module takes it.

        Returns:
            float32 [B, N, P].

        Raises:
            ValueError: a field below 1, an even kernel, or channels that groups do not divide.
        """
        del train
        checks.choice(self, layers.DTYPES, "dtype")
        checks.at_least(self, 1, "out_dim", "width", "depth", "kernel", "groups")
        if self.kernel % 2 == 0:
            raise ValueError(f"GridDecoder: kernel must be odd; got {self.kernel}.")
        if tokens.shape[-1] % self.groups or self.width % self.groups:
            raise ValueError(
                "GridDecoder: the width of the tokens and of the decoder must be multiples of "
                f"groups; got {tokens.shape[-1]}, {self.width} and {self.groups} groups."
            )
        dtype = jnp.dtype(self.dtype)
        x = tokens.reshape(tokens.shape[0], *grid, tokens.shape[-1]).astype(dtype)
        for index in range(self.depth):
            conv = convolution.GroupedConv(
                self.width,
                (self.kernel, self.kernel),
                feature_group_count=self.groups,
                dtype=dtype,
                name=f"conv{index}",
            )
            norm = nn.LayerNorm(epsilon=1e-5, use_bias=False, use_scale=False, name=f"norm{index}")
            y = activations.gelu(norm(conv(x).astype(jnp.float32)).astype(dtype))
            x = y + x if y.shape == x.shape else y
        x = x.reshape(*tokens.shape[:2], self.width)
        prediction = layers.linear(x, self.out_dim, dtype=self.dtype, name="prediction")
        return prediction.astype(jnp.float32)
