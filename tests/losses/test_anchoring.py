"""gram against a loop, finite differences and its bounds."""

import embedding_oracles
import jax
import jax.numpy as jnp
import numpy as np
import oracles
from jax.test_util import check_grads

from jaxssl import losses

gram = jax.jit(losses.gram)


def _tokens(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def test_values_match_the_loop_at_any_scale_and_width():
    student, teacher = _tokens(0, 3, 5, 4), _tokens(1, 3, 5, 7)
    expected = embedding_oracles.gram(np.float64(student), np.float64(teacher))
    np.testing.assert_allclose(gram(1e15 * student, 1e-15 * teacher), expected, rtol=1e-5)


def test_gradients_match_finite_differences_of_the_loop():
    student, teacher = _tokens(0, 2, 4, 3), _tokens(1, 2, 4, 3)
    weights = np.array([1.0, -2.0])
    actual = jax.jit(jax.grad(lambda s: jnp.sum(weights.astype(np.float32) * gram(s, teacher))))
    expected = oracles.gradient(
        lambda s: weights @ embedding_oracles.gram(s, np.float64(teacher)), np.float64(student)
    )
    atol = 1e-5 * np.max(np.abs(expected))
    np.testing.assert_allclose(actual(student), expected, rtol=0, atol=atol)


def test_both_arguments_receive_gradients():
    with jax.enable_x64(True):
        pair = [_tokens(seed, 2, 3, 4).astype(jnp.float64) for seed in range(2)]
        check_grads(gram, pair, order=1, modes=["rev"], atol=1e-6, rtol=1e-6)


def test_features_may_turn_and_only_likeness_is_held():
    tokens, other = _tokens(0, 2, 6, 4), _tokens(1, 2, 6, 4)
    rotation = jnp.linalg.qr(_tokens(2, 4, 4))[0]
    np.testing.assert_allclose(gram(tokens @ rotation, tokens), 0, atol=1e-12)
    np.testing.assert_allclose(gram(tokens @ rotation, other), gram(tokens, other), rtol=1e-4)
    order = np.random.default_rng(0).permutation(6)
    assert np.all(gram(tokens[:, order], tokens) > 0.1)
    np.testing.assert_allclose(
        gram(tokens[:, order], other[:, order]), gram(tokens, other), rtol=1e-4
    )


def test_opposite_signs_cost_up_to_4():
    """Negative cosines count as they are."""
    student = jnp.array([[[1.0, 0.0], [-1.0, 0.0]]])
    teacher = jnp.array([[[1.0, 0.0], [1.0, 0.0]]])
    np.testing.assert_allclose(gram(student, teacher), (0 + 4 + 4 + 0) / 4, rtol=1e-6)


def test_a_zero_token_is_orthogonal_to_every_token_and_has_no_gradient():
    student, teacher = _tokens(0, 2, 4, 3).at[0, 1].set(0), _tokens(1, 2, 4, 3)
    expected = embedding_oracles.gram(np.float64(student), np.float64(teacher))
    np.testing.assert_allclose(gram(student, teacher), expected, rtol=1e-5)
    gradient = jax.grad(lambda s: gram(s, teacher).sum())(student)
    assert np.all(np.isfinite(gradient)) and np.any(gradient[0, 0])
    assert not np.any(gradient[0, 1])
