"""CAE's regressor and decoder against a float64 loop over queries."""

import jax
import numpy as np
import pytest
import scipy.special

from jaxssl.models import latent_regressor, patches

KEY = jax.random.key(0)
WIDTH, HEADS, GRID = 8, 2, (2, 3)
KEEP, ASKED = np.array([[0, 2, 5], [1, 3, 4]]), np.array([[1, 3, 4], [5, 0, 2]])
MODULE = latent_regressor.LatentRegressor(5, HEADS, depth=2, decoder_depth=1, layer_scale=0.7)


@pytest.fixture(scope="module")
def made():
    """Visible tokens, and parameters of noise."""
    random = np.random.default_rng(0)
    visible = random.normal(size=(2, 3, WIDTH)).astype(np.float32)
    shapes = jax.eval_shape(lambda: MODULE.init(KEY, visible, KEEP, ASKED, grid=GRID))
    noise = lambda x: random.normal(0, 0.4, x.shape).astype("f4")  # noqa: E731
    return visible, jax.tree.map(noise, shapes)["params"]


@pytest.fixture(scope="module")
def apply(made):
    _, params = made
    return jax.jit(
        lambda visible, keep, asked: MODULE.apply(
            {"params": params}, visible, keep, asked, grid=GRID
        )
    )


def norm(x, layer):
    mean, variance = x.mean(-1, keepdims=True), x.var(-1, keepdims=True)
    return (x - mean) / np.sqrt(variance + 1e-6) * layer["scale"] + layer["bias"]


def linear(x, layer):
    return x @ layer["kernel"] + layer["bias"]


def gelu(x):
    return x * scipy.special.ndtr(x)


def attention(queries, keys, values):
    """Query by query, head by head."""
    mixed = np.zeros_like(queries)
    for n, head in np.ndindex(len(queries), HEADS):
        part = slice(head * WIDTH // HEADS, (head + 1) * WIDTH // HEADS)
        scores = [queries[n, part] @ key[part] / np.sqrt(WIDTH / HEADS) for key in keys]
        mixed[n, part] = scipy.special.softmax(scores) @ values[:, part]
    return mixed


def crossed(x, positions, tokens, places, params):
    q = linear(norm(x + positions, params["norm_query"]), params["query"])
    k = linear(norm(tokens + places, params["norm_key"]), params["key"])
    v = linear(norm(tokens, params["norm_value"]), params["value"])
    x = x + params["layer_scale1"] * linear(attention(q, k, v), params["proj"])
    x = norm(x, params["norm"])
    hidden = gelu(linear(x, params["mlp_in"]))
    return x + params["layer_scale2"] * linear(hidden, params["mlp_out"])


def block(x, params):
    y = norm(x, params["norm1"])
    q, k, v = np.split(linear(y, params["attention"]["qkv"]), 3, axis=-1)
    x = x + params["layer_scale1"] * linear(attention(q, k, v), params["attention"]["proj"])
    hidden = gelu(linear(norm(x, params["norm2"]), params["mlp_in"]))
    return x + params["layer_scale2"] * linear(hidden, params["mlp_out"])


def test_regressor_and_decoder_match_a_loop(made, apply):
    visible, params = made
    latent, prediction = apply(visible, KEEP, ASKED)
    params = jax.tree.map(np.float64, params)
    table = np.float64(patches.sincos_positions(*GRID, WIDTH))
    for example in range(2):
        positions = table[ASKED[example]]
        places = np.concatenate([table[KEEP[example]], positions])
        x = np.tile(params["mask_token"][0], (3, 1))
        for index in range(2):
            tokens = np.concatenate([np.float64(visible[example]), x])
            x = crossed(x, positions, tokens, places, params[f"cross_{index}"])
        x = norm(x, params["latent_norm"])
        np.testing.assert_allclose(latent[example], x, rtol=1e-3, atol=1e-4)
        x = norm(block(x + positions, params["block_0"]), params["norm"])
        expected = linear(x, params["prediction"])
        np.testing.assert_allclose(prediction[example], expected, rtol=1e-3, atol=1e-4)


def test_patches_are_told_by_their_places_and_not_by_their_order(made, apply):
    visible, _ = made
    latent, prediction = apply(visible, KEEP, ASKED)
    order = np.array([2, 0, 1])
    for got, expected in zip(
        apply(visible[:, order], KEEP[:, order], ASKED[:, ::-1]), (latent, prediction), strict=True
    ):
        np.testing.assert_allclose(got[:, ::-1], expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"num_heads": 3}, "width must be a multiple of num_heads; got width 8, num_heads 3."),
        ({"depth": 0}, "LatentRegressor: depth must be at least 1; got 0"),
    ],
)
def test_errors(made, changes, text):
    module = MODULE.clone(**changes)
    with pytest.raises(ValueError, match=text):
        jax.eval_shape(lambda: module.init(KEY, made[0], KEEP, ASKED, grid=GRID))
