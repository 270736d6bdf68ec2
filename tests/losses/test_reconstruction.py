"""Reconstruction losses against loops; what is not priced never matters."""

import chex
import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from jax.test_util import check_grads

from jaxssl import losses


def _patches(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


MASK = jnp.array([[1, 0, 1, 1], [0, 0, 0, 1], [0, 0, 0, 0]])


@pytest.mark.parametrize("dtype", (jnp.bool_, jnp.int32, jnp.float32))
def test_masked_mse_matches_the_loop(dtype):
    prediction, target = _patches(0, 3, 4, 5), _patches(1, 3, 4, 5)
    values = losses.masked_mse(prediction, target, MASK.astype(dtype))
    chex.assert_shape(values, (3,))
    expected = oracles.masked_mse(np.asarray(prediction), np.asarray(target), np.asarray(MASK))
    np.testing.assert_allclose(values, expected, rtol=1e-5)


def test_an_empty_mask_costs_nothing():
    prediction, target = _patches(0, 3, 4, 5), _patches(1, 3, 4, 5)

    def last(prediction):
        return losses.masked_mse(prediction, target, MASK)[2]

    value, gradient = jax.value_and_grad(last)(prediction)
    assert value == 0
    assert not np.any(gradient)


@pytest.mark.parametrize("foreign", (1e30, np.inf, np.nan))
def test_values_outside_the_mask_never_matter(foreign):
    prediction, target = _patches(0, 3, 4, 5), _patches(1, 3, 4, 5)
    outside = MASK[:, :, None] == 0

    def total(prediction, target):
        return losses.masked_mse(prediction, target, MASK).sum()

    run = jax.value_and_grad(total, argnums=(0, 1))
    spoiled = run(jnp.where(outside, foreign, prediction), jnp.where(outside, -foreign, target))
    chex.assert_trees_all_equal(spoiled, run(prediction, target))


def test_masked_mse_is_zero_only_for_the_target():
    target = _patches(1, 3, 4, 5)
    assert not np.any(losses.masked_mse(target, target, MASK))
    assert np.all(losses.masked_mse(target + 1, target, MASK)[:2] > 0.99)


def test_masked_mse_gradient():
    target = _patches(1, 3, 4, 5)
    check_grads(
        lambda prediction: losses.masked_mse(prediction, target, MASK),
        (_patches(0, 3, 4, 5),), order=1, modes=["fwd", "rev"], atol=1e-2, rtol=1e-2,
    )  # fmt: skip


@pytest.mark.parametrize("beta", (0.0, 0.5, 2.0))
def test_masked_smooth_l1_matches_the_loop(beta):
    prediction, target = _patches(0, 3, 4, 5), _patches(1, 3, 4, 5)
    values = losses.masked_smooth_l1(prediction, target, MASK, beta=beta)
    expected = oracles.masked_smooth_l1(
        np.asarray(prediction), np.asarray(target), np.asarray(MASK), beta=beta
    )
    np.testing.assert_allclose(values, expected, rtol=1e-5)


@pytest.mark.parametrize("beta", (0.0, 1.0))
def test_masked_smooth_l1_is_flat_at_the_target(beta):
    """Finite too: the absolute value has no derivative there."""
    target = _patches(1, 3, 4, 5)
    gradient = jax.grad(lambda x: losses.masked_smooth_l1(x, target, MASK, beta=beta).sum())(target)
    assert not np.any(gradient)


def test_masked_smooth_l1_refuses_a_beta_below_0():
    with pytest.raises(ValueError, match=r"masked_smooth_l1: beta must be at least 0; got -1"):
        losses.masked_smooth_l1(_patches(0, 3, 4, 5), _patches(1, 3, 4, 5), MASK, beta=-1)


def test_normalize_patches_matches_the_loop():
    patches = 5 + 3 * _patches(0, 6, 8)
    expected = oracles.normalize_patches(np.asarray(patches), epsilon=1e-6)
    np.testing.assert_allclose(losses.normalize_patches(patches), expected, rtol=1e-4, atol=1e-5)


def test_normalize_patches_uses_the_unbiased_variance():
    normalized = losses.normalize_patches(jnp.array([0.0, 2.0]), epsilon=0.0)
    np.testing.assert_allclose(normalized, [-(0.5**0.5), 0.5**0.5], rtol=1e-6)


def test_a_constant_patch_becomes_zero():
    patches = jnp.broadcast_to(jnp.array([0.0, 0.3, 1.0])[:, None], (3, 8))
    np.testing.assert_allclose(losses.normalize_patches(patches), 0, atol=1e-3)


def test_patches_of_one_value_are_named():
    message = r"normalize_patches: patches must be \[\.\.\., P\] with P of at least 2; got shape"
    with pytest.raises(ValueError, match=message):
        losses.normalize_patches(jnp.ones((4, 1)))


def _images(seed):
    generator = np.random.default_rng(seed)
    images = [generator.normal(size=(3, 4, 5, 2)) for _ in range(2)]
    weights = generator.choice([0.0, 1.0, 10.0], (3, 4, 5))
    weights[2] = 0
    return [jnp.asarray(array, jnp.float32) for array in (*images, weights)]


def test_weighted_mse_matches_the_loop():
    prediction, target, weights = _images(0)
    values = losses.weighted_mse(prediction, target, weights)
    assert values.shape == (3,) and values.dtype == jnp.float32
    for b in range(3):
        total, count = 0.0, 0
        for row, column in np.ndindex(4, 5):
            weight = float(weights[b, row, column])
            if weight > 0:
                count += 1
                for channel in range(2):
                    place = (b, row, column, channel)
                    total += weight * (float(prediction[place]) - float(target[place])) ** 2 / 2
        np.testing.assert_allclose(values[b], total / count if count else 0, rtol=1e-5)
    assert values[2] == 0


def test_weights_of_one_give_the_mean_squared_error():
    prediction, target, weights = _images(1)
    values = losses.weighted_mse(prediction, target, jnp.ones_like(weights))
    error = (np.asarray(prediction, np.float64) - np.asarray(target, np.float64)) ** 2
    np.testing.assert_allclose(values, error.mean(axis=(1, 2, 3)), rtol=1e-5)


@pytest.mark.parametrize("foreign", (1e30, np.nan))
def test_pixels_without_weight_never_matter(foreign):
    prediction, target, weights = _images(2)
    outside = weights[..., None] == 0

    def total(prediction, target):
        return losses.weighted_mse(prediction, target, weights).sum()

    run = jax.value_and_grad(total, argnums=(0, 1))
    spoiled = run(jnp.where(outside, foreign, prediction), jnp.where(outside, -foreign, target))
    chex.assert_trees_all_equal(spoiled, run(prediction, target))
