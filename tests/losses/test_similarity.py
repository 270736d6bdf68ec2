"""cosine_regression against a loop, finite differences and its bounds."""

import embedding_oracles
import jax
import jax.numpy as jnp
import numpy as np
from jax.test_util import check_grads

from jaxssl import losses


def _rows(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def test_cosine_regression_matches_the_loop_at_any_scale():
    prediction, target = _rows(0, 6, 4), _rows(1, 6, 4)
    expected = embedding_oracles.cosine_regression(np.float64(prediction), np.float64(target))
    values = losses.cosine_regression(1e15 * prediction, 1e-15 * target)
    np.testing.assert_allclose(values, expected, rtol=1e-5)
    stacked = losses.cosine_regression(prediction.reshape(2, 3, 4), target.reshape(2, 3, 4))
    np.testing.assert_allclose(stacked.reshape(-1), expected, rtol=1e-5)


def test_cosine_regression_is_0_for_one_direction_and_4_for_opposite_ones():
    rows = _rows(0, 5, 3)
    np.testing.assert_allclose(losses.cosine_regression(rows, 3 * rows), 0, atol=1e-12)
    np.testing.assert_allclose(losses.cosine_regression(rows, -2 * rows), 4, rtol=1e-6)
    near = rows.at[:, 0].multiply(1 + 1e-3)  # 1e-6 at most: lost in the rounding of 2 - 2 cos
    expected = embedding_oracles.cosine_regression(np.float64(rows), np.float64(near))
    np.testing.assert_allclose(losses.cosine_regression(rows, near), expected, rtol=1e-3)


def test_a_zero_vector_costs_2_with_a_finite_gradient():
    prediction = jnp.zeros((3, 4)).at[1].set(1.0)
    target = jnp.zeros((3, 4)).at[0].set(1.0)
    np.testing.assert_allclose(losses.cosine_regression(prediction, target), 2)
    gradient = jax.grad(lambda p: losses.cosine_regression(p, target).sum())(prediction)
    assert np.all(np.isfinite(gradient))
    assert not np.any(gradient[0])


def test_both_arguments_receive_gradients():
    with jax.enable_x64(True):
        pair = (_rows(0, 3, 4).astype(jnp.float64), _rows(1, 3, 4).astype(jnp.float64))
        check_grads(losses.cosine_regression, pair, order=1, modes=["rev"], atol=1e-6, rtol=1e-6)
