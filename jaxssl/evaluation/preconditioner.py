"""An approximate inverse of the Hessian of logistic regression: its diagonal blocks, sampled."""

import jax
import jax.numpy as jnp
import numpy as np
import scipy.linalg
from jax import lax

from jaxssl.evaluation import threads
from jaxssl.evaluation.standardised import Standardised
from jaxssl.types import Array

# Rows that a block is estimated on, for each feature. Fewer make steps that are too long, more make
# more work: it grows as rows · D² · blocks, so that one block, or narrow ones, may have more.
_NARROW, _ROWS_NARROW, _ROWS_SHARED, _ROWS_WIDE = 1024, 16, 8, 2
_MIN_ROWS = 4096
_BLOCK_LIMIT = 2**28  # values in all blocks; beyond that, one block shared by the classes
_GRAM_VALUES = 2**25  # values of the rows that enter a Gram matrix at a time
_HIGHEST = lax.Precision.HIGHEST  # accelerators would round the factors to 8 or 11 bits


class BlockInverse:
    """Inverse of the diagonal blocks of the Hessian at one point, one block for each class.

    Block k is Σ p_k (1 − p_k) x̃ x̃ᵀ / N + diag(l2, …, l2, 0), x̃ = (x, 1), [D + 1, D + 1]. Few rows
    matter to it near a solution: those whose class is in doubt. So it is estimated on rows drawn in
    proportion to p_k (1 − p_k), by systematic sampling (nothing random), all then of equal weight.
    Where all rows are equally in doubt (at zero weights) or the blocks are too large, the classes
    share one block, of mean weight.
    """

    def __init__(self, rows: Standardised, prob: np.ndarray, l2: float, *, shared: bool):
        """Estimates and inverts.

        Args:
            rows: [N, D].
            prob: [K, N], the probabilities at the point.
            l2: penalty.
            shared: one block for all classes; also where the limit on their size asks for it.
        """
        width = rows.dim + 1
        importance = prob * (1 - prob)
        oversized = len(prob) * width**2 > _BLOCK_LIMIT
        if shared or oversized:
            importance = importance.mean(axis=0, keepdims=True)
        wide = _ROWS_SHARED if shared and not oversized else _ROWS_WIDE
        per_feature = _ROWS_NARROW if rows.dim <= _NARROW else wide
        sample = min(rows.num, max(_MIN_ROWS, per_feature * rows.dim))
        penalty = np.append(np.full(rows.dim, l2), 0.0)
        inverse = np.empty((len(importance), width, width), np.float32)
        for block, weight in zip(inverse, importance):
            cumulative = np.cumsum(weight, dtype=np.float64)
            places = (np.arange(sample) + 0.5) / sample * cumulative[-1]
            drawn = np.minimum(np.searchsorted(cumulative, places), rows.num - 1)
            mean_weight = cumulative[-1] / (sample * rows.num)
            hessian = _gram(rows, drawn) * np.float32(mean_weight)
            with threads.one_for_blas():
                block[:] = _inverse(hessian, penalty)
        self._inverse = jnp.asarray(inverse)

    def __call__(self, gradient: np.ndarray) -> np.ndarray:
        """The product with a vector [K, D + 1], float64 in and out."""
        vector = np.asarray(_apply(self._inverse, jnp.asarray(gradient, jnp.float32)), np.float64)
        # Adding one number to all logits of an example changes nothing: keep out of that
        # direction, along which the blocks of single classes would move.
        return vector - vector.mean(axis=0)


def _gram(rows: Standardised, drawn: np.ndarray) -> np.ndarray:
    """Σ x̃ x̃ᵀ over the drawn rows, float32 [D + 1, D + 1]."""
    total = jnp.zeros((rows.dim + 1, rows.dim + 1), jnp.float32)
    size = max(1, _GRAM_VALUES // rows.dim)
    for first in range(0, len(drawn), size):
        total = _add_gram(total, rows.take(drawn[first : first + size]))
    return np.asarray(total)


@jax.jit
def _add_gram(total: Array, block: Array) -> Array:
    sums = jnp.matmul(jnp.ones((1, len(block)), jnp.float32), block, precision=_HIGHEST)
    gram = jnp.matmul(block.T, block, precision=_HIGHEST)
    count = jnp.full((1, 1), len(block), jnp.float32)
    return total + jnp.block([[gram, sums.T], [sums, count]])


def _inverse(hessian: np.ndarray, penalty: np.ndarray) -> np.ndarray:
    """Float32 inverse of a matrix that rounding may have left without a definite sign."""
    ridge = 1e-7 * float(np.trace(hessian)) + np.finfo(np.float32).tiny
    while True:
        regular = hessian.astype(np.float64)
        regular[np.diag_indices_from(regular)] += penalty + ridge
        # A symmetric matrix is its own transpose, which LAPACK factorises without a copy.
        factor, failed = scipy.linalg.lapack.dpotrf(regular.T, lower=True, overwrite_a=True)
        if not failed:
            break
        ridge *= 10
    half, _ = scipy.linalg.lapack.dpotri(factor, lower=True, overwrite_c=True)
    half = np.tril(half.astype(np.float32))
    return half + np.tril(half, -1).T


@jax.jit
def _apply(inverse: Array, vector: Array) -> Array:
    if len(inverse) == 1:
        return jnp.matmul(vector, inverse[0], precision=_HIGHEST)
    return jnp.einsum("kde,ke->kd", inverse, vector, precision=_HIGHEST)
