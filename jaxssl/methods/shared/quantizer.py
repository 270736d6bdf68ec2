"""Words for patches: an encoder, the code that is nearest to each of its tokens, and a painter."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxssl import losses, models
from jaxssl.methods.shared import functional, vits
from jaxssl.models import initialization, residual_mlp
from jaxssl.types import Array, Picture, PyTree


@dataclasses.dataclass(frozen=True)
class Quantizer:
    """A ViT whose tokens are replaced by the nearest of M unit codes, and what paints codes.

        z_n = unit(W token_n + b),   word_n = argmax_m z_n . e_m,   of unit codes e_m

    Params are {"encoder", "narrow", "codebook", "decoder"}.

    Attributes:
        encoder: a ViT.
        num_words: M.
        code_dim: d, features of a code.
        decoder_width: features of the decoder.
        decoder_depth: blocks of the decoder.
    """

    encoder: nn.Module
    num_words: int
    code_dim: int
    decoder_width: int
    decoder_depth: int

    def init(self, key: Array, images: Array) -> tuple[PyTree, PyTree]:
        """``(params, state)`` from images [B, H, W, C]."""
        encoder_key, narrow_key, code_key, decoder_key = jax.random.split(key, 4)
        params, state = functional.init(self.encoder, encoder_key, images)
        tokens = jnp.zeros((1, 1, self.encoder.config.dimensions.width))
        codes = jnp.zeros((1, 1, self.code_dim))
        decoder = self._decoder(images.shape[-1])
        return {
            "encoder": params,
            "narrow": functional.init(self._narrow, narrow_key, tokens)[0],
            "codebook": {"codes": jax.random.normal(code_key, (self.num_words, self.code_dim))},
            "decoder": functional.init(decoder, decoder_key, codes)[0],
        }, {"encoder": state}

    def encode(self, params: PyTree, images: Array) -> tuple[Array, Array, Array]:
        """Unit rows z [B, N, d], the words nearest to them, int32 [B, N], and their unit codes."""
        tokens = self.encoder.apply({"params": params["encoder"]}, images).tokens  # type: ignore[union-attr]
        rows = _unit(self._narrow.apply({"params": params["narrow"]}, tokens))  # type: ignore[arg-type]
        codes = _unit(params["codebook"]["codes"])
        words = losses.nearest_neighbours(rows.reshape(-1, self.code_dim), codes)
        words = words.reshape(rows.shape[:2])
        return rows, words, codes[words]

    def decode(self, params: PyTree, codes: Array, num_channels: int) -> Array:
        """Patches [B, N, P] of codes [B, N, d], each from its own; standardised as the input is."""
        return self._decoder(num_channels).apply({"params": params["decoder"]}, codes)  # type: ignore[return-value]

    def show(self, params: PyTree, images: Array, hidden: Array, words: Array) -> list[Picture]:
        """What ``vits.show_reconstruction`` gives where hidden patches look as their words do.

        Args:
            params: of the network.
            images: float32 [B, H, W, C] in [0, 1].
            hidden: bool [B, N].
            words: int32 [B, N], read at hidden patches alone.
        """
        codes = _unit(params["codebook"]["codes"])[words]
        painted = self.decode(params, codes, images.shape[-1])
        return vits.show_reconstruction(images, hidden, painted, self.encoder.config)

    @property
    def _narrow(self) -> nn.Module:
        config = self.encoder.config
        kernel = initialization.INITIALIZATIONS[config.initialization].blocks.linear
        return models.MLP((self.code_dim,), kernel_init=kernel, dtype=config.dtype)

    def _decoder(self, num_channels: int) -> nn.Module:
        config = self.encoder.config
        return residual_mlp.ResidualMLP(
            out_dim=config.patch_size**2 * num_channels,
            width=self.decoder_width,
            depth=self.decoder_depth,
            dtype=config.dtype,
            kernels=initialization.INITIALIZATIONS[config.initialization].blocks,
        )


def _unit(rows: Array) -> Array:
    squares = jnp.sum(jnp.square(rows), axis=-1, keepdims=True)
    return rows * jax.lax.rsqrt(jnp.maximum(squares, 1e-12))
