"""Context networks over a grid: nothing below a row reaches its context."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.models import context

B, R, D = 2, 5, 6


def network(**fields):
    return context.GridPredictor(num_offsets=2, width=8, depth=3, **fields)


@pytest.fixture(scope="module")
def latents():
    return jnp.asarray(np.random.default_rng(0).normal(size=(B, R, R, D)), jnp.float32)


@pytest.fixture(scope="module")
def sensitivity(latents):
    """Largest gradient of the context at (1, row, column) by latents, [R, R, B, R, R]."""
    module = context.GridContext(width=8, depth=3)
    variables = jax.jit(module.init)(jax.random.key(0), latents)

    def at(row, column):
        def summed(latents):
            weights = jnp.arange(1.0, D + 1)
            return jnp.sum(module.apply(variables, latents)[1, row, column] * weights)

        return jnp.abs(jax.grad(summed)(latents)).max(axis=-1)

    rows = jnp.arange(R)
    return np.asarray(jax.jit(jax.vmap(jax.vmap(at, (None, 0)), (0, None)))(rows, rows))


def test_no_gradient_reaches_the_rows_below(sensitivity):
    for row in range(R):
        assert np.all(sensitivity[row, :, :, row + 1 :] == 0)


def test_no_gradient_reaches_another_image(sensitivity):
    assert np.all(sensitivity[:, :, 0] == 0)


def test_own_row_and_as_many_above_as_there_are_blocks_are_seen(sensitivity):
    seen = sensitivity[4, :, 1].max(axis=(0, 2))  # over queries' and latents' columns, [R]
    assert np.all(seen[1:] > 0) and seen[0] == 0


def test_both_neighbours_in_the_own_row_are_seen(sensitivity):
    assert sensitivity[4, 2, 1, 4, 1] > 0 and sensitivity[4, 2, 1, 4, 3] > 0


@pytest.mark.parametrize("target_dim, features", [(0, D), (4, 4)])
def test_one_matrix_for_each_offset(latents, target_dim, features):
    module = network(target_dim=target_dim)
    variables = jax.jit(module.init)(jax.random.key(0), latents)
    predictions, targets = jax.jit(module.apply)(variables, latents)
    assert predictions.shape == (1, 2, B, R, R, features)
    assert targets.shape == (1, B, R, R, features)
    assert predictions.dtype == targets.dtype == jnp.float32
    params = variables["params"]
    if not target_dim:
        np.testing.assert_array_equal(targets[0], latents)
    seen = context.GridContext(width=8, depth=3).apply({"params": params["context0"]}, latents)
    kernel = np.asarray(params["prediction0"]["kernel"])  # [D, offsets · D']
    for index in range(2):
        expected = np.asarray(seen) @ kernel[:, index * features : (index + 1) * features]
        np.testing.assert_allclose(predictions[0, index], expected, rtol=1e-4, atol=1e-5)


def test_every_direction_is_the_first_one_on_a_turned_grid(latents):
    module, first = network(num_directions=4), network()
    variables = jax.jit(module.init)(jax.random.key(0), latents)
    predictions, targets = jax.jit(module.apply)(variables, latents)
    for turns in range(4):
        params = {
            f"{name}0": variables["params"][f"{name}{turns}"] for name in ("context", "prediction")
        }
        turned = jnp.asarray(np.rot90(latents, turns, axes=(1, 2)))
        expected, expected_target = first.apply({"params": params}, turned)
        np.testing.assert_allclose(predictions[turns], expected[0], rtol=1e-5, atol=1e-6)
        np.testing.assert_array_equal(targets[turns], expected_target[0])


def test_layer_norm_takes_the_scale_out_and_scale_multiplies_predictions(latents):
    plain, scaled = network(layer_norm=True), network(layer_norm=True, scale=0.5)
    variables = jax.jit(plain.init)(jax.random.key(0), latents)
    (predictions, targets), large, half = (
        module.apply(variables, rows)
        for module, rows in ((plain, latents), (plain, 100 * latents), (scaled, latents))
    )
    np.testing.assert_allclose(targets[0].mean(axis=-1), 0, atol=1e-5)
    np.testing.assert_allclose(large[0], predictions, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(half[0], 0.5 * predictions, rtol=1e-6)


@pytest.mark.parametrize(
    "fields, text",
    [
        ({"width": 0}, r"GridContext: width must be at least 1; got 0\."),
        ({"depth": 0}, r"GridContext: depth must be at least 1; got 0\."),
        ({"dtype": "float16"}, "GridContext: dtype must be one of .*; got 'float16'"),
    ],
)
def test_errors(latents, fields, text):
    with pytest.raises(ValueError, match=text):
        jax.eval_shape(context.GridContext(**fields).init, jax.random.key(0), latents)
