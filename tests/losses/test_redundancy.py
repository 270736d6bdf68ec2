"""barlow_twins and vicreg against loops, finite differences and known optima."""

import functools
import math

import embedding_oracles
import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest

from jaxssl import losses

barlow_twins = jax.jit(losses.barlow_twins, static_argnames="redundancy_weight")
vicreg, vicreg_terms = jax.jit(losses.vicreg), jax.jit(losses.vicreg_terms)


def _rows(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def _vicreg_oracle(a, b):
    invariance, variance, covariance = embedding_oracles.vicreg_terms(
        a, b, target_std=1.0, epsilon=1e-4
    )
    return 25 * invariance + 25 * variance + covariance


ORACLES = {
    barlow_twins: functools.partial(
        embedding_oracles.barlow_twins, redundancy_weight=0.0051, epsilon=1e-5
    ),
    vicreg: _vicreg_oracle,
}


@pytest.mark.parametrize("loss", ORACLES)
def test_value_and_gradient_match_the_loop(loss):
    a, b = 0.7 * _rows(0, 6, 4) + 2, 0.5 * _rows(1, 6, 4)
    value, gradient = jax.value_and_grad(loss, argnums=(0, 1))(a, b)
    assert value.shape == ()
    a, b = np.float64(a), np.float64(b)
    np.testing.assert_allclose(value, ORACLES[loss](a, b), rtol=1e-5)
    for actual, expected in zip(
        gradient,
        (
            oracles.gradient(lambda a: ORACLES[loss](a, b), a),
            oracles.gradient(lambda b: ORACLES[loss](a, b), b),
        ),
    ):
        np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5 * np.max(np.abs(expected)))


def test_the_terms_of_vicreg_match_the_loop_one_by_one():
    a, b = 0.7 * _rows(0, 6, 4), 0.5 * _rows(1, 6, 4)
    terms = vicreg_terms(a, b, target_std=0.6, epsilon=1e-3)
    expected = embedding_oracles.vicreg_terms(
        np.float64(a), np.float64(b), target_std=0.6, epsilon=1e-3
    )
    np.testing.assert_allclose(terms, expected, rtol=1e-5)
    value = vicreg(
        a, b, invariance_weight=2.0, variance_weight=3.0, covariance_weight=4.0,
        target_std=0.6, epsilon=1e-3,
    )  # fmt: skip
    np.testing.assert_allclose(value, np.dot([2, 3, 4], expected), rtol=1e-5)


def test_decorrelated_agreeing_views_are_optimal():
    signs = jnp.array([[1, 1], [1, -1], [-1, 1], [-1, -1]], jnp.float32)
    np.testing.assert_allclose(barlow_twins(5 * signs + 3, signs), 0, atol=1e-9)
    assert vicreg(signs, signs) == 0
    assert barlow_twins(signs, signs[:, ::-1]) > 2  # right features in the wrong places
    assert barlow_twins(signs, -signs) > 7


def test_collapsed_views_are_dear_and_finite():
    rows = jnp.ones((4, 3))
    for constant in (rows, 0 * rows):
        value, gradient = jax.value_and_grad(barlow_twins)(constant, constant)
        np.testing.assert_allclose(value, 3, rtol=1e-6)
        assert np.all(np.isfinite(gradient))
        terms = vicreg_terms(constant, constant)
        np.testing.assert_allclose(terms, (0, 1 - math.sqrt(1e-4), 0), rtol=1e-6)
        assert np.all(np.isfinite(jax.grad(vicreg)(constant, constant)))


def test_redundant_features_cost_their_weight():
    column = jnp.array([[1.0], [-1.0], [1.0], [-1.0]])
    twice = jnp.concatenate([column, column], axis=1)
    np.testing.assert_allclose(barlow_twins(twice, twice, redundancy_weight=0.3), 0.6, rtol=1e-4)


@pytest.mark.parametrize("loss", ORACLES)
def test_order_of_views_does_not_matter(loss):
    a, b = _rows(0, 6, 4), _rows(1, 6, 4)
    np.testing.assert_allclose(loss(b, a), loss(a, b), rtol=1e-5)


def test_standardised_features_have_mean_0_and_variance_1_and_constant_ones_vanish():
    rows = (3 * _rows(0, 6, 4) + 2).at[:, 1].set(5.0)
    got = np.asarray(losses.standardise(rows), np.float64)
    np.testing.assert_allclose(got.mean(0), 0, atol=1e-6)
    np.testing.assert_allclose(got.var(0), [1, 0, 1, 1], rtol=1e-4, atol=1e-6)
    with pytest.raises(ValueError, match=r"standardise: epsilon must be finite and above 0; got 0"):
        losses.standardise(rows, epsilon=0)


@pytest.mark.parametrize("loss", (losses.barlow_twins, losses.vicreg))
def test_a_batch_of_one_and_an_epsilon_of_zero_are_named(loss):
    name = loss.__name__
    message = rf"{name}: the global batch must have at least 2 rows; got 1\."
    with pytest.raises(ValueError, match=message):
        loss(jnp.ones((1, 3)), jnp.ones((1, 3)))
    with pytest.raises(ValueError, match=rf"{name}: epsilon must be finite and above 0; got 0\."):
        loss(jnp.ones((2, 3)), jnp.ones((2, 3)), epsilon=0)


def test_weights_below_zero_are_named():
    rows = jnp.ones((2, 3))
    message = r"barlow_twins: redundancy_weight must be in \[0, inf\); got -1\. Leave it"
    with pytest.raises(ValueError, match=message):
        losses.barlow_twins(rows, rows, redundancy_weight=-1)
    with pytest.raises(ValueError, match=r"vicreg: variance_weight must be in \[0, inf\)"):
        losses.vicreg(rows, rows, variance_weight=math.inf)
    with pytest.raises(ValueError, match=r"vicreg: target_std must be finite and above 0; got 0\."):
        losses.vicreg(rows, rows, target_std=0)
