"""Prototypes: learned directions that features are scored against."""

from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxssl.models import products
from jaxssl.types import Array


class Prototypes(nn.Module):
    """Cosines of features with M learned directions.

        score_m = (x . w_m) / (||x|| ||w_m||)

    The weight-normed last layer of DINO with its magnitudes fixed at 1: prototypes are normalised
    where they are used, so that only their direction matters. The authors' option to learn the
    magnitudes is left out. A zero vector scores 0.

    Attributes:
        num_prototypes: M.
        dtype: compute dtype of the matrix product; norms and scores are float32.

    Source: Caron et al., Emerging Properties in Self-Supervised Vision Transformers, 2021,
        arXiv:2104.14294, section 3 and appendix C; the initialisation, uniform in
        +-1 / sqrt(D), from the authors' code.
    """

    num_prototypes: int
    dtype: Literal["float32", "bfloat16"] = "float32"

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Scores float32 [..., M], in [-1, 1], of features [..., D], floating of any scale."""
        uniform = nn.initializers.variance_scaling(1 / 3, "fan_in", "uniform")
        kernel = self.param("kernel", uniform, (x.shape[-1], self.num_prototypes))
        rows = _unit(x.astype(jnp.float32), axis=-1).astype(self.dtype)
        columns = _unit(kernel, axis=0).astype(self.dtype)
        scores = products.einsum_to_float32("bd,dm->bm", rows.reshape(-1, x.shape[-1]), columns)
        return scores.reshape(*x.shape[:-1], self.num_prototypes)


def _unit(vectors: Array, *, axis: int) -> Array:
    # The floor keeps the gradient at 0 finite, also once it is squared; features that DINO's
    # initialisation makes of narrow layers reach 1e-5.
    squares = jnp.sum(jnp.square(vectors), axis=axis, keepdims=True)
    return vectors * jax.lax.rsqrt(jnp.maximum(squares, 1e-20))
