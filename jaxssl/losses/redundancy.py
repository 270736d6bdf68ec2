"""Losses of the statistics of a batch: make two views agree and their features differ.

Statistics are those of the GLOBAL batch: means over all devices of means over their equally many
rows, so value and gradient are exactly those of one device. What crosses devices is [D] and
[D, D], never rows. Matrix products run at full float32 precision.
"""

from typing import NamedTuple

import jax
import jax.numpy as jnp
from jax import lax

from jaxssl import collectives
from jaxssl.losses import checks, numerics
from jaxssl.losses.meshes import on_any_mesh
from jaxssl.types import Array


@on_any_mesh(per_example=False)
def barlow_twins(
    view_a: Array,
    view_b: Array,
    *,
    redundancy_weight: float = 0.0051,
    epsilon: float = 1e-5,
    axis_name: str | None = None,
) -> Array:
    """Pushes the cross-correlation of two views' features towards the identity.

        C_ij = mean_b a_bi b_bj          of features standardised over the global batch
        value = sum_i (1 - C_ii)^2 + lambda sum_i sum_{j != i} C_ij^2

    Standardised by ``standardise``. A constant feature correlates with nothing, costs 1 and stays
    finite.

    Args:
        view_a: [B, D] floating, projections of one view.
        view_b: [B, D] floating, of the other view, row i belonging to row i.
        redundancy_weight: lambda, at least 0.
        epsilon: added to the variances, above 0.
        axis_name: device axis, or None.

    Returns:
        Scalar, equal on all devices, float32 or wider, at least 0; D for views without any
        correlation, such as constant ones. Official runs multiply it by a scale of 0.024.

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: a wrong rank, unequal shapes, a number out of range, or a global batch of one.

    Source: Zbontar et al.: Barlow Twins: Self-Supervised Learning via Redundancy Reduction, 2021,
    arXiv 2103.03230, eqs. 1 and 2.
    """
    checks.not_negative("barlow_twins", redundancy_weight=redundancy_weight)
    checks.above_zero("barlow_twins", epsilon=epsilon)
    view_a, view_b = _views("barlow_twins", view_a, view_b, axis_name)
    standardised = [
        standardise(rows, epsilon=epsilon, axis_name=axis_name) for rows in (view_a, view_b)
    ]
    correlation = _products(standardised[0], standardised[1], axis_name)
    on_diagonal = jnp.sum(jnp.square(1 - jnp.diagonal(correlation)))
    return on_diagonal + redundancy_weight * _off_diagonal_squares(correlation)


@on_any_mesh
def standardise(rows: Array, *, epsilon: float = 1e-5, axis_name: str | None = None) -> Array:
    """Gives every feature of the global batch mean 0 and variance 1; what Barlow Twins compares.

        z_bd = (x_bd - mean_d) / sqrt(variance_d + epsilon)

    The variance is the biased one, as in the official code (a batch norm without affine part).

    Args:
        rows: [B, D] floating.
        epsilon: added to the variances, above 0; a constant feature becomes 0.
        axis_name: device axis, or None.

    Returns:
        [B, D], local, float32 or wider.

    Raises:
        TypeError: rows not floating.
        ValueError: a wrong rank, or epsilon not above 0.

    Source: Zbontar et al.: Barlow Twins, 2021, arXiv 2103.03230, eq. 2.
    """
    checks.axes("standardise", "B D", rows=rows)
    checks.floating("standardise", rows=rows)
    checks.above_zero("standardise", epsilon=epsilon)
    (rows,) = numerics.at_least_float32(rows)
    rows = _centred(rows, axis_name)
    variance = collectives.pmean(jnp.mean(jnp.square(rows), axis=0), axis_name)
    return rows / jnp.sqrt(variance + epsilon)[None]


class VICRegTerms(NamedTuple):
    """The parts of VICReg, scalars that are equal on all devices, each at least 0.

    Attributes:
        invariance: mean squared difference of the two views' entries.
        variance: mean shortfall of the features' standard deviations, over both views; 0 where
            each deviates by the target, about the target where all have collapsed.
        covariance: sum of squared off-diagonal covariances over D, summed over both views.
    """

    invariance: Array
    variance: Array
    covariance: Array


@on_any_mesh(per_example=False)
def vicreg(
    view_a: Array,
    view_b: Array,
    *,
    invariance_weight: float = 25.0,
    variance_weight: float = 25.0,
    covariance_weight: float = 1.0,
    target_std: float = 1.0,
    epsilon: float = 1e-4,
    axis_name: str | None = None,
) -> Array:
    """Weighted sum of VICReg's three terms; ``vicreg_terms`` gives them one by one.

        value = lambda invariance + mu variance + nu covariance

    Args:
        view_a: [B, D] floating, projections of one view; their scale matters.
        view_b: [B, D] floating, of the other view, row i belonging to row i.
        invariance_weight: lambda, at least 0.
        variance_weight: mu, at least 0.
        covariance_weight: nu, at least 0.
        target_std: gamma, the standard deviation each feature should reach, above 0.
        epsilon: added to the variances, above 0.
        axis_name: device axis, or None.

    Returns:
        Scalar, equal on all devices, float32 or wider, at least 0.

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: a wrong rank, unequal shapes, a number out of range, or a global batch of one.

    Source: Bardes, Ponce, LeCun: VICReg: Variance-Invariance-Covariance Regularization for
    Self-Supervised Learning, 2021, arXiv 2105.04906, eq. 6.
    """
    checks.not_negative(
        "vicreg",
        invariance_weight=invariance_weight,
        variance_weight=variance_weight,
        covariance_weight=covariance_weight,
    )
    terms = vicreg_terms(
        view_a, view_b, target_std=target_std, epsilon=epsilon, axis_name=axis_name
    )
    return (
        invariance_weight * terms.invariance
        + variance_weight * terms.variance
        + covariance_weight * terms.covariance
    )


@on_any_mesh(per_example=False)
def vicreg_terms(
    view_a: Array,
    view_b: Array,
    *,
    target_std: float = 1.0,
    epsilon: float = 1e-4,
    axis_name: str | None = None,
) -> VICRegTerms:
    """The three terms of VICReg, unweighted.

        invariance = mean_bd (a_bd - b_bd)^2
        variance   = mean over views and features of max(0, gamma - sqrt(Var(x_d) + epsilon))
        covariance = sum over views of sum_{i != j} Cov(x)_ij^2 / D

    Var and Cov divide by G - 1. As in the official code, the invariance is a mean over features,
    where the paper sums them, and the variance terms of the two views are averaged, where the
    paper adds them: the published weights belong to these.

    Args:
        view_a: [B, D] floating.
        view_b: [B, D] floating, row i belonging to row i.
        target_std: gamma, above 0.
        epsilon: added to the variances, above 0.
        axis_name: device axis, or None.

    Returns:
        VICRegTerms of scalars, float32 or wider.

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: a wrong rank, unequal shapes, a number out of range, or a global batch of one.

    Source: Bardes, Ponce, LeCun: VICReg, 2021, arXiv 2105.04906, eqs. 1 to 5.
    """
    checks.above_zero("vicreg", target_std=target_std, epsilon=epsilon)
    view_a, view_b = _views("vicreg", view_a, view_b, axis_name)
    num_rows = view_a.shape[0] * collectives.axis_size(axis_name)

    def spread(rows: Array) -> tuple[Array, Array]:
        covariance = _products(*2 * (_centred(rows, axis_name),), axis_name)
        covariance = covariance * (num_rows / (num_rows - 1))
        std = jnp.sqrt(jnp.diagonal(covariance) + epsilon)
        shortfall = jnp.mean(jax.nn.relu(target_std - std))
        return shortfall, _off_diagonal_squares(covariance) / rows.shape[1]

    (variance_a, covariance_a), (variance_b, covariance_b) = spread(view_a), spread(view_b)
    return VICRegTerms(
        invariance=collectives.pmean(jnp.mean(jnp.square(view_a - view_b)), axis_name),
        variance=(variance_a + variance_b) / 2,
        covariance=covariance_a + covariance_b,
    )


def _views(
    function: str, view_a: Array, view_b: Array, axis_name: str | None
) -> tuple[Array, Array]:
    checks.axes(function, "B D", view_a=view_a, view_b=view_b)
    checks.equal_shapes(function, view_a=view_a.shape, view_b=view_b.shape)
    checks.floating(function, view_a=view_a, view_b=view_b)
    checks.global_batch(function, view_a.shape[0] * collectives.axis_size(axis_name), 2)
    view_a, view_b = numerics.at_least_float32(view_a, view_b)
    return view_a, view_b


def _centred(rows: Array, axis_name: str | None) -> Array:
    return rows - collectives.pmean(jnp.mean(rows, axis=0), axis_name)[None]


def _products(left: Array, right: Array, axis_name: str | None) -> Array:
    """Mean over the global batch of the outer products of paired rows, [D, D]."""
    local = jnp.matmul(left.T, right, precision=lax.Precision.HIGHEST) / left.shape[0]
    return collectives.pmean(local, axis_name)


def _off_diagonal_squares(matrix: Array) -> Array:
    is_diagonal = jnp.eye(matrix.shape[0], dtype=bool)
    return jnp.sum(jnp.square(jnp.where(is_diagonal, 0, matrix)))
