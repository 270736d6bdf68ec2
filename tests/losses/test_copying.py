import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
from jax.test_util import check_grads

from jaxssl import losses

B, N, M, D, K = 2, 5, 7, 4, 3


def arrays(seed, *, scale=1.0, absent=True):
    """Embeddings and labels; with ``absent`` no reference of the first example has label 0."""
    generator = np.random.default_rng(seed)
    targets, references = (generator.normal(0, scale, (B, count, D)) for count in (N, M))
    target_labels, reference_labels = (generator.integers(0, K, (B, count)) for count in (N, M))
    if absent:
        target_labels[0, :2] = 0
        reference_labels[0] = 1 + reference_labels[0] % (K - 1)
    return (
        targets.astype(np.float32),
        references.astype(np.float32),
        target_labels.astype(np.int32),
        reference_labels.astype(np.int32),
    )


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_loss_is_the_papers(seed, temperature):
    inputs = arrays(seed)
    values = jax.jit(functools.partial(losses.copy_cross_entropy, temperature=temperature))(*inputs)
    expected = oracles.copy_cross_entropy(*inputs, temperature=temperature, floor=1e-4)
    assert values.shape == (B, N) and values.dtype == jnp.float32
    np.testing.assert_allclose(values, expected, rtol=2e-5, atol=1e-6)


@pytest.mark.parametrize("temperature", [1.0, 0.5])
def test_copies_are_the_papers(temperature):
    targets, references, *_ = arrays(0)
    values = np.random.default_rng(9).normal(size=(B, M, 2)).astype(np.float32)
    copied = losses.copy_values(targets, references, values, temperature=temperature)
    expected = oracles.copy_values(targets, references, values, temperature=temperature)
    np.testing.assert_allclose(copied, expected, rtol=2e-5, atol=1e-6)


def test_loss_is_of_the_copied_distribution():
    inputs = arrays(1, absent=False)
    targets, references, target_labels, reference_labels = inputs
    y = losses.copy_values(targets, references, jax.nn.one_hot(reference_labels, K))
    picked = jnp.take_along_axis(y, target_labels[..., None], axis=-1)[..., 0]
    assert picked.min() > 0
    np.testing.assert_allclose(losses.copy_cross_entropy(*inputs), -jnp.log(picked), rtol=1e-5)


def test_a_label_that_nobody_has_costs_the_floor_and_moves_nothing():
    inputs = arrays(2)
    can_copy = [[bool((r == t).any()) for t in row] for row, r in zip(*inputs[2:])]
    assert not np.all(can_copy)

    def loss(targets, references):
        return losses.copy_cross_entropy(targets, references, *inputs[2:], floor=0.01)

    values, gradients = loss(*inputs[:2]), jax.grad(lambda *x: loss(*x).sum(), (0, 1))(*inputs[:2])
    assert all(np.all(np.isfinite(gradient)) for gradient in gradients)
    for example in range(B):
        for target in range(N):
            moved = bool(np.any(gradients[0][example, target] != 0))
            assert moved == can_copy[example][target]
            if not moved:
                assert values[example, target] == pytest.approx(-math.log(0.01))


def test_gradients():
    inputs = arrays(3)
    check_grads(
        lambda targets, references: losses.copy_cross_entropy(targets, references, *inputs[2:]),
        inputs[:2],
        order=1,
        modes=["rev"],
        rtol=2e-2,
        atol=2e-2,
    )


def test_huge_similarities_stay_finite_and_reach_zero():
    inputs = arrays(4, scale=300.0, absent=False)
    values, gradient = jax.value_and_grad(
        lambda x: losses.copy_cross_entropy(x, *inputs[1:]).sum(), has_aux=False
    )(inputs[0])
    assert np.isfinite(values) and np.all(np.isfinite(gradient))
    same = losses.copy_cross_entropy(inputs[1], inputs[1], inputs[3], inputs[3])
    assert same.min() == 0 and np.median(same) == 0  # no floor of log(1 + 15 / e)


def test_order_of_references_does_not_matter_and_equal_labels_cost_nothing():
    inputs = arrays(5)
    targets, references, target_labels, reference_labels = inputs
    order = np.random.default_rng(0).permutation(M)
    np.testing.assert_allclose(
        losses.copy_cross_entropy(
            targets, references[:, order], target_labels, reference_labels[:, order]
        ),
        losses.copy_cross_entropy(*inputs),
        rtol=1e-5,
    )
    zeros = (np.zeros_like(target_labels), np.zeros_like(reference_labels))
    np.testing.assert_array_equal(losses.copy_cross_entropy(targets, references, *zeros), 0)


def test_options_out_of_range_are_named():
    inputs = arrays(0)
    with pytest.raises(ValueError, match=r"copy_cross_entropy: floor must be in \(0, 1\]; got 0"):
        losses.copy_cross_entropy(*inputs, floor=0)
    with pytest.raises(ValueError, match=r"copy_cross_entropy: temperature must be .* got -1"):
        losses.copy_cross_entropy(*inputs, temperature=-1)
