"""A run that is looked at: its recipe, its method with the weights of a checkpoint, its clock."""

import dataclasses
import os
from pathlib import Path

import jax
import jax.numpy as jnp

from jaxssl import checkpoints, inputs, jsonable, schedules
from jaxssl import meta as meta_lib
from jaxssl.runs import record, tokenizer
from jaxssl.runs.directory import RunDirectory
from jaxssl.runs.recipe import Recipe
from jaxssl.training import optimizers
from jaxssl.training import step as training_step
from jaxssl.types import Batch, Clock, Method, Plan, PyTree, TrainState


@dataclasses.dataclass(frozen=True, eq=False)
class OpenedRun:
    """A checkpoint of a run, with everything that made it.

    Attributes:
        directory: where it lies.
        step: optimizer steps completed.
        meta: what the checkpoint recorded.
        recipe: its recipe, with the method prepared as the run began with it.
        method: built without an axis name, for one device.
        state: parameters and all that the method keeps beside them.
    """

    directory: RunDirectory
    step: int
    meta: dict
    recipe: Recipe
    method: Method
    state: TrainState

    @property
    def params(self) -> PyTree:
        """The trainable parameters."""
        return self.state.params

    @property
    def method_state(self) -> PyTree:
        """What the method keeps beside them."""
        return self.state.state

    @property
    def clock(self) -> Clock:
        """How much of the run is behind it."""
        return self.clock_at(self.step)

    def clock_at(self, step: int) -> Clock:
        """The clock of a step of this run."""
        plan = plan_of(self.meta)
        return schedules.clock_at(
            step, steps_per_epoch=plan.steps_per_epoch, total_steps=plan.total_steps
        )

    def beginning(self) -> TrainState:
        """The state that the run began with, or would have if it had begun anew."""
        begun = jax.jit(_initial(self.recipe, self.method, self.meta))()
        return tokenizer.keep(begun, self.method_state)


def open_run(run: str | os.PathLike, step: int | None = None) -> OpenedRun:
    """Opens a run directory for looking at it; a run that goes on there is not disturbed.

    Args:
        run: run directory with a checkpoint.
        step: which checkpoint; the newest complete one by default.

    Raises:
        CheckpointError: nothing to restore, a step that is not there, or a damaged file.
        ValueError: a recipe that cannot be read any more, or an encoder that was imported.
    """
    meta = checkpoints.read_meta(run, step)
    if meta_lib.is_imported(meta):
        raise ValueError(
            f"{run}: must be what pretrain or finetune left; got an encoder that was imported, of "
            "which there is no method and no training. evaluate, linear-eval, knn-eval, few-label, "
            "embed, search, finetune and pretrain --init-from take it."
        )
    recipe = record.from_json(meta["config"])
    method = recipe.method.build(recipe.encoder.build(), axis_name=None)
    like = jax.eval_shape(_initial(recipe, method, meta))
    return OpenedRun(
        directory=RunDirectory(Path(run)),
        step=meta["step"],
        meta=meta,
        recipe=recipe,
        method=method,
        state=checkpoints.restore_state(run, like, meta["step"]),
    )


def plan_of(meta: dict) -> Plan:
    """How the run of a checkpoint is divided into steps."""
    return jsonable.read(Plan, meta["plan"], "plan")


def _initial(recipe: Recipe, method: Method, meta: dict):
    """Makes the state before the first step; only the shapes of an example matter for it."""
    optimizer = optimizers.build(recipe.optimizer, plan_of(meta))

    def initial() -> TrainState:
        shapes = inputs.shapes(inputs.example_of_meta(meta))
        batch: Batch = {name: jnp.zeros(like.shape, like.dtype) for name, like in shapes.items()}
        return training_step.init_state(method, optimizer, batch, seed=recipe.training.seed)

    return initial
