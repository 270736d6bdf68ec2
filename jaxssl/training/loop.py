"""The training loop: resume, step, watch, log, save.

Nothing random is kept between steps: batch, views and keys follow from (seed, step), so that a run
that was killed and started again takes the very steps it would have taken.
"""

import dataclasses
import math
from collections.abc import Callable, Mapping
from pathlib import Path

import jax
import optax
from rich.console import Console

from jaxssl import checkpoints, parallel
from jaxssl.data.loader import Loader
from jaxssl.training import flops, guard, log, metrics, stop, watch
from jaxssl.training import step as training_step
from jaxssl.types import Array, Batch, Method, PyTree, TrainState

AXIS = "data"


@dataclasses.dataclass(frozen=True)
class TrainingConfig:
    """What is run; another value is another run.

    Attributes:
        batch_size: images in one global batch, over all devices of all processes.
        epochs: passes over the training split; may be a fraction.
        seed: the one number all randomness follows from.
    """

    batch_size: int = 256
    epochs: float = 10.0
    seed: int = 0

    def __post_init__(self):
        if self.epochs <= 0:
            raise ValueError(f"training.epochs: must be greater than 0; got {self.epochs}.")
        if not 0 <= self.seed < 2**31:
            raise ValueError(f"training.seed: must lie in [0, 2^31); got {self.seed}.")


@dataclasses.dataclass(frozen=True)
class RunConfig:
    """How it is run; may change when a run is resumed, and changes no number of it.

    Attributes:
        backend: how the step is mapped over devices, pmap or shard_map.
        log_every: steps between two rows of metrics.
        checkpoint_every: steps between two checkpoints; the last step is always saved.
        keep_checkpoints: newest checkpoints kept, beside the one with the lowest loss.
        tensorboard: write TensorBoard event files beside the JSON lines.
        collapse: when the run counts as collapsed, and what happens then.
    """

    backend: parallel.Backend = "pmap"
    log_every: int = 20
    checkpoint_every: int = 500
    keep_checkpoints: int = 2
    tensorboard: bool = False
    collapse: guard.CollapseConfig = guard.CollapseConfig()

    def __post_init__(self):
        for field in ("log_every", "checkpoint_every", "keep_checkpoints"):
            if getattr(self, field) < 1:
                raise ValueError(f"run.{field}: must be at least 1; got {getattr(self, field)}.")


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a call of ``train`` ended.

    Attributes:
        step: optimizer steps completed.
        total_steps: of how many.
        stopped: whether a signal ended it.
        saved: whether that step was saved; not where it was suspected of having collapsed.
    """

    step: int
    total_steps: int
    stopped: bool
    saved: bool = True


def total_steps(config: TrainingConfig, steps_per_epoch: int) -> int:
    """Optimizer steps of the whole run, at least 1."""
    return max(round(config.epochs * steps_per_epoch), 1)


def train(
    method: Method,
    optimizer: optax.GradientTransformation,
    loader: Loader,
    *,
    training: TrainingConfig,
    run: RunConfig,
    schedule: Callable[[int], Array],
    out: Path,
    meta: Mapping,
    console: Console,
    about: str = "",
    features: Callable[[PyTree, Batch], Array] | None = None,
) -> Outcome:
    """Trains to the last step, from the newest complete checkpoint in ``out`` if there is one.

    Args:
        method: built with axis name ``loop.AXIS``.
        optimizer: see ``training.optimizers.build``.
        loader: ``batch(step)`` gives this process's rows.
        training: what is run.
        run: how it is run.
        schedule: step to learning rate, for the log.
        out: run directory; gets ``checkpoints/`` and ``metrics.jsonl``.
        meta: JSON-able, saved with every checkpoint.
        console: where the first line and the progress go.
        about: printed after the first line, which says devices, batch, steps, parameters and work.
        features: ``(variables, batch) -> [B, D]``, see ``watch.make_watch``; measured in every row.

    Returns:
        Outcome. SIGTERM or SIGINT saves after the step in flight and ends the loop.

    Raises:
        log.DivergedError: a metric is not finite; names it and the step.
        guard.CollapsedError: the run collapsed, and ``run.collapse.action`` ends such a run.
    """
    last_step = total_steps(training, loader.steps_per_epoch)

    def initial_state():
        return training_step.init_state(
            method, optimizer, jax.tree.map(lambda x: x[:1], loader.batch(0)), seed=training.seed
        )

    step = training_step.make_step(
        method,
        optimizer,
        seed=training.seed,
        steps_per_epoch=loader.steps_per_epoch,
        total_steps=last_step,
        axis_name=AXIS,
    )
    mapped_step = parallel.data_parallel(step, axis_name=AXIS, backend=run.backend)
    measure = watch.make_watch(method, seed=training.seed, axis_name=AXIS, features=features)
    measure = None if measure is None else parallel.measured(measure, axis_name=AXIS)
    judge = guard.Guard(run.collapse, last_step=last_step)
    with (
        checkpoints.Checkpoints(out, keep_latest=run.keep_checkpoints) as saved,
        stop.Signals() as signals,
    ):
        like = jax.eval_shape(initial_state)
        resume_step = saved.latest_step()
        console.print(_first_line(step, like, loader.batch(0), training, last_step), soft_wrap=True)
        if about:
            console.print(about, soft_wrap=True, highlight=False)
        if resume_step is None:
            state = parallel.replicate(jax.jit(initial_state)())
        else:
            state = saved.restore_state(resume_step, like, parallel.replicated())
            console.print(f"resuming after step {resume_step} of {last_step}")
        first_step = resume_step or 0
        judge.replay(metrics.history(out, last_step=first_step))
        writer = log.Log(
            out,
            schedule,
            first_step=first_step,
            last_step=last_step,
            batch_size=training.batch_size,
            every=run.log_every,
            tensorboard=run.tensorboard,
            console=console,
            judge=judge,
        )
        with writer:

            def act_on_collapse():
                """Warns once, or ends the run."""
                nonlocal warned
                if judge.collapse is None or run.collapse.action == "ignore":
                    return
                if run.collapse.ends_run:
                    raise _ended(judge.collapse, run.collapse.action, saved, writer)
                if not warned:
                    console.print(guard.warning(judge.collapse), soft_wrap=True, highlight=False)
                warned = True

            def is_suspected() -> bool:
                if judge.suspected or measure is None or judge.step == state.step:
                    return judge.suspected
                now = jax.device_get(measure(state, batch))
                return judge.is_judged(int(state.step)) and judge.below(now) is not None

            def save() -> bool:
                """Saves unless the policy forbids it; whether it did."""
                loss = writer.drain()
                act_on_collapse()
                if run.collapse.ends_run and is_suspected():
                    return False
                variables = method.encoder(state.params, state.state)
                saved.save(state, variables, meta, loss=loss)
                return True

            warned = False
            act_on_collapse()
            for index in range(first_step, last_step):
                batch = loader.batch(index)  # overlaps the step in flight
                writer.wait()
                act_on_collapse()
                state, step_metrics = mapped_step(state, batch)
                due = measure is not None and writer.has_row(index + 1)
                writer.add(index + 1, step_metrics, measure(state, batch) if due else None)
                if signals.requested(index + 1):
                    return Outcome(index + 1, last_step, stopped=True, saved=save())
                if (index + 1) % run.checkpoint_every == 0 or index + 1 == last_step:
                    save()
    return Outcome(last_step, last_step, stopped=False)


def _ended(
    collapse: guard.Collapse,
    action: guard.Action,
    saved: checkpoints.Checkpoints,
    writer: log.Log,
) -> guard.CollapsedError:
    """Goes back to the newest healthy checkpoint where the action says so; the error to raise."""
    healthy, newest = saved.latest_step(before=collapse.first_step), saved.latest_step()
    if action == "rewind":
        saved.delete_after(healthy or 0)
        writer.cut(healthy or 0)
    return guard.CollapsedError(guard.ending(collapse, action, healthy=healthy, newest=newest))


def _first_line(
    step: parallel.Step, like: TrainState, batch: Mapping, training: TrainingConfig, last_step: int
) -> str:
    def count(tree) -> int:
        return sum(math.prod(leaf.shape) for leaf in jax.tree.leaves(tree))

    rows = {
        name: jax.ShapeDtypeStruct((training.batch_size, *value.shape[1:]), value.dtype)
        for name, value in batch.items()
    }
    work = flops.count(parallel.shard_mapped(step, axis_name=AXIS), like, rows)
    devices = jax.device_count()
    kind = jax.devices()[0].platform
    return (
        f"{devices} {kind} device{'s' if devices > 1 else ''}, "
        f"batch {training.batch_size} ({training.batch_size // devices} a device), "
        f"{last_step:,} steps ({training.epochs:g} epochs), "
        f"{count(like.params):,} parameters ({count(like.params['encoder']):,} in the encoder), "
        f"{work / 1e9:,.1f} GFLOP a step"
    )
