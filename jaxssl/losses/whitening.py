"""W-MSE: views whitened over the batch, then compared; nothing else keeps them from collapse."""

from typing import Any

import jax
import jax.numpy as jnp
from jax import lax

from jaxssl import collectives
from jaxssl.losses import checks, numerics, similarity
from jaxssl.losses.meshes import on_any_mesh
from jaxssl.types import Array


@on_any_mesh
def whitening_mse(
    view_a: Array,
    view_b: Array,
    *,
    groups: Array | None = None,
    num_groups: int = 1,
    epsilon: float = 1e-5,
    axis_name: str | None = None,
) -> Array:
    """Cosine regression of two views, each whitened over the global batch.

        value_i = 2 - 2 cos( whiten(a)_i, whiten(b)_i )

    The whitening of a covariance estimated from few rows is noisy; the paper draws it from random
    sub-batches of at least 2 D rows (and averages over several draws). Groups do that: the rows
    of all devices that share a number are whitened together.

    Args:
        view_a: [B, D] floating, of any scale.
        view_b: [B, D] floating, row i belonging to row i.
        groups: [B] integers in 0 ... num_groups - 1, this device's part of a random division of
            the global batch into equal parts, or None for one group; for example, with one key
            on all devices, this device's rows of
            ``jax.random.permutation(key, G) % num_groups``.
        num_groups: number of groups, at least 1.
        epsilon: see ``whiten``.
        axis_name: device axis, or None.

    Returns:
        [B], local, per example, float32 or wider, 0 to 4; 2 for collapsed views.

    Raises:
        TypeError: views not floating, or groups not integers.
        ValueError: a wrong rank, unequal shapes, a number out of range, or groups too small.

    Source: Ermolov et al.: Whitening for Self-Supervised Representation Learning, 2020, arXiv
    2007.06346, section 3.
    """
    checks.axes("whitening_mse", "B D", view_a=view_a, view_b=view_b)
    checks.equal_shapes("whitening_mse", view_a=view_a.shape, view_b=view_b.shape)
    checks.floating("whitening_mse", view_a=view_a, view_b=view_b)
    view_a, view_b = numerics.at_least_float32(view_a, view_b)
    options: dict[str, Any] = {"groups": groups, "num_groups": num_groups, "epsilon": epsilon}
    return similarity.cosine_regression(
        whiten(view_a, **options, axis_name=axis_name),
        whiten(view_b, **options, axis_name=axis_name),
    )


@on_any_mesh
def whiten(
    rows: Array,
    *,
    groups: Array | None = None,
    num_groups: int = 1,
    epsilon: float = 1e-5,
    axis_name: str | None = None,
) -> Array:
    """Gives the rows of every group mean 0 and covariance 1.

        z_i = L^-1 (x_i - mean),   L L^T = (1 - epsilon) Cov(x) + epsilon I

    L is the Cholesky factor; Cov divides by the group's rows - 1. The official code takes
    epsilon 0, which has no answer where features are linearly dependent.

    Args:
        rows: [B, D] floating.
        groups: [B] integers in 0 ... num_groups - 1, or None for one group.
        num_groups: number of groups, at least 1.
        epsilon: weight of the identity, in [0, 1].
        axis_name: device axis, or None.

    Returns:
        [B, D], local, float32 or wider.

    Raises:
        TypeError: rows not floating, or groups not integers.
        ValueError: a wrong rank, a number out of range, or fewer than 2 rows a group.

    Source: Ermolov et al., 2020, arXiv 2007.06346, section 3; the Cholesky form is Siarohin et
    al.: Whitening and Coloring Batch Transform for GANs, 2018, arXiv 1806.00420.
    """
    checks.axes("whiten", "B D", rows=rows)
    checks.floating("whiten", rows=rows)
    checks.at_least("whiten", 1, num_groups=num_groups)
    if not 0 <= epsilon <= 1:
        raise ValueError(
            f"whiten: epsilon must be in [0, 1]; got {epsilon}. "
            "0 turns it off, 1e-5 is the default."
        )
    num_rows = rows.shape[0] * collectives.axis_size(axis_name)
    checks.global_batch("whiten", num_rows, 2 * num_groups)
    (rows,) = numerics.at_least_float32(rows)
    if groups is None:
        groups = jnp.zeros(rows.shape[0], jnp.int32)
    checks.integers("whiten", groups=groups)
    checks.equal_shapes("whiten", **{"batch of rows": rows.shape[:1], "groups": groups.shape})
    member = jax.nn.one_hot(groups, num_groups, dtype=rows.dtype)  # [B, S]
    count = collectives.psum(jnp.sum(member, axis=0), axis_name)
    mean = (
        collectives.psum(_einsum("bs,bd->sd", member, rows), axis_name)
        / jnp.maximum(count, 1)[:, None]
    )
    rows = rows - _einsum("bs,sd->bd", member, mean)
    # One product per group: the rows of others are zeroed, not gathered, so shapes stay static.
    own = member.T[:, :, None] * rows[None]  # [S, B, D]
    covariance = collectives.psum(_einsum("sbd,sbe->sde", own, own), axis_name)
    covariance = covariance / jnp.maximum(count - 1, 1)[:, None, None]
    identity = jnp.eye(rows.shape[1], dtype=rows.dtype)[None]
    factor = jnp.linalg.cholesky((1 - epsilon) * covariance + epsilon * identity)
    whitened = jax.vmap(
        lambda lower, group: jax.scipy.linalg.solve_triangular(lower, group.T, lower=True).T
    )(factor, own)
    return jnp.sum(whitened, axis=0)


def _einsum(equation: str, *arrays: Array) -> Array:
    return jnp.einsum(equation, *arrays, precision=lax.Precision.HIGHEST)
