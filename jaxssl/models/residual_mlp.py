"""A deep head that looks at each token by itself."""

from typing import Literal

import flax.linen as nn
import jax.numpy as jnp

from jaxssl import checks
from jaxssl.models import activations, initialization, layers
from jaxssl.types import Array


class ResidualMLP(nn.Module):
    """Transformer blocks without attention: x + mlp(norm(x)), 4 times as wide inside, exact GELU.

    Attributes:
        out_dim: values of the output.
        width: features of the blocks.
        depth: number of blocks.
        dtype: compute dtype; the result is float32.
        kernels: how the kernels begin.

    Source: El-Nouby et al., Scalable Pre-training of Large Autoregressive Image Models, 2024,
        arXiv:2401.08541, section 3.3 ("MLP prediction heads"), which leaves the inside of a block
        open.
    """

    out_dim: int
    width: int = 2048
    depth: int = 12
    dtype: Literal["float32", "bfloat16"] = "float32"
    kernels: initialization.BlockKernels = initialization.XAVIER_BLOCKS

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        """Maps tokens [..., D] to float32 [..., out_dim]; ``train`` has no effect.

        Raises:
            ValueError: fewer than 1 block, or an unknown dtype.
        """
        del train
        checks.choice(self, layers.DTYPES, "dtype")
        checks.at_least(self, 1, "depth", "width")

        def linear(y: Array, features: int, name: str) -> Array:
            kernel_init = self.kernels.linear
            return layers.linear(y, features, dtype=self.dtype, name=name, kernel_init=kernel_init)

        x = linear(x, self.width, "embedding").astype(jnp.float32)
        for index in range(self.depth):
            y = layers.layer_norm(x, dtype=self.dtype, name=f"norm_{index}")
            y = activations.gelu(linear(y, 4 * self.width, f"in_{index}"))
            x = x + linear(y, self.width, f"out_{index}").astype(jnp.float32)
        x = layers.layer_norm(x, dtype=self.dtype, name="norm")
        return linear(x, self.out_dim, "prediction").astype(jnp.float32)
