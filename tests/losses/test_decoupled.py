"""dcl and dclw, dense and tiled, against loops, finite differences and known properties."""

import functools
import math

import embedding_oracles
import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest

from jaxssl import losses

dcl = jax.jit(losses.dcl, static_argnames=("temperature", "block_size"))
dclw = jax.jit(losses.dclw, static_argnames=("temperature", "sigma", "block_size"))


def _rows(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def _weighted_oracle(a, b, *, temperature):
    weights = embedding_oracles.mises_fisher_weights(a, b, sigma=0.5)
    return embedding_oracles.dcl(a, b, temperature=temperature, weights=weights)


ORACLES = {dcl: embedding_oracles.dcl, dclw: _weighted_oracle}


@pytest.mark.parametrize("block_size", (None, 3))
@pytest.mark.parametrize("loss", ORACLES)
def test_decoupled_values_match_the_loop(loss, block_size):
    a, b = 3 * _rows(0, 5, 4), _rows(1, 5, 4)
    values = loss(a, b, temperature=0.2, block_size=block_size)
    expected = ORACLES[loss](np.float64(a), np.float64(b), temperature=0.2)
    np.testing.assert_allclose(values, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("loss", ORACLES)
def test_decoupled_gradients_match_finite_differences(loss):
    a, b = _rows(0, 4, 3), _rows(1, 4, 3)
    weights = embedding_oracles.mises_fisher_weights(np.float64(a), np.float64(b), sigma=0.5)
    fixed = functools.partial(  # constants in the gradient, as documented
        embedding_oracles.dcl, temperature=0.2, weights=weights if loss is dclw else None
    )
    actual = jax.jit(jax.grad(lambda a: loss(a, b, temperature=0.2).sum()))(a)
    expected = oracles.gradient(lambda a: fixed(a, np.float64(b)).sum(), np.float64(a))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-5 * np.max(np.abs(expected)))


@pytest.mark.parametrize("loss", ORACLES)
def test_decoupled_losses_are_symmetric_and_blind_to_scale(loss):
    a, b = _rows(0, 5, 4), _rows(1, 5, 4)
    np.testing.assert_allclose(loss(b, 1e10 * a), loss(a, b), rtol=1e-4, atol=1e-5)


def test_the_pair_is_not_among_its_candidates():
    rows = jnp.eye(4)  # each pair agrees, all else is orthogonal
    np.testing.assert_allclose(dcl(rows, rows, temperature=0.5), math.log(6) - 2, rtol=1e-6)
    a, b = _rows(0, 5, 4), _rows(1, 5, 4)
    assert np.all(dcl(a, b) < losses.nt_xent(a, b))


def test_mises_fisher_weights_pull_the_harder_pair_more_and_average_to_1():
    a = jnp.eye(4)
    b = a.at[0].set(jnp.array([0.1, 0.0, 0.0, 1.0]))
    cosine = jnp.sum(a * b, axis=1) / jnp.linalg.norm(b, axis=1)
    negatives = dcl(a, b, temperature=1.0) + cosine
    weights = (negatives - dclw(a, b, temperature=1.0)) / cosine
    assert weights[0] > 1.5 > 1 > weights[1]
    np.testing.assert_allclose(jnp.mean(weights), 1, rtol=1e-4)
    wide = dclw(a, b, sigma=1e4)
    np.testing.assert_allclose(wide, dcl(a, b), rtol=0, atol=1e-3)


@pytest.mark.parametrize("loss", ORACLES)
def test_decoupled_losses_take_zero_rows_and_half_precision(loss):
    a, b = _rows(0, 4, 3).at[1].set(0).astype(jnp.bfloat16), _rows(1, 4, 3).at[2].set(0)
    values, gradient = jax.value_and_grad(lambda a: loss(a, b).sum())(a)
    assert values.dtype == jnp.float32
    assert np.all(np.isfinite(np.float32(gradient)))
    assert not np.any(gradient[1])
    np.testing.assert_array_equal(loss(a, b), loss(a.astype(jnp.float32), b))


@pytest.mark.parametrize("loss", (losses.dcl, losses.dclw))
def test_a_batch_of_one_and_a_temperature_of_zero_are_named(loss):
    name = loss.__name__
    message = rf"{name}: the global batch must have at least 2 rows; got 1\. Its statistics need"
    with pytest.raises(ValueError, match=message):
        loss(jnp.ones((1, 3)), jnp.ones((1, 3)))
    with pytest.raises(ValueError, match=rf"{name}: temperature must be finite and above 0; got 0"):
        loss(jnp.ones((2, 3)), jnp.ones((2, 3)), temperature=0.0)


def test_sigma_must_be_above_zero():
    with pytest.raises(ValueError, match=r"dclw: sigma must be finite and above 0; got -1\. Leave"):
        losses.dclw(jnp.ones((2, 3)), jnp.ones((2, 3)), sigma=-1)
