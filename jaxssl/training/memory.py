"""What a step takes of a device's memory, before it is compiled, and whether the device has it.

Parameters, optimizer and what the method keeps are counted leaf by leaf, as they lie. Activations
are an estimate from the step's jaxpr (``liveness``): a compiler may fuse more or less than that.
"""

import dataclasses
import math

import jax

from jaxssl.training import liveness
from jaxssl.training.job import Job
from jaxssl.types import PyTree

GB = 1e9
# Of what a device says it has, the part that a plan may take which chooses the batch: it leaves out
# what a compiler copies, up to a third of what is used in the end.
SHARE = 0.7


@dataclasses.dataclass(frozen=True)
class Footprint:
    """Bytes on each device, all of them below the number of them that a step holds at once.

    Attributes:
        parameters: of the method.
        gradients: of them.
        optimizer: what the optimizer keeps.
        kept: what the method keeps beside the parameters, such as a target or a queue.
        activations: of the rows that go through the network at a time, and all else that a step
            holds for a while, such as what devices exchange.
    """

    parameters: int
    gradients: int
    optimizer: int
    kept: int
    activations: int

    @property
    def total(self) -> int:
        """Bytes in all."""
        return sum(dataclasses.astuple(self))

    def describe(self) -> str:
        """Such as "about 2.31 GB a device: parameters 0.34, gradients 0.34, …"."""
        parts = ", ".join(
            f"{name} {value / GB:.2f}" for name, value in dataclasses.asdict(self).items()
        )
        return f"about {self.total / GB:.2f} GB a device: {parts}"


def footprint(job: Job, batch_size: int | None = None) -> Footprint:
    """What a step of a job takes of each device.

    Args:
        job: built for all devices of all processes.
        batch_size: examples in a global batch; None takes the job's own.
    """
    batch_size = batch_size or job.plan.batch_size
    gradients = _bytes(job.like.params, job.lie.params)
    # The step of the whole batch under jit, of a device's rows else, beside the state and its rows.
    held = liveness.peak(job.jaxpr(batch_size), reuses=True) - _bytes(job.like.params)
    devices = job.lie.step.mesh.size
    held = max(held, 0) // (devices if job.backend == "jit" else 1)
    if devices > 1 and jax.default_backend() == "cpu":
        # Its all-reduce is not in place, and what is gathered twice it gathers once and keeps.
        whole = _bytes(job.like.params)
        held = max(held, whole) + (whole if job.shard == "params" else 0)
    return Footprint(
        parameters=gradients,
        gradients=gradients,
        optimizer=_bytes(job.like.opt_state, job.lie.opt_state),
        kept=_bytes(job.like.state, job.lie.state),
        activations=held,
    )


def check(job: Job, limit_gb: float | None = None) -> Footprint:
    """What a step of a job takes, where a device has it.

    Args:
        job: built for all devices of all processes.
        limit_gb: what a device has; by default it is asked, and where it does not say, as a CPU
            does not, nothing is refused.

    Raises:
        ValueError: a step takes more; with what would help.
    """
    takes = footprint(job)
    limit = find_limit(limit_gb)
    if limit is None or takes.total <= limit:
        return takes
    smaller = job.plan.batch_size // job.num_micro_batches // 2
    advice = []
    if smaller >= jax.device_count():
        advice.append(f"--training.micro-batch {smaller}")
    if job.meta.get("encoder", {}).get("fields", {}).get("remat") == "none":
        advice.append("--encoder.remat block")
    if jax.device_count() > 1 and job.shard != "params":
        backend = "" if job.backend == "jit" else "--run.backend jit "
        advice.append(f"{backend}--run.shard {'state' if job.shard == 'none' else 'params'}")
    raise ValueError(
        f"run.device_memory_gb: a step must fit into {limit / GB:.2f} GB; got "
        f"{takes.describe()}. Use {', '.join([*advice, 'a smaller batch'])} or more devices."
    )


def fit_batch(job: Job, most: int, limit: float) -> int:
    """The batch whose step takes at most ``SHARE`` of a device: the job's, doubled or halved.

    Args:
        job: built for all devices of all processes, without micro-batches.
        most: which the batch does not grow beyond.
        limit: bytes of a device.

    Returns:
        The largest there is; where even the smallest does not fit, that one.
    """
    size = job.plan.batch_size

    def fits(batch_size: int) -> bool:
        return footprint(job, batch_size).total <= SHARE * limit

    if fits(size):
        while 2 * size <= most and fits(2 * size):
            size *= 2
        return size
    while (half := halve(size)) and not fits(size):
        size = half
    return size


def halve(batch_size: int) -> int | None:
    """Half of a batch; None where the devices do not share it equally."""
    half, rest = divmod(batch_size, 2)
    return None if rest or not half or half % jax.device_count() else half


def find_limit(limit_gb: float | None = None) -> float | None:
    """Bytes that a step may take of a device; None where nobody says.

    Args:
        limit_gb: what is said of it, 10^9 bytes; else the device is asked. CPUs do not say.
    """
    return _limit() if limit_gb is None else limit_gb * GB


def compiled(job: Job) -> int:
    """Bytes on each device of a step under ``jit`` as it is compiled, by XLA's own account.

    Args:
        job: built for all devices of all processes, with backend ``jit``.
    """
    took = job.lowered().compile().memory_analysis()
    assert took is not None  # CPU, GPU and TPU have it
    fresh = took.output_size_in_bytes - took.alias_size_in_bytes
    return took.argument_size_in_bytes + took.temp_size_in_bytes + fresh


def _limit() -> int | None:
    """Bytes that a program may take of this process's first device; None where it does not say."""
    statistics = jax.local_devices()[0].memory_stats() or {}
    return statistics.get("bytes_limit")


def _bytes(like: PyTree, lie: PyTree | None = None) -> int:
    """Of all leaves; with ``lie`` of the parts on one device."""
    leaves = jax.tree.leaves(like)
    shapes = [leaf.shape for leaf in leaves]
    if lie is not None:
        shapes = [lies.shard_shape(shape) for shape, lies in zip(shapes, jax.tree.leaves(lie))]
    return sum(math.prod(shape) * leaf.dtype.itemsize for shape, leaf in zip(shapes, leaves))
