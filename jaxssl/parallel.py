"""One step over all devices of all processes, by three backends that give the same numbers.

``jit`` compiles the program of one device for arrays that are spread over the devices: the step
knows no axis, and its means, statistics and negatives are those of the global batch because the
arrays are global. ``pmap`` and ``shard_map`` map a step of one device's rows, which names the axis.

The canonical form of the training state is a global array per leaf: natural shapes, no device axis,
accepted by Orbax, and the same for all backends. A batch enters as this process's rows on the host,
in the order of this process's devices.
"""

from collections.abc import Callable, Sequence
from typing import Literal, TypeVar, cast, get_args

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaxssl import checks, host_devices
from jaxssl.types import Batch, Metrics, PyTree, TrainState

AXIS = "data"  # name of the device axis of every run
Backend = Literal["jit", "pmap", "shard_map"]
Step = Callable[[TrainState, Batch], tuple[TrainState, Metrics]]
Measurement = TypeVar("Measurement", bound=Callable)  # of a state and a batch


def axis_of(backend: Backend) -> str | None:
    """The axis name that step, method and encoder are built with: None under ``jit``."""
    return None if backend == "jit" else AXIS


def mesh(
    *, axis_name: str = AXIS, devices: Sequence[jax.Device] | None = None
) -> jax.sharding.Mesh:
    """A one-dimensional mesh over the given devices, or over all devices of all processes.

    Whose programs run on several devices of CPUs compiles them anew: ``host_devices.compile_anew``.
    """
    # Auto axes: with make_mesh's Explicit default, jit(shard_map) refuses unsharded inputs.
    devices = jax.devices() if devices is None else devices
    if len(devices) > 1 and devices[0].platform == "cpu":
        host_devices.compile_anew()
    return jax.sharding.Mesh(np.asarray(devices), (axis_name,))


def replicated(devices: Sequence[jax.Device] | None = None) -> jax.sharding.NamedSharding:
    """The sharding of a state that is not sharded: a full copy on every device."""
    return jax.sharding.NamedSharding(mesh(devices=devices), jax.P())


def replicate(tree: PyTree, devices: Sequence[jax.Device] | None = None) -> PyTree:
    """Puts a tree, equal on every process, on all devices as global arrays."""
    return jax.device_put(tree, replicated(devices))


def data_parallel(
    step: Step,
    *,
    axis_name: str = AXIS,
    backend: Backend,
    devices: Sequence[jax.Device] | None = None,
    state_sharding: PyTree | None = None,
) -> Step:
    """Spreads a step over devices; the result has the step's own type.

    The batch is split along its first axis. The state lies as it came, and is donated: the state
    passed in must not be used again.

    Args:
        step: for ``pmap`` and ``shard_map`` a per-device function that reduces over ``axis_name``
            itself, in the order that ``training.step`` documents; for ``jit`` the function of the
            whole batch, built without an axis.
        axis_name: name of the device axis inside ``step``; under ``jit`` of the mesh alone.
        backend: ``"jit"``, ``"pmap"`` or ``"shard_map"`` (check_vma on, so that a state that could
            differ between devices is refused while tracing). All give the same numbers.
        devices: devices to use; all devices of all processes by default.
        state_sharding: under ``jit`` how the state lies, one sharding for all leaves or a tree like
            the state; a copy on every device by default.

    Returns:
        ``(state, batch) -> (state, metrics)`` on global state and this process's rows.

    Raises:
        ValueError: unknown backend; when called, a batch that the devices cannot share equally.
    """
    checks.choice("data_parallel", get_args(Backend), backend=backend)
    global_mesh = mesh(axis_name=axis_name, devices=devices)
    num_local = len(global_mesh.local_devices)

    if backend in ("jit", "shard_map"):
        if backend == "jit":
            everywhere = jax.sharding.NamedSharding(global_mesh, jax.P())
            state_sharding = everywhere if state_sharding is None else state_sharding
            # Without out_shardings the compiler would choose where the state lies after a step.
            mapped = jax.jit(step, out_shardings=(state_sharding, everywhere), donate_argnums=0)
        else:
            sharded = map_shards(step, axis_name=axis_name, devices=devices)
            mapped = jax.jit(sharded, donate_argnums=0)

        def run_global(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
            return mapped(state, _global_rows(batch, global_mesh))

        return run_global

    pmapped = jax.pmap(
        step,
        axis_name=axis_name,
        in_axes=(None, 0),
        out_axes=(None, None),
        devices=None if devices is None else list(devices),
        donate_argnums=0,
    )

    def run(state: TrainState, batch: Batch) -> tuple[TrainState, Metrics]:
        _check_rows(batch, num_local)
        batch = jax.tree.map(lambda x: x.reshape(num_local, -1, *x.shape[1:]), batch)
        state, metrics = pmapped(state, batch)
        if jax.process_count() > 1:
            # pmap hands back arrays local to the host, which Orbax refuses to save.
            state = multihost_utils.host_local_array_to_global_array(state, global_mesh, jax.P())
        return state, metrics

    return run


def map_measurement(
    measurement: Measurement,
    *,
    axis_name: str = AXIS,
    backend: Backend,
    devices: Sequence[jax.Device] | None = None,
) -> Measurement:
    """Spreads a measurement over devices as ``data_parallel`` does; the state stays usable.

    Args:
        measurement: for ``jit`` a function of the whole batch; else a per-device function whose
            results are equal on all devices, mapped under shard_map.
        axis_name: name of the device axis inside ``measurement``; under ``jit`` of the mesh alone.
        backend: what the measurement was built for.
        devices: devices to use; all devices of all processes by default.

    Returns:
        ``(state, batch) -> metrics`` on global state and this process's rows.
    """
    global_mesh = mesh(axis_name=axis_name, devices=devices)
    if backend == "jit":
        everywhere = jax.sharding.NamedSharding(global_mesh, jax.P())
        mapped = jax.jit(measurement, out_shardings=everywhere)
    else:
        mapped = jax.jit(map_shards(measurement, axis_name=axis_name, devices=devices))

    def run(state: PyTree, batch: Batch) -> PyTree:
        if jax.default_backend() != "cpu":
            return mapped(state, _global_rows(batch, global_mesh))
        jax.block_until_ready(state)  # two programs at once over fake devices can deadlock
        return jax.block_until_ready(mapped(state, _global_rows(batch, global_mesh)))

    return cast(Measurement, run)


def map_shards(
    function: Measurement,
    *,
    axis_name: str = AXIS,
    devices: Sequence[jax.Device] | None = None,
) -> Measurement:
    """A function under shard_map with check_vma, not yet compiled; global arrays in and out."""
    return jax.shard_map(
        function,
        mesh=mesh(axis_name=axis_name, devices=devices),
        in_specs=(jax.P(), jax.P(axis_name)),
        out_specs=jax.P(),
    )


def check_batch_size(batch_size: int, num_devices: int) -> None:
    """Raises ValueError unless the global batch splits evenly over the devices."""
    if batch_size > 0 and batch_size % num_devices == 0:
        return
    below = batch_size // num_devices * num_devices
    nearest = f"{below} or {below + num_devices}" if below > 0 else f"{num_devices}"
    raise ValueError(
        f"batch_size: must be a positive multiple of the number of devices; got {batch_size} for "
        f"{num_devices} devices. Nearest: {nearest}."
    )


def _global_rows(batch: Batch, global_mesh: jax.sharding.Mesh) -> Batch:
    """A batch of global arrays, split over the devices, from this process's rows."""
    _check_rows(batch, len(global_mesh.local_devices))
    rows = jax.sharding.NamedSharding(global_mesh, jax.P(*global_mesh.axis_names))
    return jax.tree.map(lambda leaf: jax.make_array_from_process_local_data(rows, leaf), batch)


def _check_rows(batch: Batch, num_local: int) -> None:
    rows = len(jax.tree.leaves(batch)[0])
    if rows % num_local:
        raise ValueError(
            f"data_parallel: the rows of a batch must be a multiple of this process's devices; "
            f"got {rows} rows for {num_local} devices."
        )
