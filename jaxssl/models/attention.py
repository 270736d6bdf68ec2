"""Scaled dot-product attention: softmax(q kᵀ / sqrt(d)) v, by two products or by the library's own.

Source: Vaswani et al., Attention Is All You Need, 2017, arXiv:1706.03762, eq. 1.
"""

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxssl.models import products
from jaxssl.types import Array


def weigh(q: Array, k: Array, *, mask: Array | None = None, causal: bool = False) -> Array:
    """How much each query takes of each key's value: softmax(q kᵀ / sqrt(d)), in float32.

    Args:
        q: queries [B, N, H, d], of any floating dtype.
        k: keys [B, M, H, d], of the same.
        mask: bool, broadcast to [B, H, N, M]; which keys a query sees. None: all.
        causal: a query sees the key in its own place and those before it; N = M.

    Returns:
        float32 [B, H, N, M]; each query's row sums to 1.
    """
    scores = products.einsum_to_float32("bqhd,bkhd->bhqk", q, k)
    scores = scores * q.shape[-1] ** -0.5
    if causal:
        is_past = jnp.tri(q.shape[1], dtype=bool)[None, None]  # query by key
        scores = jnp.where(is_past, scores, -jnp.inf)
    if mask is not None:
        scores = jnp.where(mask, scores, -jnp.inf)
    return nn.softmax(scores)


def average(weights: Array, v: Array) -> Array:
    """Values [B, M, H, d] averaged by ``weights`` [B, H, N, M]: [B, N, H, d], the values' dtype."""
    return jnp.einsum("bhqk,bkhd->bqhd", weights.astype(v.dtype), v)


def by_library(
    q: Array, k: Array, v: Array, *, mask: Array | None = None, causal: bool = False
) -> Array:
    """``average(weigh(q, k), v)`` by ``jax.nn.dot_product_attention``, the same up to rounding.

    In bfloat16 that function mixes dtypes by itself: it needs ``jax_numpy_dtype_promotion`` to be
    "standard", which is JAX's default.
    """
    return jax.nn.dot_product_attention(q, k, v, mask=mask, is_causal=causal)
