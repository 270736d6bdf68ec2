"""Transformer encoder of text: token numbers in, Features out."""

import dataclasses
from typing import Literal, get_args

import flax.linen as nn
import jax.numpy as jnp

from jaxssl import checks, types, vocabulary
from jaxssl.models import activations, initialization, layers, products, transformer
from jaxssl.types import Array

_NORMAL = nn.initializers.normal(0.02)
_BLOCKS = initialization.BlockKernels(_NORMAL, _NORMAL)


@dataclasses.dataclass(frozen=True)
class TextTransformerConfig:
    """Hyper-parameters of a TextTransformer; plain fields that survive JSON.

    Attributes:
        vocabulary: M, pieces of text and two special tokens (``jaxssl.vocabulary``); 258 of bytes.
        length: L, positions; sequences may be shorter.
        width: D, features.
        depth: blocks.
        num_heads: heads; divide the width.
        causal: a token sees itself and those before it (GPT), not all (BERT).
        pool: "mean" of all tokens, or the "last" one, which alone has seen all of a causal model.
        scan_layers: one compiled block in a scan instead of ``depth`` of them.
        remat: what of each block the backward pass computes anew; see ``ViTConfig``.
        dtype: compute dtype of the matrix products.
    """

    vocabulary: int = vocabulary.BYTES
    length: int = 128
    width: int = 128
    depth: int = 4
    num_heads: int = 4
    causal: bool = False
    pool: Literal["mean", "last"] = "mean"
    scan_layers: bool = False
    remat: transformer.Remat = "none"
    dtype: Literal["float32", "bfloat16"] = "float32"

    def __post_init__(self):
        checks.at_least(self, 1, "vocabulary", "length", "width", "depth", "num_heads")
        checks.choice(self, ("mean", "last"), "pool")
        checks.choice(self, layers.DTYPES, "dtype")
        checks.choice(self, get_args(transformer.Remat), "remat")
        if self.width % self.num_heads:
            raise ValueError(
                f"TextTransformerConfig: width must be a multiple of num_heads; got width "
                f"{self.width}, num_heads {self.num_heads}."
            )

    @classmethod
    def upgrade(cls, fields: dict) -> dict:
        """Today's fields of a record whose ``remat`` was true or false."""
        return transformer.upgrade_remat(fields)

    def build(self, *, axis_name: str | None = None) -> "TextTransformer":
        """The linen module; ``axis_name`` changes nothing, there are no batch statistics."""
        del axis_name
        return TextTransformer(self)


class TextTransformer(nn.Module):
    """Pre-norm transformer over tokens, with learned positions: as GPT-2, causal or not.

    Its table of tokens, "token_embedding" [M, D], is what methods predict tokens by, too (tied
    weights). Deviations from BERT: LayerNorm before the branches and one at the end, no segment
    embedding, no dropout. From GPT-2: no dropout, residual branches not scaled down by depth at the
    start, LayerNorm epsilon 1e-6.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> encoder = TextTransformerConfig(width=32, depth=1).build()
        >>> tokens = jnp.zeros((2, 64), jnp.int32)
        >>> variables = jax.jit(encoder.init)(jax.random.key(0), tokens)
        >>> jax.jit(encoder.apply)(variables, tokens).tokens.shape
        (2, 64, 32)

    Source: Radford et al., Language Models are Unsupervised Multitask Learners, 2019, sec. 2.3;
        Devlin et al., BERT, 2018, arXiv:1810.04805, sec. 3.
    """

    config: TextTransformerConfig

    @nn.compact
    def __call__(self, tokens: Array, train: bool = False) -> types.Features:
        """Encodes a batch of token sequences.

        Args:
            tokens: integers [B, N], N at most L, in 0 ... M-1. Others give NaN.
            train: changes nothing; there for the encoders that it changes.

        Returns:
            Features: tokens [B, N, D], after the final norm; pooled [B, D], of these; ``maps``
            [B, N, D] after each block, before the final norm, and ``stages`` what is pooled of
            them.

        Raises:
            ValueError: a wrong rank, or longer sequences than L.
            TypeError: tokens that are no integers.
        """
        del train
        config = self.config
        _check_tokens(tokens, config.length)
        table = self.param("token_embedding", _NORMAL, (config.vocabulary, config.width))
        positions = self.param("position", _NORMAL, (config.length, config.width))
        x = jnp.take(table, tokens, axis=0, mode="fill") + positions[None, : tokens.shape[1]]

        def pool(rows: Array) -> Array:
            return rows[:, -1] if config.pool == "last" else rows.mean(axis=1)

        stack = transformer.Stack(
            config.depth,
            config.num_heads,
            config.dtype,
            config.scan_layers,
            config.remat,
            _BLOCKS,
            causal=config.causal,
        )
        x, kept = transformer.apply_blocks(x, stack, summary=lambda rows: (pool(rows), rows))
        stages, maps = zip(*kept, strict=True)
        x = nn.LayerNorm(epsilon=layers.LAYER_NORM_EPSILON, name="norm")(x)
        return types.Features(pool(x), x, stages, maps)


def _check_tokens(tokens: Array, length: int) -> None:
    if tokens.ndim != 2 or not 0 < tokens.shape[1] <= length:
        raise ValueError(
            f"TextTransformer: tokens must be [B, N] with N from 1 to {length}; got shape "
            f"{tokens.shape}. Set --encoder.length to the --data.length."
        )
    if not jnp.issubdtype(tokens.dtype, jnp.integer):
        raise TypeError(f"TextTransformer: tokens must be integers; got {tokens.dtype}.")


class TokenHead(nn.Module):
    """Scores of tokens by a table of theirs: a layer, GELU and LayerNorm, then the tied product.

    Attributes:
        dtype: compute dtype of the matrix products.

    Source: Devlin et al., BERT, 2018, arXiv:1810.04805; google-research/bert, run_pretraining.py,
        ``get_masked_lm_output``.
    """

    dtype: str = "float32"

    @nn.compact
    def __call__(self, rows: Array, table: Array, train: bool = False) -> Array:
        """Maps rows [..., D] and the table [M, D] to scores, float32 [..., M]."""
        del train
        y = layers.linear(rows, rows.shape[-1], dtype=self.dtype, name="dense", kernel_init=_NORMAL)
        y = layers.layer_norm(activations.gelu(y), dtype=self.dtype, name="norm")
        bias = self.param("bias", nn.initializers.zeros, (len(table),))
        return tied_logits(y, table) + bias.reshape((1,) * (y.ndim - 1) + (-1,))


def tied_logits(rows: Array, table: Array) -> Array:
    """Scores of every token, float32 [..., M]: rows [..., D] times the table [M, D].

    In float32 whatever the rest is computed in: they are what the loss compares.
    """
    return products.affine(rows.astype(jnp.float32), table.T, None)
