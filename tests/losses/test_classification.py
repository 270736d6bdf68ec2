"""cross_entropy and soft_cross_entropy against loops and optax."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import oracles
import pytest
from jax.test_util import check_grads

from jaxssl import losses

LABELS = jnp.array([0, 2, 1, 2])


def _logits(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


@pytest.mark.parametrize("label_smoothing", (0.0, 0.1, 0.9))
def test_cross_entropy_matches_the_loop(label_smoothing):
    logits = _logits(0, 4, 3)
    values = losses.cross_entropy(logits, LABELS, label_smoothing=label_smoothing)
    expected = oracles.cross_entropy(
        np.float64(logits), np.asarray(LABELS), label_smoothing=label_smoothing
    )
    np.testing.assert_allclose(values, expected, rtol=1e-5)


def test_cross_entropy_matches_optax():
    logits = 50 * _logits(0, 4, 3)
    expected = optax.losses.softmax_cross_entropy_with_integer_labels(logits, LABELS)
    np.testing.assert_allclose(losses.cross_entropy(logits, LABELS), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("leading", ((), (4,), (2, 3, 4)))
def test_leading_axes_are_kept(leading):
    logits = _logits(0, *leading, 3)
    labels = jnp.ones(leading, jnp.uint8)
    values = losses.cross_entropy(logits, labels)
    flat = losses.cross_entropy(logits.reshape(-1, 3), labels.reshape(-1))
    np.testing.assert_array_equal(values, flat.reshape(leading))


def test_cross_entropy_gradient():
    check_grads(
        lambda logits: losses.cross_entropy(logits, LABELS, label_smoothing=0.1),
        (_logits(0, 4, 3),), order=1, modes=["fwd", "rev"], atol=1e-2, rtol=1e-2,
    )  # fmt: skip


def test_extreme_logits_stay_finite_and_above_zero():
    logits = jnp.array([[1e30, 0.0, -1e30], [0.0, -jnp.inf, 20.0]])
    values, gradient = jax.value_and_grad(
        lambda logits: losses.cross_entropy(logits, jnp.array([0, 2])).sum()
    )(logits)
    assert 0 <= values < 1e-6
    assert np.all(np.isfinite(gradient))


def test_equal_logits_cost_the_log_of_the_number_of_classes():
    values = losses.cross_entropy(jnp.zeros((4, 3)), LABELS, label_smoothing=0.3)
    np.testing.assert_allclose(values, np.log(3), rtol=1e-6)


@pytest.mark.parametrize("label", (-1, 3))
def test_a_label_out_of_range_gives_nan(label):
    values = losses.cross_entropy(_logits(0, 2, 3), jnp.array([label, 1]))
    assert np.isnan(values[0])
    assert np.isfinite(values[1])


def test_label_smoothing_out_of_range_is_named():
    logits = _logits(0, 4, 3)
    for wrong in (-0.1, 1.0):
        message = rf"cross_entropy: label_smoothing must be in \[0, 1\); got {wrong}\. 0 turns it"
        with pytest.raises(ValueError, match=message):
            losses.cross_entropy(logits, LABELS, label_smoothing=wrong)


def _targets(seed, *shape):
    weights = np.random.default_rng(seed).uniform(size=shape)
    return jnp.asarray(weights / weights.sum(-1, keepdims=True), jnp.float32)


def test_soft_cross_entropy_matches_the_loop_and_optax():
    logits, targets = _logits(0, 2, 4, 3), _targets(1, 2, 4, 3)
    values = losses.soft_cross_entropy(logits, targets)
    assert values.shape == (2, 4)
    expected = oracles.soft_cross_entropy(
        np.float64(logits).reshape(-1, 3), np.float64(targets).reshape(-1, 3)
    )
    np.testing.assert_allclose(values.reshape(-1), expected, rtol=1e-5)
    expected = optax.losses.softmax_cross_entropy(logits, targets)
    np.testing.assert_allclose(values, expected, rtol=1e-5)


def test_soft_cross_entropy_of_one_hot_targets_is_cross_entropy():
    logits = _logits(0, 4, 3)
    values = losses.soft_cross_entropy(logits, jax.nn.one_hot(LABELS, 3))
    np.testing.assert_allclose(values, losses.cross_entropy(logits, LABELS), rtol=1e-6)


def test_soft_cross_entropy_is_least_where_the_prediction_is_the_target():
    targets = _targets(0, 4, 3)
    entropy = -np.sum(np.float64(targets) * np.log(np.float64(targets)), axis=-1)
    np.testing.assert_allclose(
        losses.soft_cross_entropy(jnp.log(targets), targets), entropy, rtol=1e-5
    )
    assert np.all(losses.soft_cross_entropy(_logits(0, 4, 3), targets) >= entropy)


def test_soft_cross_entropy_gradient_and_targets_of_zero():
    targets = _targets(1, 4, 3)
    check_grads(
        lambda logits: losses.soft_cross_entropy(logits, targets),
        (_logits(0, 4, 3),), order=1, modes=["fwd", "rev"], atol=1e-2, rtol=1e-2,
    )  # fmt: skip
    value, gradient = jax.value_and_grad(
        lambda logits: losses.soft_cross_entropy(logits, jnp.array([0.5, 0.5, 0.0]))
    )(jnp.array([1.0, 1.0, -jnp.inf]))
    np.testing.assert_allclose(value, np.log(2), rtol=1e-6)
    assert np.all(np.isfinite(gradient))
    weightless = jax.grad(lambda logits: losses.soft_cross_entropy(logits, jnp.zeros(3)))
    np.testing.assert_array_equal(weightless(jnp.array([1.0, 5.0, 2.0])), 0)
