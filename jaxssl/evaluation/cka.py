"""Linear CKA: how alike two representations of the same examples are, whatever their sizes."""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from jaxssl import checks
from jaxssl.evaluation import threads


class _Centred(NamedTuple):
    """Features whose columns have mean 0, and the squared length of every row."""

    rows: np.ndarray
    lengths: np.ndarray


def linear_cka(first: np.ndarray, second: np.ndarray, *, debiased: bool = True) -> float:
    """Similarity of two representations of the same examples.

        value = HSIC(K, L) / sqrt(HSIC(K, K) HSIC(L, L)),   K = X X^T, L = Y Y^T

    It does not change when either is turned, mirrored, shifted or scaled as a whole; other linear
    maps change it. The plain estimate, tr(K H L H) with H the centring matrix, is far from 0 where
    features are many and examples few, even of unrelated ones; the debiased one takes the unbiased
    estimate of HSIC, which leaves out the diagonals.

    Args:
        first: X, real [N, D].
        second: Y, real [N, D'], of the same examples in the same order.
        debiased: which estimate.

    Returns:
        At most 1, which it is of equal ones; plain at least 0, debiased about 0 or a little below
        for unrelated ones. 0 where the features of all examples are the same.

    Raises:
        ValueError: other shapes, features that are not finite, or fewer than four examples.

    Source: Kornblith et al., Similarity of Neural Network Representations Revisited, 2019,
        arXiv:1905.00414, eq. 3 to 5; Song et al., Feature Selection via Dependence Maximization,
        2012, eq. 5 (unbiased HSIC); debiased CKA: Nguyen et al., Do Wide and Deep Networks Learn
        the Same Things?, 2020, arXiv:2010.15327, section 3.
    """
    return float(cka_matrix([first, second], debiased=debiased)[0, 1])


def cka_matrix(layers: Sequence[np.ndarray], *, debiased: bool = True) -> np.ndarray:
    """``linear_cka`` of every pair of representations of the same examples.

    Args:
        layers: [N, D_i] each.
        debiased: which estimate.

    Returns:
        Symmetric float64 [M, M] of M representations.

    Raises:
        ValueError: as ``linear_cka``.
    """
    centred = [_centred(each) for each in layers]
    if any(len(each.rows) != len(centred[0].rows) for each in centred):
        counts = ", ".join(str(len(each.rows)) for each in centred)
        raise ValueError(
            f"cka: all features must be of the same examples; got {counts} rows. Measure one split."
        )
    products = np.zeros((len(layers), len(layers)))
    with threads.one_for_blas():
        for row, one in enumerate(centred):
            for column, other in enumerate(centred[: row + 1]):
                value = _hsic(one, other, debiased=debiased)
                products[row, column] = products[column, row] = value
    lengths = np.sqrt(np.maximum(np.diag(products), 0))
    lengths[lengths == 0] = np.inf  # alike with nothing, itself included
    return products / np.outer(lengths, lengths)


def _centred(features: np.ndarray) -> _Centred:
    features = np.asarray(features, np.float64)
    if features.ndim != 2:
        raise ValueError(f"cka: features must be [N, D]; got shape {features.shape}.")
    checks.at_least("cka", 4, num_examples=len(features))
    if not np.isfinite(features).all():
        raise ValueError("cka: features must be finite; got NaN or infinity.")
    if (features == features[:1]).all():
        features = np.zeros_like(features)  # no rounding of a mean passes for a difference
    rows = features - features.mean(axis=0)
    return _Centred(rows, np.einsum("nd,nd->n", rows, rows))


def _hsic(one: _Centred, other: _Centred, *, debiased: bool) -> float:
    """HSIC of two linear kernels up to a factor of N alone, by products of features.

    Unbiased: Song's sum over the kernels without their diagonals, rewritten for centred rows, whose
    kernels have rows that sum to 0.
    """
    value = np.sum(np.square(one.rows.T @ other.rows))
    if debiased:
        count = len(one.rows)
        value -= count / (count - 2) * np.dot(one.lengths, other.lengths)
        value += one.lengths.sum() * other.lengths.sum() / ((count - 1) * (count - 2))
    return value
