"""Spherical k-means of a memory of unit rows, in blocks: DeepCluster-v2's clustering.

Deterministic: no scattered addition, whose order an accelerator does not promise, and ties go to
the lower number. On equal inputs every device finds equal centroids, without a collective.
"""

import functools

import jax
import jax.numpy as jnp
from jax import lax

from jaxssl import checks
from jaxssl.types import Array


def fit(
    key: Array,
    points: Array,
    previous: Array,
    *,
    num_iterations: int = 10,
    block_size: int = 4096,
) -> Array:
    """Centroids of the points, from a random start among them.

        a_n = argmax_m x_n . c_m;   c_m <- s_m / ||s_m||, s_m = sum of x_n with a_n = m

    A centroid that no point is nearest to stays where it was. A point of zeros is an empty place of
    the memory: it belongs to no centroid and starts none; where fewer points than centroids are
    there, the rest start from ``previous``.

    Args:
        key: PRNG key; draws the M points to start from, each at most once.
        points: float32 [N, D], rows of norm 1, or 0 where there is none.
        previous: float32 [M, D], rows of norm 1, what stands where points are missing.
        num_iterations: of both steps, at least 1.
        block_size: points whose [block, M] cosines are held at a time, at least 1.

    Returns:
        float32 [M, D], rows of norm 1. No gradient flows.

    Raises:
        ValueError: points and previous of unequal D, or a count below 1.

    Source: Caron et al., Unsupervised Learning of Visual Features by Contrasting Cluster
    Assignments, 2020, arXiv:2006.09882, appendix (DeepCluster-v2), and the authors'
    main_deepclusterv2.py.
    """
    if points.shape[1:] != previous.shape[1:]:
        raise ValueError(
            f"kmeans.fit: points [N, D] and previous [M, D] must have equal D; got {points.shape} "
            f"and {previous.shape}. Both come from one projector."
        )
    fix = "The published clustering takes 10 iterations."
    checks.at_least("kmeans.fit", 1, num_iterations=num_iterations, block_size=block_size, fix=fix)
    points, previous = lax.stop_gradient((points, previous))
    num_points, num_features = points.shape
    block_size = min(block_size, num_points)
    empty = -num_points % block_size  # rows of zeros, which belong to no centroid
    padded = jnp.concatenate([points, jnp.zeros((empty, num_features), points.dtype)])
    blocks = padded.reshape(-1, block_size, num_features)

    def iteration(_: Array, centroids: Array) -> Array:
        add = functools.partial(_add_block, centroids)
        sums = lax.scan(add, jnp.zeros_like(centroids), blocks)[0]
        norms = jnp.linalg.norm(sums, axis=-1, keepdims=True)
        return jnp.where(norms > 0, sums / jnp.where(norms > 0, norms, 1), centroids)

    return lax.fori_loop(0, num_iterations, iteration, _start(key, points, previous))


def nearest(points: Array, centroids: Array) -> Array:
    """The centroid with the largest inner product; the lower number of equals.

    Args:
        points: float32 [B, D].
        centroids: float32 [M, D].

    Returns:
        int32 [B] in 0 ... M - 1.
    """
    return jnp.argmax(cosines(points, centroids), axis=-1).astype(jnp.int32)


def cosines(points: Array, centroids: Array) -> Array:
    """Inner products float32 [B, M] of unit rows [B, D] and [M, D], in full precision."""
    return jnp.matmul(points, centroids.T, precision=lax.Precision.HIGHEST)


def is_filled(points: Array) -> Array:
    """Whether a place of the memory [..., D] holds a point; boolean [...]."""
    return jnp.any(points != 0, axis=-1)


def _start(key: Array, points: Array, previous: Array) -> Array:
    """M different points in random order, where there are so many."""
    draws = jax.random.uniform(key, points.shape[:1])
    draws = jnp.where(is_filled(points), draws, -1.0)
    count = min(len(points), len(previous))
    draws, chosen = lax.top_k(draws, count)
    drawn = jnp.where((draws >= 0)[:, None], points[chosen], previous[:count])
    return jnp.concatenate([drawn, previous[count:]])


def _add_block(centroids: Array, sums: Array, block: Array) -> tuple[Array, None]:
    """Adds every point of a block to the sum of its centroid, as a product with one-hot rows."""
    members = jax.nn.one_hot(nearest(block, centroids), len(centroids), axis=0, dtype=block.dtype)
    # Points of zeros add nothing, whichever centroid they are given.
    return sums + jnp.matmul(members, block, precision=lax.Precision.HIGHEST), None
