"""How the parameters of a ViT begin: published choices, by name."""

from collections.abc import Callable
from typing import NamedTuple

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxssl.types import Array

Initializer = nn.initializers.Initializer
XAVIER = nn.initializers.xavier_uniform()


class BlockKernels(NamedTuple):
    """How the kernels of a transformer block begin; its biases begin at 0.

    Attributes:
        linear: all but the next.
        qkv: the fused kernel [D, 3 D] of queries, keys and values.
    """

    linear: Initializer = XAVIER
    qkv: Initializer = XAVIER


XAVIER_BLOCKS = BlockKernels()


class Initialization(NamedTuple):
    """How a ViT begins; LayerNorms are the identity everywhere.

    Attributes:
        blocks: of every block.
        patch_kernel: of the patch embedding, [P, D].
        patch_bias: P -> initialiser of its bias [D].
        class_token_std: standard deviation of the class token.
    """

    blocks: BlockKernels = XAVIER_BLOCKS
    patch_kernel: Initializer = XAVIER
    patch_bias: Callable[[int], Initializer] = lambda fan_in: nn.initializers.zeros
    class_token_std: float = 0.02


def _fan_in_uniform(fan_in: int) -> Initializer:
    """Uniform in ± 1 / sqrt(fan_in): PyTorch's default for the bias of a convolution."""
    bound = fan_in**-0.5

    def init(key: Array, shape: tuple[int, ...], dtype=jnp.float32) -> Array:
        return jax.random.uniform(key, shape, dtype, -bound, bound)

    return init


INITIALIZATIONS = {
    "mae": Initialization(),
    # The bound of one of the three kernels, sqrt(6 / 2D): their fused fan average is 2 D, not D.
    "moco_v3": Initialization(
        blocks=BlockKernels(qkv=nn.initializers.variance_scaling(2.0, "fan_avg", "uniform")),
        class_token_std=1e-6,
    ),
    # The authors truncate normals at 100 standard deviations, which changes nothing; they leave the
    # patch embedding, a convolution, as PyTorch makes it.
    "dino": Initialization(
        blocks=BlockKernels(nn.initializers.normal(0.02), nn.initializers.normal(0.02)),
        patch_kernel=nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform"),
        patch_bias=_fan_in_uniform,
    ),
}
