"""Mapping a step over devices: what goes in, what comes out, and what is refused."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import parallel

BATCH = {"image": np.arange(16, dtype=np.float32).reshape(8, 2)}


def step_of_the_whole(state, batch):
    mean = batch["image"].mean()
    return {"sum": state["sum"] + mean}, {"mean": mean, "first": batch["image"][-1, 0]}


def step(state, batch):
    mean = jax.lax.pmean(batch["image"].mean(), "data")
    return {"sum": state["sum"] + mean}, {
        "mean": mean,
        "first": jax.lax.pmax(batch["image"][0, 0], "data"),
    }


@pytest.mark.parametrize("num_devices", [1, 2, 8])
def test_replicate_puts_a_copy_on_every_device(num_devices):
    devices = jax.devices()[:num_devices]
    tree = parallel.replicate({"a": np.arange(3), "b": jnp.float32(2)}, devices)
    for leaf in jax.tree.leaves(tree):
        assert leaf.is_fully_replicated
        assert leaf.sharding.device_set == set(devices)
        for shard in leaf.addressable_shards:
            np.testing.assert_array_equal(shard.data, leaf)


@pytest.mark.parametrize("backend", ["pmap", "shard_map"])
@pytest.mark.parametrize("num_devices", [1, 4, None])
def test_rows_are_shared_in_order_and_the_state_keeps_its_form(backend, num_devices):
    devices = None if num_devices is None else jax.devices()[:num_devices]
    run = parallel.data_parallel(step, backend=backend, devices=devices)
    state, metrics = run(parallel.replicate({"sum": jnp.float32(1)}, devices), BATCH)
    assert state["sum"].shape == ()
    assert state["sum"] == 1 + BATCH["image"].mean()
    # The last device's first row: the rows are split into consecutive parts.
    first = {1: 0, 4: 12, None: 14}[num_devices]
    assert metrics["first"] == first
    state, _ = run(state, BATCH)
    assert state["sum"] == 1 + 2 * BATCH["image"].mean()


def test_axis_name_is_the_callers():
    def other(state, batch):
        return state, jax.lax.psum(batch["image"].sum(), "rows")

    run = parallel.data_parallel(other, axis_name="rows", backend="pmap")
    assert run(parallel.replicate(jnp.float32(0)), BATCH)[1] == BATCH["image"].sum()


def test_unknown_backend_is_refused():
    message = "backend must be one of 'jit', 'pmap', 'shard_map'; got 'xmap'"
    with pytest.raises(ValueError, match=message):
        parallel.data_parallel(step, backend="xmap")


@pytest.mark.parametrize("num_devices", [1, 4])
def test_under_jit_a_step_is_that_of_the_whole_batch(num_devices):
    devices = jax.devices()[:num_devices]
    run = parallel.data_parallel(step_of_the_whole, backend="jit", devices=devices)
    before = parallel.replicate({"sum": jnp.float32(1)}, devices)
    state, metrics = run(before, BATCH)
    assert before["sum"].is_deleted()
    assert state["sum"] == 1 + BATCH["image"].mean()
    assert metrics["first"] == BATCH["image"][-1, 0]
    for leaf in (state["sum"], *metrics.values()):
        assert leaf.sharding == parallel.replicated(devices)


def test_the_axis_is_named_to_what_is_mapped_alone():
    named = {backend: parallel.axis_of(backend) for backend in ("jit", "pmap", "shard_map")}
    assert named == {"jit": None, "pmap": parallel.AXIS, "shard_map": parallel.AXIS}


@pytest.mark.parametrize("backend", ["jit", "pmap", "shard_map"])
def test_rows_that_devices_cannot_share_are_refused(backend):
    run = parallel.data_parallel(step, backend=backend, devices=jax.devices()[:3])
    with pytest.raises(
        ValueError, match="multiple of this process's devices; got 8 rows for 3 dev"
    ):
        run(parallel.replicate({"sum": jnp.float32(0)}, jax.devices()[:3]), BATCH)


@pytest.mark.parametrize(
    ("batch_size", "num_devices", "nearest"),
    [(100, 8, "96 or 104"), (3, 8, "8"), (0, 8, "8"), (-8, 8, "8"), (9, 2, "8 or 10")],
)
def test_batch_size_names_the_nearest(batch_size, num_devices, nearest):
    text = rf"got {batch_size} for {num_devices} devices\. Nearest: {nearest}\.$"
    with pytest.raises(ValueError, match=text):
        parallel.check_batch_size(batch_size, num_devices)


@pytest.mark.parametrize("num_devices", [1, 2, 8])
def test_batch_size_that_fits(num_devices):
    parallel.check_batch_size(16, num_devices)
