"""sigreg and view_invariance against loops, finite differences, and what they must tell apart."""

import math

import embedding_oracles
import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest

from jaxssl import losses

sigreg = jax.jit(losses.sigreg, static_argnames=("num_slices", "num_knots", "max_frequency"))


def _rows(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def _oracle(key, rows, *, num_slices, num_knots=17, max_frequency=3.0):
    directions = np.float64(jax.random.normal(key, (num_slices, rows.shape[1])))
    values = []
    for direction in directions:
        samples = [float(row @ direction) / np.linalg.norm(direction) for row in rows]
        values.append(
            embedding_oracles.epps_pulley(samples, num_knots=num_knots, max_frequency=max_frequency)
        )
    return np.mean(values)


def test_sigreg_matches_the_loop_in_value_and_gradient(key):
    rows = 1.5 * _rows(0, 6, 3) + 0.5
    value, gradient = jax.value_and_grad(lambda rows: sigreg(key, rows, num_slices=3))(rows)
    assert value.shape == ()
    oracle = lambda rows: _oracle(key, rows, num_slices=3)  # noqa: E731
    np.testing.assert_allclose(value, oracle(np.float64(rows)), rtol=1e-5)
    expected = oracles.gradient(oracle, np.float64(rows))
    np.testing.assert_allclose(gradient, expected, rtol=0, atol=1e-4 * np.max(np.abs(expected)))
    other = sigreg(key, rows, num_slices=3, num_knots=9, max_frequency=5.0)
    expected = _oracle(key, np.float64(rows), num_slices=3, num_knots=9, max_frequency=5.0)
    np.testing.assert_allclose(other, expected, rtol=1e-5)


def test_views_are_tested_one_by_one_along_the_same_slices(key):
    views = _rows(0, 6, 2, 3)
    apart = [sigreg(key, views[:, view], num_slices=5) for view in range(2)]
    np.testing.assert_allclose(sigreg(key, views, num_slices=5), np.mean(apart), rtol=1e-5)


def test_normal_samples_cost_what_theory_says(key):
    value = sigreg(key, _rows(0, 1000, 32), num_slices=256)
    np.testing.assert_allclose(value, math.sqrt(2 * math.pi) * (1 - 1 / math.sqrt(3)), rtol=0.1)


def test_other_distributions_cost_more(key):
    rows = _rows(0, 1000, 32)
    line = jnp.broadcast_to(rows[:, :1], rows.shape)
    for wrong in (0 * rows, rows + 1, 2 * rows, 0.5 * rows, line):
        assert sigreg(key, wrong, num_slices=256) > 10


def test_collapsed_embeddings_cost_their_closed_form_and_stay_finite(key):
    rows = jnp.zeros((8, 3))
    value, gradient = jax.value_and_grad(lambda rows: sigreg(key, rows, num_slices=4))(rows)
    t = np.linspace(-3, 3, 33)
    expected = 8 * np.trapezoid((1 - np.exp(-t * t / 2)) ** 2 * np.exp(-t * t / 2), t)
    np.testing.assert_allclose(value, expected, rtol=1e-5)
    assert np.all(np.isfinite(gradient))


def test_options_of_sigreg_out_of_range_are_named(key):
    rows = jnp.ones((4, 3))
    with pytest.raises(ValueError, match=r"sigreg: num_slices must be an int of at least 1; got 0"):
        losses.sigreg(key, rows, num_slices=0)
    with pytest.raises(
        ValueError, match=r"sigreg: num_knots must be an int of at least 2; got 1\."
    ):
        losses.sigreg(key, rows, num_knots=1)
    message = r"sigreg: max_frequency must be finite and above 0; got -1\. Leave it out"
    with pytest.raises(ValueError, match=message):
        losses.sigreg(key, rows, max_frequency=-1)


def _invariance(projections, num_global):
    values = []
    for views in projections:
        center = sum(views[:num_global]) / num_global
        values.append(sum(sum((view - center) ** 2) for view in views) / views.size)
    return np.array(values)


@pytest.mark.parametrize("num_global", [1, 2, 4])
def test_view_invariance_matches_the_loop_in_value_and_gradient(num_global):
    views = _rows(0, 3, 4, 2)
    price = lambda views: losses.view_invariance(views, num_global=num_global)  # noqa: E731
    values, pull = jax.vjp(jax.jit(price), views)
    np.testing.assert_allclose(values, _invariance(np.float64(views), num_global), rtol=1e-5)
    oracle = lambda views: _invariance(views, num_global).sum()  # noqa: E731
    (gradient,) = pull(jnp.ones(3))
    np.testing.assert_allclose(
        gradient, oracles.gradient(oracle, np.float64(views)), rtol=0, atol=1e-5
    )


def test_view_invariance_sees_differences_between_views_alone():
    views = _rows(0, 3, 4, 2)
    price = lambda views: losses.view_invariance(views, num_global=2)  # noqa: E731
    np.testing.assert_allclose(price(views + 5 * _rows(1, 3, 1, 2)), price(views), rtol=1e-4)
    np.testing.assert_allclose(price(3 * views), 9 * price(views), rtol=1e-5)
    np.testing.assert_allclose(price(views[:, jnp.array([1, 0, 3, 2])]), price(views), rtol=1e-5)
    assert not np.any(price(jnp.broadcast_to(views[:, :1], views.shape)))


def test_num_global_out_of_range_is_named():
    views = jnp.ones((4, 3, 2))
    with pytest.raises(ValueError, match=r"view_invariance: num_global must be an int of at least"):
        losses.view_invariance(views, num_global=0)
    message = r"view_invariance: num_global must be at most the number of views; got 4 for 3 views"
    with pytest.raises(ValueError, match=message):
        losses.view_invariance(views, num_global=4)
