"""Everything that a run needs, built once from its recipe and its data."""

import dataclasses
import functools
import math
from collections.abc import Callable, Mapping
from typing import Protocol

import jax
import numpy as np
import optax

from jaxssl import parallel
from jaxssl.training import flops
from jaxssl.training import step as training_step
from jaxssl.types import Array, Batch, Method, Plan, PyTree, TrainState


class Loader(Protocol):
    """Gives the batch of a step, and an example, as ``data.Loader`` does."""

    def batch(self, step: int) -> dict[str, np.ndarray]:
        """This process's rows of the batch of a step, from 0, in any order."""

    def example(self) -> dict[str, np.ndarray]:
        """The first row of the first batch, B = 1."""


@dataclasses.dataclass(frozen=True)
class Job:
    """What a run does, built.

    Attributes:
        method: built with axis name ``parallel.AXIS``.
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

    @functools.cached_property
    def step(self) -> parallel.Step:
        """The per-device training step."""
        return training_step.make_step(
            self.method,
            self.optimizer,
            seed=self.seed,
            steps_per_epoch=self.plan.steps_per_epoch,
            total_steps=self.plan.total_steps,
            axis_name=parallel.AXIS,
        )

    @functools.cached_property
    def example(self) -> dict[str, np.ndarray]:
        """The first row of the first batch, which fixes the shapes."""
        return self.loader.example()

    def begin(self) -> TrainState:
        """The state before the first step."""
        return jax.jit(self.initial_state)() if self.started is None else self.started()

    def initial_state(self) -> TrainState:
        """The state before the first step of a run that begins anew; traceable."""
        return training_step.init_state(self.method, self.optimizer, self.example, seed=self.seed)

    def describe(self, like: TrainState) -> str:
        """The first line of a run: devices, batch, steps, parameters, work of a step.

        Args:
            like: shapes of the state.
        """

        def count(tree: PyTree) -> int:
            return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))

        batch_size, steps_per_epoch, total_steps, _ = self.plan
        rows = {
            name: jax.ShapeDtypeStruct((batch_size, *value.shape[1:]), value.dtype)
            for name, value in self.example.items()
        }
        work = flops.count(parallel.map_shards(self.step), like, rows)
        devices = jax.device_count()
        return (
            f"{devices} {jax.devices()[0].platform} device{'s' if devices > 1 else ''}, "
            f"batch {batch_size} ({batch_size // devices} a device), "
            f"{total_steps:,} steps ({total_steps / steps_per_epoch:.4g} epochs), "
            f"{count(like.params):,} parameters ({count(like.params['encoder']):,} in the "
            f"encoder), {work / 1e9:,.1f} GFLOP a step"
        )
