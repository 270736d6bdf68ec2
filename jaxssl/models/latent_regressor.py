"""CAE's regressor, which tells hidden patches' tokens from visible ones, and what decodes them."""

from typing import Literal

import flax.linen as nn
import jax.numpy as jnp

from jaxssl import checks
from jaxssl.models import activations, attention, initialization, layers, patches, transformer
from jaxssl.types import Array


class CrossBlock(nn.Module):
    """Queries that look at other tokens, then an MLP, 4 times as wide inside, with exact GELU.

        y = norm(x + g1 attention(norm(x + p), norm(t + q), norm(t)))
        x <- y + g2 mlp(y)

    with x, p the queries and their positions, t, q the tokens and theirs, as queries, keys and
    values. Unlike a transformer's block it goes on from normalised tokens.

    Attributes:
        num_heads: heads; must divide the width.
        dtype: compute dtype; the result is float32.
        kernels: how the kernels begin.
        layer_scale: what the factors g of each branch's features begin with.

    Source: Chen et al., Context Autoencoder for Self-Supervised Representation Learning, 2022,
        arXiv:2202.03026, section 3.1; RegressorBlock of github.com/lxtGH/CAE (its key has no bias).
    """

    num_heads: int
    dtype: Literal["float32", "bfloat16"] = "float32"
    kernels: initialization.BlockKernels = initialization.XAVIER_BLOCKS
    layer_scale: float = 0.1

    @nn.compact
    def __call__(self, x: Array, positions: Array, tokens: Array, places: Array) -> Array:
        """Maps float32 queries [B, A, D] to float32 [B, A, D].

        Args:
            x: queries [B, A, D].
            positions: of the queries [B, A, D].
            tokens: that are looked at [B, T, D].
            places: their positions [B, T, D].
        """
        width = x.shape[-1]

        def linear(y: Array, features: int, name: str) -> Array:
            kernel_init = self.kernels.linear
            return layers.linear(y, features, dtype=self.dtype, name=name, kernel_init=kernel_init)

        def norm(y: Array, name: str) -> Array:
            return layers.layer_norm(y, dtype=self.dtype, name=name)

        def scaled(branch: Array, name: str) -> Array:
            begin = nn.initializers.constant(self.layer_scale)
            return self.param(name, begin, (width,))[None, None] * branch.astype(jnp.float32)

        q, k, v = (
            linear(norm(y, f"norm_{name}"), width, name).reshape(*y.shape[:2], self.num_heads, -1)
            for name, y in (("query", x + positions), ("key", tokens + places), ("value", tokens))
        )
        mixed = attention.average(attention.weigh(q, k), v).reshape(x.shape)
        x = x + scaled(linear(mixed, width, "proj"), "layer_scale1")
        x = norm(x, "norm").astype(jnp.float32)
        hidden = activations.gelu(linear(x, 4 * width, "mlp_in"))
        return x + scaled(linear(hidden, width, "mlp_out"), "layer_scale2")


class LatentRegressor(nn.Module):
    """Tokens of hidden patches from those of visible ones, and from them alone what is asked.

    The regressor's queries begin as a learned token; each of its blocks looks at the visible tokens
    and at the queries. The decoder, a transformer, sees its result and nothing of the visible ones.

    Attributes:
        out_dim: P, values predicted of a patch.
        num_heads: heads in each block, must divide the width, which is the encoder's.
        depth: blocks of the regressor.
        decoder_depth: blocks of the decoder.
        layer_scale: what the factors of each block's branches begin with.
        dtype: compute dtype; both results are float32.
        kernels: how the kernels begin.

    Source: Chen et al., Context Autoencoder for Self-Supervised Representation Learning, 2022,
        arXiv:2202.03026, section 3.1; VisionTransformerNeck of github.com/lxtGH/CAE.
    """

    out_dim: int
    num_heads: int = 12
    depth: int = 4
    decoder_depth: int = 4
    layer_scale: float = 0.1
    dtype: Literal["float32", "bfloat16"] = "float32"
    kernels: initialization.BlockKernels = initialization.XAVIER_BLOCKS

    @nn.compact
    def __call__(
        self,
        visible: Array,
        keep: Array,
        asked: Array,
        *,
        grid: tuple[int, int],
        train: bool = False,
    ) -> tuple[Array, Array]:
        """What hidden patches are.

        Args:
            visible: float32 [B, K, D], the encoder's tokens of the kept patches.
            keep: int32 [B, K], raster index of each, in [0, N).
            asked: int32 [B, A], raster index of each hidden patch.
            grid: (rows, columns) of patches, rows · columns = N.
            train: no effect; every module takes it.

        Returns:
            Regressed tokens [B, A, D] and predictions [B, A, P], in the order of ``asked``.

        Raises:
            ValueError: fewer than 1 block, or a width that is not a multiple of the heads.
        """
        del train
        checks.at_least(self, 1, "depth", "decoder_depth", "num_heads")
        width = visible.shape[-1]
        if width % self.num_heads:
            raise ValueError(
                f"LatentRegressor: width must be a multiple of num_heads; got width {width}, "
                f"num_heads {self.num_heads}."
            )
        table = jnp.asarray(patches.sincos_positions(*grid, width))  # [N, D]
        positions = table[asked]
        places = jnp.concatenate([table[keep], positions], axis=1)
        mask_token = self.param("mask_token", nn.initializers.normal(0.02), (1, 1, width))
        x = jnp.broadcast_to(mask_token, positions.shape)
        for index in range(self.depth):
            block = CrossBlock(
                self.num_heads, self.dtype, self.kernels, self.layer_scale, name=f"cross_{index}"
            )
            x = block(x, positions, jnp.concatenate([visible, x], axis=1), places)
        latent = layers.layer_norm(x, dtype="float32", name="latent_norm")
        stack = transformer.Stack(
            self.decoder_depth,
            self.num_heads,
            self.dtype,
            kernels=self.kernels,
            layer_scale=self.layer_scale,
        )
        x, _ = transformer.apply_blocks(latent + positions, stack)
        x = layers.layer_norm(x, dtype=self.dtype, name="norm")
        prediction = layers.linear(
            x, self.out_dim, dtype=self.dtype, name="prediction", kernel_init=self.kernels.linear
        )
        return latent, prediction.astype(jnp.float32)
