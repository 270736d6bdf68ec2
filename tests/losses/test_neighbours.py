"""koleo and nearest_neighbours against loops, finite differences and known configurations."""

import functools
import math

import embedding_oracles
import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest

from jaxssl import losses, parallel

koleo = jax.jit(losses.koleo, static_argnames="epsilon")


def _rows(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def test_koleo_matches_the_loop_in_value_and_gradient():
    rows = _rows(0, 6, 3)
    oracle = lambda rows: embedding_oracles.koleo(rows, epsilon=1e-8)  # noqa: E731
    np.testing.assert_allclose(koleo(rows), oracle(np.float64(rows)), rtol=1e-5, atol=1e-5)
    actual = jax.jit(jax.grad(lambda rows: koleo(rows).sum()))(rows)
    expected = oracles.gradient(lambda rows: oracle(rows).sum(), np.float64(rows))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-4 * np.max(np.abs(expected)))


def test_koleo_is_least_for_two_opposite_rows():
    np.testing.assert_allclose(koleo(jnp.array([[2.0, 0.0], [-1.0, 0.0]])), -math.log(2), rtol=1e-6)
    assert np.all(koleo(_rows(0, 8, 3)) > -math.log(2))


def test_koleo_of_coinciding_and_zero_rows_is_finite():
    for rows in (jnp.ones((4, 3)), jnp.zeros((4, 3))):
        value, gradient = jax.value_and_grad(lambda rows: koleo(rows).mean())(rows)
        np.testing.assert_allclose(value, -math.log(1e-8), rtol=1e-5)
        assert not np.any(gradient)


def test_koleo_keeps_the_precision_of_small_distances():
    rows = jnp.array([[1.0, 0.0], [1.0, 1e-4], [0.0, 1.0]])
    np.testing.assert_allclose(koleo(rows)[:2], -math.log(1e-4), rtol=1e-4)


@pytest.mark.parametrize("axis_name", (None, "data"))
def test_koleo_searches_one_device_or_all(axis_name):
    rows = _rows(0, 8, 3)
    mapped = jax.shard_map(
        functools.partial(losses.koleo, axis_name=axis_name),
        mesh=parallel.mesh(devices=jax.devices()[:2]),
        in_specs=jax.P("data"),
        out_specs=jax.P("data"),
    )
    own = jnp.concatenate([koleo(rows[:4]), koleo(rows[4:])])
    expected = own if axis_name is None else koleo(rows)
    np.testing.assert_allclose(jax.jit(mapped)(rows), expected, rtol=1e-5, atol=1e-6)
    assert np.any(own < koleo(rows) - 0.01)


def test_nearest_neighbours_match_the_loop():
    query, bank = _rows(0, 7, 4), _rows(1, 9, 4) * jnp.linspace(0.1, 10, 9)[:, None]
    index = losses.nearest_neighbours(query, bank)
    assert index.dtype == jnp.int32
    unit = [row / np.linalg.norm(row) for row in np.float64(bank)]
    for i, row in enumerate(np.float64(query)):
        assert index[i] == max(range(9), key=lambda m: float(row @ unit[m]))


def test_a_row_of_the_bank_is_its_own_nearest_neighbour():
    bank = _rows(0, 9, 4)
    np.testing.assert_array_equal(losses.nearest_neighbours(5 * bank, bank), np.arange(9))


def test_what_has_no_neighbour_is_named():
    with pytest.raises(
        ValueError, match=r"koleo: epsilon must be finite and above 0; got 0\. Leav"
    ):
        losses.koleo(jnp.ones((2, 3)), epsilon=0)
    with pytest.raises(
        ValueError, match=r"koleo: the global batch must have at least 2 rows; got 1"
    ):
        losses.koleo(jnp.ones((1, 3)))
    message = r"nearest_neighbours: rows of bank must be an int of at least 1; got 0\. Pass 1 or"
    with pytest.raises(ValueError, match=message):
        losses.nearest_neighbours(jnp.ones((2, 3)), jnp.ones((0, 3)))
