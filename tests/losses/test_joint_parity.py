"""Joint-embedding losses on 1, 2, 4 and 8 devices, both backends: numbers of one device."""

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


def _pair(loss, params, batch, axis_name):
    first, second = batch["first"] @ params["kernel"], batch["second"] @ params["kernel"]
    return loss(first, second, axis_name=axis_name)


def _whitening_groups(params, batch, axis_name):
    loss = functools.partial(losses.whitening_mse, groups=batch["group"], num_groups=2)
    return _pair(loss, params, batch, axis_name)


def _views(params, batch):
    third = batch["first"] * batch["second"]
    views = [rows @ params["kernel"] for rows in (batch["first"], batch["second"], third)]
    return jnp.stack(views, axis=1)


def _koleo(params, batch, axis_name):
    return losses.koleo(batch["first"] @ params["kernel"], axis_name=axis_name)


def _sigreg(params, batch, axis_name):
    return losses.sigreg(
        jax.random.key(0), _views(params, batch), num_slices=8, axis_name=axis_name
    )


def _sinkhorn(params, batch, axis_name):
    codes = losses.sinkhorn(_views(params, batch), epsilon=0.5, axis_name=axis_name)
    return jnp.sum(codes * jnp.arange(12.0).reshape(1, 3, 4), axis=(1, 2))


def _predictions(params, batch, axis_name):
    """Losses that do not look at other examples, and the targets that do."""
    views = _views(params, batch)
    codes = losses.sinkhorn(views[:, :2], epsilon=0.5, axis_name=axis_name)
    center = losses.dino_center(params["center"], views[:, :2], axis_name=axis_name)
    values = losses.swav(views, codes) + losses.dino(views, views[:, :2], center=center)
    values += losses.prototype_cross_entropy(batch["first"], params["kernel"].T, batch["group"])
    values += losses.view_invariance(views, num_global=2)
    return values + losses.cosine_regression(views[:, 0], views[:, 1])


FUNCTIONS = {
    "dcl": functools.partial(_pair, losses.dcl),
    "dclw tiled": functools.partial(_pair, functools.partial(losses.dclw, block_size=3)),
    "barlow_twins": functools.partial(_pair, losses.barlow_twins),
    "vicreg": functools.partial(_pair, losses.vicreg),
    "whitening_mse": functools.partial(_pair, functools.partial(losses.whitening_mse, epsilon=0.1)),
    "whitening_mse in groups": _whitening_groups,
    "koleo": _koleo,
    "sigreg": _sigreg,
    "sinkhorn": _sinkhorn,
    "predictions": _predictions,
}


@pytest.fixture(scope="module")
def problem():
    params = {"kernel": _rows(0, 6, 4), "center": _rows(1, 4)}
    batch = {
        "first": _rows(2, GLOBAL_BATCH, 6),
        "second": _rows(3, GLOBAL_BATCH, 6),
        "group": jnp.asarray(np.random.default_rng(4).permutation(GLOBAL_BATCH) % 2),
    }
    expected = {name: parity.unmapped(fn, params, batch) for name, fn in FUNCTIONS.items()}
    return params, batch, expected


@pytest.mark.parametrize("backend", parity.BACKENDS)
@pytest.mark.parametrize("devices", parity.DEVICES)
@pytest.mark.parametrize("name", FUNCTIONS)
def test_joint_embedding_losses_agree_over_devices(problem, name, devices, backend):
    params, batch, expected = problem
    outcome = parity.value_and_grad(
        FUNCTIONS[name], params, batch, devices=devices, backend=backend
    )
    parity.assert_close(outcome, expected[name], tolerance=2e-5)


@pytest.mark.parametrize("name", ("barlow_twins", "vicreg", "sigreg", "dclw tiled"))
def test_local_statistics_would_be_seen(problem, name):
    params, batch, expected = problem

    def local(params, batch, axis_name):
        return FUNCTIONS[name](params, batch, None)

    outcome = parity.value_and_grad(local, params, batch, devices=2, backend="pmap")
    with pytest.raises(AssertionError):
        parity.assert_close(outcome, expected[name])
