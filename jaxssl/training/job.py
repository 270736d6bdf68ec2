"""Everything that a run needs, built once from its recipe and its data."""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from typing import Any, Protocol

import jax
import optax
from jax.extend import core

from jaxssl import parallel, sharding
from jaxssl.training import flops
from jaxssl.training import step as training_step
from jaxssl.types import Array, Batch, Method, Plan, PyTree, TrainState


class Loader(Protocol):
    """Gives the batch of a step, and an example, as ``data.Loader`` does."""

    def batch(self, step: int) -> PyTree:
        """This process's rows of the batch of a step, from 0, in any order."""

    def example(self) -> PyTree:
        """The first row of the first batch, B = 1."""


@dataclasses.dataclass(frozen=True)
class Job:
    """What a run does, built.

    Attributes:
        method: built with the axis name of the backend, ``parallel.axis_of``.
        optimizer: see ``optimizers.build``.
        schedule: step to learning rate, for the log.
        loader: this process's rows of every batch.
        plan: batch size and steps.
        seed: the one number all randomness follows from.
        meta: JSON-able, saved with every checkpoint.
        pooled_features: see ``watching.WatchedRun``.
        about: lines for the user about method, data and learning rate.
        started: makes the state that the run begins with, if it does not begin anew.
        unit: what an example is called, in the plural.
        backend: how the step is spread over devices.
        shard: what of the state is divided among the devices.
        num_micro_batches: parts of the batch that the encoder goes over.
    """

    method: Method
    optimizer: optax.GradientTransformation
    schedule: Callable[[int], Array]
    loader: Loader
    plan: Plan
    seed: int
    meta: Mapping
    pooled_features: Callable[[PyTree, Batch], Array] | None = None
    about: str = ""
    started: Callable[[], TrainState] | None = None
    unit: str = "images"
    backend: parallel.Backend = "jit"
    shard: sharding.Shard = "none"
    num_micro_batches: int = 1
    _jaxprs: dict[int, core.Jaxpr] = dataclasses.field(
        default_factory=dict, init=False, repr=False, compare=False
    )

    @functools.cached_property
    def step(self) -> parallel.Step:
        """The training step: per device, or under ``jit`` of the whole batch."""
        return training_step.make_step(
            self.method,
            self.optimizer,
            seed=self.seed,
            steps_per_epoch=self.plan.steps_per_epoch,
            total_steps=self.plan.total_steps,
            axis_name=parallel.axis_of(self.backend),
            params_sharding=self.lie.params if self.backend == "jit" else None,
        )

    @property
    def global_step(self) -> parallel.Step:
        """The step of the whole batch, under any backend: what the compiler is given."""
        return self.step if self.backend == "jit" else parallel.map_shards(self.step)

    @functools.cached_property
    def like(self) -> TrainState:
        """Shapes and dtypes of the state."""
        return jax.eval_shape(self.initial_state)

    @functools.cached_property
    def lie(self) -> Any:
        """The sharding of every leaf of the state."""
        return sharding.of_state(self.like, self.shard)

    @functools.cached_property
    def work(self) -> int:
        """Operations of a step over all devices, with what it computes anew for its gradient."""
        return flops.count_jaxpr(self.jaxpr(self.plan.batch_size))

    @functools.cached_property
    def example(self) -> PyTree:
        """The first row of the first batch, which fixes the shapes."""
        return self.loader.example()

    def begin(self) -> TrainState:
        """The state before the first step, on all devices."""
        if self.started is not None:
            return jax.device_put(self.started(), self.lie)
        if self.shard == "none":  # made once, not everywhere
            return jax.device_put(jax.jit(self.initial_state)(), self.lie)
        return jax.jit(self.initial_state, out_shardings=self.lie)()

    def initial_state(self) -> TrainState:
        """The state before the first step of a run that begins anew; traceable."""
        return training_step.init_state(self.method, self.optimizer, self.example, seed=self.seed)

    def describe(self) -> str:
        """The first line of a run: devices, batch, steps, parameters, work of a step."""

        def count(tree: PyTree) -> int:
            return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))

        batch_size, steps_per_epoch, total_steps, _ = self.plan
        devices, params = jax.device_count(), self.like.params
        return (
            f"{devices} {jax.devices()[0].platform} device{'s' if devices > 1 else ''}, "
            f"batch {batch_size} ({batch_size // devices} a device{self._parts()}), "
            f"{total_steps:,} steps ({total_steps / steps_per_epoch:.4g} epochs), "
            f"{count(params):,} parameters ({count(params['encoder']):,} in the encoder), "
            f"{self.work / 1e9:,.1f} GFLOP a step"
        )

    def lowered(self) -> jax.stages.Lowered:
        """The step for all devices, not yet compiled; pmap's as shard_map's, which it becomes."""
        rows = jax.sharding.NamedSharding(self.lie.step.mesh, jax.P(parallel.AXIS))
        batch = jax.tree.map(
            lambda value: jax.ShapeDtypeStruct(
                (self.plan.batch_size, *value.shape[1:]), value.dtype, sharding=rows
            ),
            self.example,
        )
        state = jax.tree.map(
            lambda leaf, lies: jax.ShapeDtypeStruct(leaf.shape, leaf.dtype, sharding=lies),
            self.like,
            self.lie,
        )
        results = (self.lie, parallel.replicated())
        return jax.jit(self.global_step, out_shardings=results, donate_argnums=0).lower(
            state, batch
        )

    def jaxpr(self, num_rows: int) -> core.Jaxpr:
        """Of a step of so many rows over all devices; traced once."""
        if num_rows not in self._jaxprs:
            rows = jax.tree.map(
                lambda value: jax.ShapeDtypeStruct((num_rows, *value.shape[1:]), value.dtype),
                self.example,
            )
            self._jaxprs[num_rows] = jax.make_jaxpr(self.global_step)(self.like, rows).jaxpr
        return self._jaxprs[num_rows]

    def _parts(self) -> str:
        """What the first line says of micro-batches."""
        if self.num_micro_batches == 1:
            return ""
        size = self.plan.batch_size // self.num_micro_batches
        said = f"; through the encoder in {self.num_micro_batches} micro-batches of {size}"
        if "batch_stats" in self.like.state.get("encoder", {}):
            said += ", each normalised by statistics of its own"
        return said
