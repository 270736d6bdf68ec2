"""Prototypes against a float64 loop, and what no scale may change."""

import math

import jax
import jax.numpy as jnp
import numpy as np

from jaxssl.models import prototypes

LAYER = prototypes.Prototypes(5)
SCORES = jax.jit(LAYER.apply)


def _rows(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def _variables(kernel):
    return {"params": {"kernel": jnp.asarray(kernel)}}


def test_scores_are_the_cosines_of_the_loop():
    rows, kernel = _rows(0, 2, 3, 4), 7 * _rows(1, 4, 5)
    scores = SCORES(_variables(kernel), rows)
    assert scores.shape == (2, 3, 5)
    assert scores.dtype == jnp.float32
    for place in np.ndindex(2, 3, 5):
        x, w = np.float64(rows[place[:2]]), np.float64(kernel[:, place[2]])
        expected = sum(a * b for a, b in zip(x, w)) / math.sqrt(sum(x * x) * sum(w * w))
        np.testing.assert_allclose(scores[place], expected, rtol=0, atol=1e-6)


def test_neither_the_length_of_features_nor_of_prototypes_matters():
    rows, kernel = _rows(0, 3, 4), _rows(1, 4, 5)
    expected = SCORES(_variables(kernel), rows)
    scales = np.array([1e-4, 0.3, 1e4], np.float32)[:, None]
    lengths = np.array([1e-3, 0.1, 1, 10, 1e3], np.float32)[None]
    np.testing.assert_allclose(
        SCORES(_variables(kernel * lengths), rows * scales), expected, rtol=1e-4, atol=1e-6
    )


def test_a_zero_vector_scores_0_and_its_gradient_can_be_squared():
    def total(kernel, rows):
        return (SCORES(_variables(kernel), rows) ** 2).sum() + SCORES(
            _variables(kernel), rows
        ).sum()

    kernel = jnp.asarray(_rows(1, 4, 5)).at[:, 2].set(0)
    rows = jnp.asarray(_rows(0, 3, 4)).at[1].set(0)
    scores = SCORES(_variables(kernel), rows)
    assert not np.any(scores[1]) and not np.any(scores[:, 2])
    for gradient in jax.grad(total, argnums=(0, 1))(kernel, rows):
        assert np.isfinite(jnp.sum(jnp.square(gradient)))


def test_prototypes_begin_uniform_within_one_over_the_root_of_the_features():
    kernel = prototypes.Prototypes(400).init(jax.random.key(0), jnp.zeros((1, 25)))["params"]
    kernel = np.asarray(kernel["kernel"])
    assert kernel.shape == (25, 400)
    assert 0.195 < np.abs(kernel).max() <= 0.2
    np.testing.assert_allclose(kernel.std(), 0.2 / math.sqrt(3), rtol=0.02)


def test_bfloat16_rounds_the_product_alone():
    rows, kernel = _rows(0, 3, 4), _rows(1, 4, 5)
    scores = prototypes.Prototypes(5, "bfloat16").apply(_variables(kernel), rows)
    assert scores.dtype == jnp.float32
    assert 1e-6 < np.abs(scores - SCORES(_variables(kernel), rows)).max() < 0.02
