"""The harness of the parity tests: what it must take, and what it must see."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import parity
import pytest

from jaxssl import losses


def pairs(loss, params, batch, axis_name):
    first, second = batch["first"] @ params, batch["second"] @ params
    return loss(first, second, axis_name=axis_name)


@pytest.fixture(scope="module")
def problem():
    """A kernel that all devices share, and rows."""
    kernel, first, second = (
        jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)
        for seed, shape in enumerate([(6, 5), (16, 6), (16, 6)])
    )
    return kernel, {"first": first, "second": second}


@pytest.mark.parametrize("backend", parity.BACKENDS)
def test_a_scalar_equal_on_all_devices_is_taken(problem, backend):
    def mean_norm(params, batch, axis_name):
        mean = jnp.mean(batch["first"], axis=0) @ params
        if axis_name is not None:
            mean = jax.lax.pmean(mean, axis_name)
        return jnp.sum(jnp.square(mean))

    outcome = parity.value_and_grad(mean_norm, *problem, devices=4, backend=backend)
    parity.assert_close(outcome, parity.unmapped(mean_norm, *problem))


def test_missing_negatives_are_seen(problem):
    nt_xent = functools.partial(pairs, losses.nt_xent)

    def local_negatives(params, batch, axis_name):
        return nt_xent(params, batch, None)

    outcome = parity.value_and_grad(local_negatives, *problem, devices=2, backend="shard_map")
    with pytest.raises(AssertionError):
        parity.assert_close(outcome, parity.unmapped(nt_xent, *problem))


def test_a_gather_without_gradient_is_seen(problem):
    info_nce = functools.partial(pairs, losses.info_nce)

    def one_sided(params, batch, axis_name):
        query, positive = batch["first"] @ params, batch["second"] @ params
        columns = jax.lax.all_gather(jax.lax.stop_gradient(positive), axis_name, tiled=True)
        start = jax.lax.axis_index(axis_name) * len(query)
        columns = jax.lax.dynamic_update_slice(columns, positive, (start, start * 0))
        unit = [rows / jnp.linalg.norm(rows, axis=1, keepdims=True) for rows in (query, columns)]
        return losses.cross_entropy(unit[0] @ unit[1].T / 0.1, start + jnp.arange(len(query)))

    outcome = parity.value_and_grad(one_sided, *problem, devices=4, backend="pmap")
    expected = parity.unmapped(info_nce, *problem)
    np.testing.assert_allclose(outcome.values, expected.values, rtol=1e-5)
    with pytest.raises(AssertionError, match="gradient"):
        parity.assert_close(outcome, expected)


def test_an_unknown_backend_is_named(problem):
    info_nce = functools.partial(pairs, losses.info_nce)
    with pytest.raises(ValueError, match=r"parity: backend must be one of .*; got 'xmap'\."):
        parity.value_and_grad(info_nce, *problem, devices=1, backend="xmap")
