"""sinkhorn, swav, dino and prototype_cross_entropy against loops and known optima."""

import embedding_oracles
import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from jax.test_util import check_grads

from jaxssl import losses

sinkhorn = jax.jit(losses.sinkhorn, static_argnames=("num_iterations", "epsilon"))
swav, dino = jax.jit(losses.swav), jax.jit(losses.dino)


def _rows(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def _codes(seed, *shape):
    return jax.nn.softmax(_rows(seed, *shape), axis=-1)


@pytest.mark.parametrize("num_iterations", (1, 3))
def test_sinkhorn_matches_the_loop_view_by_view(num_iterations):
    scores = jnp.tanh(_rows(0, 6, 2, 4))
    codes = sinkhorn(scores, num_iterations=num_iterations, epsilon=0.1)
    for view in range(2):
        expected = embedding_oracles.sinkhorn(
            np.float64(scores[:, view]), num_iterations=num_iterations, epsilon=0.1
        )
        np.testing.assert_allclose(codes[:, view], expected, rtol=1e-4, atol=1e-7)


def test_sinkhorn_balances_the_rows_it_is_told_of():
    scores, where = jnp.tanh(_rows(0, 6, 4)), jnp.array([1, 0, 1, 1, 0, 1], bool)
    codes = sinkhorn(scores, epsilon=0.1, where=where)
    chosen = np.float64(scores)[np.asarray(where)]
    expected = embedding_oracles.sinkhorn(chosen, num_iterations=3, epsilon=0.1)
    np.testing.assert_allclose(codes[where], expected, rtol=1e-4, atol=1e-7)
    np.testing.assert_allclose(jnp.sum(codes, axis=1), 1, rtol=1e-5)
    none = sinkhorn(scores, epsilon=0.1, where=jnp.zeros(6, bool))
    np.testing.assert_allclose(none, jax.nn.softmax(scores / 0.1), rtol=1e-5)
    with pytest.raises(ValueError, match=r"sinkhorn: rows of scores and where must have equal"):
        losses.sinkhorn(scores, where=where[:5])


def test_many_iterations_use_all_prototypes_equally():
    codes = sinkhorn(_rows(0, 12, 4), num_iterations=100, epsilon=0.5)
    np.testing.assert_allclose(jnp.sum(codes, axis=1), 1, rtol=1e-5)
    np.testing.assert_allclose(jnp.sum(codes, axis=0), 3, rtol=1e-3)


def test_sinkhorn_neither_overflows_nor_minds_a_shift():
    scores = _rows(0, 6, 4)
    huge = sinkhorn(1e4 * scores)  # exponents of 2e5: exp gives inf / inf
    assert np.all(np.isfinite(huge))
    np.testing.assert_allclose(jnp.sum(huge, axis=1), 1, rtol=1e-5)
    shifted = scores + _rows(1, 4)[None]  # what every example likes counts for nothing
    np.testing.assert_allclose(
        sinkhorn(shifted, epsilon=0.5), sinkhorn(scores, epsilon=0.5), rtol=1e-4
    )


def test_swav_matches_the_loop():
    scores, codes = jnp.tanh(_rows(0, 5, 4, 3)), _codes(1, 5, 2, 3)
    expected = embedding_oracles.swapped(np.float64(scores) / 0.2, np.float64(codes))
    np.testing.assert_allclose(swav(scores, codes, temperature=0.2), expected, rtol=1e-5)


def test_dino_matches_the_loop():
    student, teacher, center = _rows(0, 5, 4, 3), _rows(1, 5, 2, 3), _rows(2, 3)
    targets = embedding_oracles.softmax((np.float64(teacher) - np.float64(center)) / 0.5)
    expected = embedding_oracles.swapped(np.float64(student) / 0.3, targets)
    values = dino(student, teacher, center=center, student_temperature=0.3, teacher_temperature=0.5)
    np.testing.assert_allclose(values, expected, rtol=1e-5)


def test_gradients_reach_the_predictions_and_not_the_targets():
    with jax.enable_x64(True):
        scores = _rows(0, 3, 3, 4).astype(jnp.float64)
        codes, center = _codes(1, 3, 2, 4).astype(jnp.float64), jnp.zeros(4)
        check_grads(lambda s: swav(s, codes), (scores,), order=1, modes=["rev"])
        price = lambda s, t, c: dino(s, t, center=c).sum()  # noqa: E731
        student, teacher, moved = jax.grad(price, argnums=(0, 1, 2))(scores, codes, center)
        assert np.any(student)
        assert not np.any(teacher)
        assert not np.any(moved)
        assert not np.any(jax.grad(lambda c: swav(scores, c).sum())(codes))


def test_a_view_is_never_its_own_target():
    scores, codes = _rows(0, 4, 2, 3), _codes(1, 4, 1, 3)
    changed = scores.at[:, 0].add(_rows(2, 4, 3))
    np.testing.assert_array_equal(swav(changed, codes), swav(scores, codes))


def test_the_least_price_is_the_entropy_of_the_targets():
    codes = _codes(0, 4, 2, 3).at[:, 1].set(_codes(0, 4, 2, 3)[:, 0])
    entropy = -np.sum(np.float64(codes[:, 0]) * np.log(np.float64(codes[:, 0])), axis=1)
    perfect = jnp.log(codes)
    np.testing.assert_allclose(swav(perfect, codes, temperature=1.0), entropy, rtol=1e-5)
    assert np.all(swav(_rows(1, 4, 2, 3), codes, temperature=1.0) > entropy)
    flat = dino(jnp.zeros((4, 2, 3)), _rows(2, 4, 2, 3), center=jnp.zeros(3))
    np.testing.assert_allclose(flat, np.log(3), rtol=1e-6)


def test_the_centre_takes_away_what_all_examples_share():
    student, teacher, shared = _rows(0, 4, 2, 3), _rows(1, 4, 2, 3), 9 * _rows(2, 3)
    values = dino(student, teacher + shared[None, None], center=shared)
    np.testing.assert_allclose(values, dino(student, teacher, center=jnp.zeros(3)), rtol=1e-4)
    center = losses.dino_center(jnp.ones(3), teacher, momentum=0.9)
    np.testing.assert_allclose(center, 0.9 + 0.1 * np.mean(teacher, axis=(0, 1)), rtol=1e-5)


def test_prototype_cross_entropy_matches_the_loop_in_value_and_gradient():
    features, prototypes, assignments = 3 * _rows(0, 5, 4), _rows(1, 3, 4), jnp.arange(5) % 3

    def oracle(features):
        unit = [row / np.linalg.norm(row) for row in features]
        centres = [row / np.linalg.norm(row) for row in np.float64(prototypes)]
        logits = np.array([[float(x @ c) / 0.1 for c in centres] for x in unit])
        return oracles.cross_entropy(logits, np.asarray(assignments), label_smoothing=0.0)

    values = losses.prototype_cross_entropy(features, prototypes, assignments)
    np.testing.assert_allclose(values, oracle(np.float64(features)), rtol=1e-4, atol=1e-5)
    actual = jax.grad(
        lambda features: losses.prototype_cross_entropy(features, prototypes, assignments).sum()
    )(features)
    expected = oracles.gradient(lambda features: oracle(features).sum(), np.float64(features))
    np.testing.assert_allclose(actual, expected, rtol=0, atol=1e-4 * np.max(np.abs(expected)))
    zero = losses.prototype_cross_entropy(jnp.zeros((5, 4)), prototypes, assignments)
    np.testing.assert_allclose(zero, np.log(3), rtol=1e-6)


def test_views_and_options_that_do_not_fit_are_named():
    message = (
        r"swav: scores must hold at least 2 views, the first of them those of codes; got 1 and"
    )
    with pytest.raises(ValueError, match=message):
        losses.swav(jnp.ones((4, 1, 3)), jnp.ones((4, 1, 3)))
    message = r"dino: student must hold at least 2 views, .* teacher; got 2 and 3\. A view is never"
    with pytest.raises(ValueError, match=message):
        losses.dino(jnp.ones((4, 2, 3)), jnp.ones((4, 3, 3)), center=jnp.zeros(3))
    message = r"dino: teacher_temperature must be finite and above 0; got 0\. Usual values"
    with pytest.raises(ValueError, match=message):
        losses.dino(
            jnp.ones((4, 2, 3)), jnp.ones((4, 2, 3)), center=jnp.zeros(3), teacher_temperature=0
        )
    with pytest.raises(
        ValueError, match=r"dino_center: momentum must be in \[0, 1\]; got 2\. 0\.9"
    ):
        losses.dino_center(jnp.zeros(3), jnp.ones((4, 2, 3)), momentum=2)


def test_options_of_sinkhorn_out_of_range_are_named():
    message = r"sinkhorn: num_iterations must be an int of at least 1; got 0\. Pass 1 or more"
    with pytest.raises(ValueError, match=message):
        losses.sinkhorn(jnp.ones((2, 3)), num_iterations=0)
    with pytest.raises(ValueError, match=r"sinkhorn: epsilon must be finite and above 0; got 0\."):
        losses.sinkhorn(jnp.ones((2, 3)), epsilon=0)
