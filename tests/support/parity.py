"""One function, any number of devices, three backends: the numbers must be those of one device.

The harness applies the device rule of the trainer to a per-device function
``fn(params, local_batch, axis_name) -> values``: ``pmean(mean(values))`` inside the differentiated
function, ``pmean`` of the gradients outside it; under ``jit`` the same function, without an axis,
is given arrays that are spread over the devices. ``values`` is [B], one per local example, or a
scalar that is equal on all devices. Typical use:

    @pytest.mark.parametrize("backend", parity.BACKENDS)
    @pytest.mark.parametrize("devices", parity.DEVICES)
    def test_parity(devices, backend):
        expected = parity.unmapped(fn, params, batch)
        parity.assert_close(
            parity.value_and_grad(fn, params, batch, devices=devices, backend=backend), expected
        )

What is not differentiated and equal on all devices (a method's state, a key) is closed over.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import pytest

AXIS = "data"
MAPPED = ("pmap", "shard_map")  # shard_map with check_vma=True, JAX's default
BACKENDS = ("jit", *MAPPED)
DEVICE_COUNTS = (1, 2, 4, 8)


def group(*case, usual=(), slow=()):
    """``pytest.param`` of a case: among the usual tests, the slow ones, or else the exhaustive.

    Compiling for several devices is what takes the time of the tests, and what is right on two
    pairs of a backend and a count is seldom wrong on a third.
    """
    key = case[0] if len(case) == 1 else case
    mark = () if key in usual else pytest.mark.slow if key in slow else pytest.mark.exhaustive
    return pytest.param(*case, marks=mark)


# For parametrize: one count between one and all, and all.
DEVICES = [group(count, usual=(2, 8), slow=(4,)) for count in DEVICE_COUNTS]


class Outcome(NamedTuple):
    """What a loss gives, in global terms, whatever computed it.

    Attributes:
        mean: scalar, mean over the global batch.
        values: [G] in global order; a scalar loss gives one entry a device.
        params_gradient: gradient of ``mean``, the tree of params.
        batch_gradient: gradient of ``mean`` for every floating leaf of the batch, [G, ...], as a
            dict from the leaf's path to the gradient.
    """

    mean: jax.Array
    values: jax.Array
    params_gradient: object
    batch_gradient: dict[str, jax.Array]


def unmapped(fn: Callable, params, batch) -> Outcome:
    """The reference: the whole batch on one device, no mapping, ``axis_name`` None."""
    floating, rest, join = _split(batch)
    per_device = functools.partial(_per_device, fn, join, None)
    return jax.device_get(Outcome(*jax.jit(per_device)(params, (floating, rest))))


def value_and_grad(
    fn: Callable, params, batch, *, devices: int, backend: str, check_vma: bool = True
) -> Outcome:
    """Runs ``fn`` on the first ``devices`` devices, the batch split along its first axis.

    Args:
        fn: ``(params, local_batch, axis_name) -> values``.
        params: tree of floating arrays, replicated.
        batch: tree of arrays [G, ...]; leaves that are not floating get no gradient.
        devices: how many; must divide G.
        backend: one of ``BACKENDS``.
        check_vma: passed to shard_map.

    Returns:
        The Outcome, on the host.
    """
    floating, rest, join = _split(batch)
    per_device = functools.partial(_per_device, fn, join, None if backend == "jit" else AXIS)
    chosen = jax.devices()[:devices]
    if backend == "pmap":
        mapped = jax.pmap(
            per_device, axis_name=AXIS, in_axes=(None, 0), out_axes=(None, 0, None, 0),
            devices=chosen,
        )  # fmt: skip
        rows = jax.tree.map(
            lambda leaf: leaf.reshape(devices, -1, *leaf.shape[1:]), (floating, rest)
        )
        mean, *by_device = mapped(params, rows)
        values, params_gradient, batch_gradient = by_device
        values, batch_gradient = jax.tree.map(
            lambda leaf: leaf.reshape(-1, *leaf.shape[2:]), (values, batch_gradient)
        )
    elif backend in ("jit", "shard_map"):
        mesh = jax.make_mesh(
            (devices,), (AXIS,), axis_types=(jax.sharding.AxisType.Auto,), devices=chosen
        )
    if backend == "jit":
        place = functools.partial(jax.sharding.NamedSharding, mesh)
        placed = jax.device_put((params, (floating, rest)), (place(jax.P()), place(jax.P(AXIS))))
        mean, values, params_gradient, batch_gradient = jax.jit(per_device)(*placed)
    elif backend == "shard_map":
        mapped = jax.shard_map(
            per_device,
            mesh=mesh,
            in_specs=(jax.P(), jax.P(AXIS)),
            out_specs=(jax.P(), jax.P(AXIS), jax.P(), jax.P(AXIS)),
            check_vma=check_vma,
        )
        mean, values, params_gradient, batch_gradient = jax.jit(mapped)(params, (floating, rest))
    elif backend != "pmap":
        raise ValueError(f"parity: backend must be one of {BACKENDS}; got {backend!r}.")
    if backend == "pmap" or (backend == "shard_map" and not check_vma):
        # There the cotangent of a pmean is 1 on EVERY device, so a device's own rows receive the
        # gradient of devices x mean; the pmean outside, which undoes that, is for params alone.
        batch_gradient = jax.tree.map(lambda leaf: leaf / devices, batch_gradient)
    # device_get waits: un-awaited steps over fake devices can abort the process.
    return jax.device_get(Outcome(mean, values, params_gradient, batch_gradient))


def assert_close(outcome: Outcome, expected: Outcome, *, tolerance: float = 1e-5) -> None:
    """Largest error of every leaf within ``tolerance`` of that leaf's largest entry.

    A gradient leaf far smaller than its siblings (a bias in front of a normalisation) consists of
    rounding errors; its scale is taken as 1e-3 of the largest gradient of its tree, and a few
    float32 epsilons of that largest are never an error.
    """
    np.testing.assert_allclose(outcome.mean, expected.mean, rtol=tolerance, atol=1e-30)
    if outcome.values.size == expected.values.size:  # not for scalar losses: one a device
        scale = np.max(np.abs(expected.values))
        np.testing.assert_allclose(
            outcome.values, expected.values, rtol=0, atol=tolerance * scale + 1e-30
        )
    else:
        np.testing.assert_allclose(outcome.values, expected.mean, rtol=tolerance, atol=1e-30)
    for name in ("params_gradient", "batch_gradient"):
        leaves, paths = _leaves(getattr(outcome, name)), _leaves(getattr(expected, name))
        assert leaves.keys() == paths.keys()
        largest = max((np.max(np.abs(leaf)) for leaf in paths.values()), default=0)
        for path, leaf in paths.items():
            scale = max(np.max(np.abs(leaf)), 1e-3 * largest)
            rounding = 4 * np.finfo(np.float32).eps * largest
            np.testing.assert_allclose(
                leaves[path], leaf, rtol=0, atol=tolerance * scale + rounding + 1e-30,
                err_msg=f"{name}{path}",
            )  # fmt: skip


def _per_device(fn, join, axis_name, params, batch):
    def objective(params, floating):
        values = fn(params, join(floating, batch[1]), axis_name)
        mean = jnp.mean(values)
        return mean if axis_name is None else jax.lax.pmean(mean, axis_name), values

    gradient = jax.value_and_grad(objective, argnums=(0, 1), has_aux=True)
    (mean, values), (params_gradient, batch_gradient) = gradient(params, batch[0])
    if axis_name is not None:
        params_gradient = jax.lax.pmean(params_gradient, axis_name)
    return mean, jnp.atleast_1d(values), params_gradient, batch_gradient


def _split(batch):
    leaves, treedef = jax.tree_util.tree_flatten_with_path(batch)
    named = {jax.tree_util.keystr(path): leaf for path, leaf in leaves}
    floating = {
        name: leaf for name, leaf in named.items() if jnp.issubdtype(leaf.dtype, jnp.floating)
    }
    rest = {name: leaf for name, leaf in named.items() if name not in floating}

    def join(floating, rest):
        merged = {**floating, **rest}
        return jax.tree.unflatten(treedef, [merged[name] for name in named])

    return floating, rest, join


def _leaves(tree):
    leaves, _ = jax.tree_util.tree_flatten_with_path(tree)
    return {jax.tree_util.keystr(path): np.asarray(leaf) for path, leaf in leaves}
