"""whiten and whitening_mse: moments, NumPy's Cholesky, gradients, groups, collapse."""

import embedding_oracles
import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest

from jaxssl import losses

STATIC = ("num_groups", "epsilon")
whiten = jax.jit(losses.whiten, static_argnames=STATIC)
whitening_mse = jax.jit(losses.whitening_mse, static_argnames=STATIC)


def _rows(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def _whiten(rows, epsilon):
    covariance = np.zeros((rows.shape[1],) * 2)
    for row in rows:
        centred = row - rows.mean(0)
        covariance += np.outer(centred, centred) / (len(rows) - 1)
    lower = np.linalg.cholesky((1 - epsilon) * covariance + epsilon * np.eye(rows.shape[1]))
    return np.array([np.linalg.solve(lower, row - rows.mean(0)) for row in rows])


def _oracle(a, b, epsilon=1e-5):
    return embedding_oracles.cosine_regression(_whiten(a, epsilon), _whiten(b, epsilon))


def test_whitened_rows_match_numpy_and_have_covariance_1():
    rows = _rows(0, 12, 3) @ _rows(1, 3, 3) + 5
    whitened = whiten(rows, epsilon=0.0)
    np.testing.assert_allclose(whitened, _whiten(np.float64(rows), 0.0), atol=1e-4)
    np.testing.assert_allclose(np.mean(whitened, 0), 0, atol=1e-5)
    np.testing.assert_allclose(np.cov(whitened.T), np.eye(3), atol=1e-4)


def test_whitening_mse_matches_the_loop_in_value_and_gradient():
    a, b = _rows(0, 7, 3), _rows(1, 7, 3)
    weights = np.arange(7.0)
    values, pullback = jax.vjp(whitening_mse, a, b)
    np.testing.assert_allclose(values, _oracle(np.float64(a), np.float64(b)), rtol=1e-4)
    actual, _ = pullback(jnp.asarray(weights, jnp.float32))
    expected = oracles.gradient(lambda a: weights @ _oracle(a, np.float64(b)), np.float64(a))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-4 * np.max(np.abs(expected)))


def test_groups_are_whitened_apart():
    a, b = _rows(0, 14, 3), _rows(1, 14, 3)
    groups = jnp.asarray(np.random.default_rng(2).permutation(14) % 2)
    values = whitening_mse(a, b, groups=groups, num_groups=2)
    for group in (0, 1):
        members = np.asarray(groups) == group
        expected = _oracle(np.float64(a)[members], np.float64(b)[members])
        np.testing.assert_allclose(values[members], expected, rtol=1e-4)


def test_an_affine_change_of_a_triangular_kind_does_not_matter():
    a, b = _rows(0, 9, 3), _rows(1, 9, 3)
    lower = jnp.tril(_rows(2, 3, 3)) + 3 * jnp.eye(3)
    values = whitening_mse(a @ lower.T + 7, b, epsilon=0.0)
    np.testing.assert_allclose(values, whitening_mse(a, b, epsilon=0.0), rtol=1e-3)
    np.testing.assert_allclose(whitening_mse(a, 2 * a + 1, epsilon=0.0), 0, atol=1e-6)


def test_collapsed_views_cost_2_and_stay_finite():
    for rows in (jnp.ones((6, 3)), jnp.zeros((6, 3))):
        values, gradient = jax.value_and_grad(lambda a: whitening_mse(a, a).mean())(rows)
        np.testing.assert_allclose(values, 2, rtol=1e-6)
        assert np.all(np.isfinite(gradient))


def test_what_cannot_be_whitened_is_named():
    rows = jnp.ones((4, 3))
    with pytest.raises(ValueError, match=r"whiten: epsilon must be in \[0, 1\]; got 2\. 0 turns"):
        losses.whitening_mse(rows, rows, epsilon=2)
    message = r"whiten: the global batch must have at least 6 rows; got 4\."
    with pytest.raises(ValueError, match=message):
        losses.whitening_mse(rows, rows, groups=jnp.zeros(4, int), num_groups=3)
