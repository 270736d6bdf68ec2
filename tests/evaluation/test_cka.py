"""Linear CKA against Gram matrices and Song's sums, and what it must not see."""

import math

import numpy as np
import pytest

from jaxssl.evaluation import cka


def rows(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def gram(features):
    return np.array([[float(a @ b) for b in features] for a in features])


def plain_hsic(first, second):
    """Kornblith 2019, eq. 3, without its factor 1 / (n - 1)^2, which cancels."""
    centring = np.eye(len(first)) - 1 / len(first)
    return np.trace(first @ centring @ second @ centring)


def unbiased_hsic(first, second):
    """Song 2012, eq. 5: kernels without diagonals."""
    n = len(first)
    first, second = (kernel - np.diag(np.diag(kernel)) for kernel in (first, second))
    total = np.trace(first @ second) + first.sum() * second.sum() / ((n - 1) * (n - 2))
    return (total - 2 / (n - 2) * (first @ second).sum()) / (n * (n - 3))


@pytest.mark.parametrize(("debiased", "hsic"), [(False, plain_hsic), (True, unbiased_hsic)])
@pytest.mark.parametrize("num_features", [3, 40])
def test_agrees_with_the_kernels(debiased, hsic, num_features):
    first = rows(0, 12, num_features) + 5
    second = np.tanh(first[:, :3] @ rows(1, 3, 6)) + 0.3 * rows(2, 12, 6)
    one, other = gram(first), gram(second)
    expected = hsic(one, other) / math.sqrt(hsic(one, one) * hsic(other, other))
    got = cka.linear_cka(first, second, debiased=debiased)
    np.testing.assert_allclose(got, expected, rtol=1e-9)


@pytest.mark.parametrize("debiased", [False, True])
def test_does_not_see_rotation_shift_and_scale(debiased):
    first, second = rows(0, 30, 8), rows(1, 30, 5)
    turn, _ = np.linalg.qr(rows(2, 8, 8))
    expected = cka.linear_cka(first, second, debiased=debiased)
    got = cka.linear_cka(7 * first @ turn - 3, second, debiased=debiased)
    np.testing.assert_allclose(got, expected, rtol=1e-9)
    np.testing.assert_allclose(cka.linear_cka(first, 2 * first @ turn, debiased=debiased), 1)


def test_only_the_debiased_one_tells_that_wide_features_are_unrelated():
    first, second = rows(0, 50, 400), rows(1, 50, 400)
    assert cka.linear_cka(first, second, debiased=False) > 0.8
    assert abs(cka.linear_cka(first, second)) < 0.05


def test_constant_features_are_like_nothing():
    constant = np.full((9, 4), 0.1, np.float32)
    matrix = cka.cka_matrix([constant, rows(0, 9, 4)])
    np.testing.assert_allclose(matrix, [[0, 0], [0, 1]], atol=1e-12)


def test_mistakes_are_named():
    with pytest.raises(ValueError, match=r"cka: all features must be of the same examples; got 9"):
        cka.cka_matrix([rows(0, 9, 4), rows(0, 8, 4)])
    with pytest.raises(ValueError, match=r"cka: features must be \[N, D\]; got shape \(9,\)"):
        cka.linear_cka(rows(0, 9), rows(0, 9))
    with pytest.raises(ValueError, match=r"cka: num_examples must be at least 4; got 3"):
        cka.linear_cka(rows(0, 3, 2), rows(0, 3, 2))
    with pytest.raises(ValueError, match=r"cka: features must be finite; got NaN"):
        cka.linear_cka(np.full((9, 2), np.nan), rows(0, 9, 2))
