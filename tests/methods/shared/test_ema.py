"""Moving averages: the momentum at the beginning, and the copy that does not alias."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.methods.shared import ema


def test_a_momentum_warms_up_to_its_value_and_stays():
    steps = np.arange(2000)
    got = jax.jit(jax.vmap(lambda step: ema.warm_up(0.97, step)))(steps)
    expected = [min(0.97, (1 + t) / (10 + t)) for t in range(2000)]
    np.testing.assert_allclose(got, expected, rtol=1e-6)
    assert got[289] < got[290] == got[1999] == np.float32(0.97)  # (10 m - 1) / (1 - m) is 290


@pytest.mark.parametrize("momentum", [0.0, 1.0])
def test_extreme_momenta(momentum):
    assert ema.warm_up(momentum, jnp.int32(0)) == np.float32(min(momentum, 0.1))


def test_what_was_there_at_first_is_forgotten_in_twenty_updates():
    """A constant momentum keeps 0.97^20, more than half of it."""
    left = jnp.ones(3)
    for step in range(20):
        left = ema.update(left, jnp.zeros(3), ema.warm_up(0.97, jnp.int32(step)))
    assert np.all(left < 1e-6)


def test_a_target_begins_as_a_copy_of_the_parts_it_has():
    params = {"encoder": {"kernel": jnp.arange(3.0)}, "predictor": {"kernel": jnp.ones(2)}}
    state = {"encoder": {"batch_stats": jnp.zeros(2)}, "queue": jnp.ones(4)}
    target = ema.start(params, state, ["encoder"])
    assert target.keys() == {"params", "state"}
    assert target["params"].keys() == target["state"].keys() == {"encoder"}
    np.testing.assert_array_equal(target["params"]["encoder"]["kernel"], [0, 1, 2])
    buffers = [leaf.unsafe_buffer_pointer() for leaf in jax.tree.leaves((params, state, target))]
    assert len(set(buffers)) == len(buffers)
