"""Every loss on 1, 2, 4 and 8 devices, both backends: value and gradient of one device."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import parity
import pytest

from jaxssl import losses

GLOBAL_BATCH = 16


def _rows(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def _contrastive(loss, block_size, params, batch, axis_name):
    first, second = batch["first"] @ params["kernel"], batch["second"] @ params["kernel"]
    return loss(first, second, block_size=block_size, axis_name=axis_name)


def _queue(block_size, params, batch, axis_name):
    loss = functools.partial(losses.info_nce, negatives=params["queue"])
    return _contrastive(loss, block_size, params, batch, axis_name)


def _per_example(params, batch, axis_name):
    """masked_mse and cross_entropy: no example looks at another, so no axis name."""
    del axis_name
    logits = batch["first"] @ params["kernel"]
    prediction = batch["first"][:, :, None] * params["kernel"][None, :1]
    target = batch["second"][:, :, None] * prediction
    priced = losses.masked_mse(prediction, target, batch["mask"])
    return priced + losses.cross_entropy(logits, batch["label"], label_smoothing=0.1)


# The global batch has 16 pairs: strips of 3 divide neither the queries nor the views of any device.
FUNCTIONS = {
    "info_nce": functools.partial(_contrastive, losses.info_nce, None),
    "info_nce tiled": functools.partial(_contrastive, losses.info_nce, 3),
    "nt_xent": functools.partial(_contrastive, losses.nt_xent, None),
    "nt_xent tiled": functools.partial(_contrastive, losses.nt_xent, 3),
    "queue": functools.partial(_queue, None),
    "queue tiled": functools.partial(_queue, 3),
    "masked_mse and cross_entropy": _per_example,
}


@pytest.fixture(scope="module")
def problem():
    params = {"kernel": _rows(0, 6, 5), "queue": _rows(1, 7, 5)}
    batch = {
        "first": _rows(2, GLOBAL_BATCH, 6),
        "second": _rows(3, GLOBAL_BATCH, 6),
        "mask": _rows(4, GLOBAL_BATCH, 6) > 0,
        "label": jnp.arange(GLOBAL_BATCH) % 5,
    }
    expected = {name: parity.unmapped(fn, params, batch) for name, fn in FUNCTIONS.items()}
    return params, batch, expected


@pytest.mark.parametrize("backend", parity.BACKENDS)
@pytest.mark.parametrize("devices", parity.DEVICES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_parity_over_devices(problem, name, devices, backend):
    params, batch, expected = problem
    outcome = parity.value_and_grad(
        FUNCTIONS[name], params, batch, devices=devices, backend=backend
    )
    parity.assert_close(outcome, expected[name])


@pytest.mark.parametrize("name", ("nt_xent", "nt_xent tiled", "info_nce tiled", "queue tiled"))
def test_parity_without_checked_types(problem, name):
    params, batch, expected = problem
    outcome = parity.value_and_grad(
        FUNCTIONS[name], params, batch, devices=4, backend="shard_map", check_vma=False
    )
    parity.assert_close(outcome, expected[name])


@pytest.mark.parametrize("name", ("info_nce", "nt_xent"))
def test_tiled_and_dense_agree_globally(problem, name):
    _, _, expected = problem
    parity.assert_close(expected[f"{name} tiled"], expected[name])


@pytest.mark.parametrize("backend", parity.BACKENDS)
def test_the_harness_takes_a_scalar_equal_on_all_devices(problem, backend):
    params, batch, _ = problem

    def mean_norm(params, batch, axis_name):
        mean = jnp.mean(batch["first"], axis=0) @ params["kernel"]
        if axis_name is not None:
            mean = jax.lax.pmean(mean, axis_name)
        return jnp.sum(jnp.square(mean))

    outcome = parity.value_and_grad(mean_norm, params, batch, devices=4, backend=backend)
    parity.assert_close(outcome, parity.unmapped(mean_norm, params, batch))


def test_the_harness_sees_missing_negatives(problem):
    params, batch, expected = problem

    def local_negatives(params, batch, axis_name):
        return FUNCTIONS["nt_xent"](params, batch, None)

    outcome = parity.value_and_grad(local_negatives, params, batch, devices=2, backend="shard_map")
    with pytest.raises(AssertionError):
        parity.assert_close(outcome, expected["nt_xent"])


def test_the_harness_sees_a_gather_without_gradient(problem):
    params, batch, expected = problem

    def one_sided(params, batch, axis_name):
        query, positive = batch["first"] @ params["kernel"], batch["second"] @ params["kernel"]
        if axis_name is None:
            return losses.info_nce(query, positive)
        columns = jax.lax.all_gather(jax.lax.stop_gradient(positive), axis_name, tiled=True)
        start = jax.lax.axis_index(axis_name) * len(query)
        columns = jax.lax.dynamic_update_slice(columns, positive, (start, start * 0))
        unit = [rows / jnp.linalg.norm(rows, axis=1, keepdims=True) for rows in (query, columns)]
        logits = unit[0] @ unit[1].T / 0.1
        return losses.cross_entropy(logits, start + jnp.arange(len(query)))

    outcome = parity.value_and_grad(one_sided, params, batch, devices=4, backend="pmap")
    np.testing.assert_allclose(outcome.values, expected["info_nce"].values, rtol=1e-5)
    with pytest.raises(AssertionError, match="gradient"):
        parity.assert_close(outcome, expected["info_nce"])


def test_the_harness_names_an_unknown_backend(problem):
    params, batch, _ = problem
    with pytest.raises(ValueError, match=r"parity: backend must be one of .*; got 'xmap'\."):
        parity.value_and_grad(_per_example, params, batch, devices=1, backend="xmap")
