"""The training loop: restore, step, rows, save.

Nothing random is kept between steps: batch, views and keys follow from (seed, step), so that a run
that was killed and started again takes the very steps it would have taken. What watches a run is in
``jaxssl.watching``; no watcher changes a number of it.
"""

import contextlib
import dataclasses
import functools
from collections.abc import Sequence

from rich.console import Console

from jaxssl import checkpoints, parallel, watching
from jaxssl.collapse.watcher import CollapseWatcher
from jaxssl.runs.directory import RunDirectory
from jaxssl.training import memory, speed, stop, trackers, writers
from jaxssl.training.config import RunConfig
from jaxssl.training.job import Job
from jaxssl.training.rows import Rows
from jaxssl.types import TrainState


@dataclasses.dataclass(frozen=True)
class Outcome:
    """How a call of ``train`` ended.

    Attributes:
        step: optimizer steps completed.
        total_steps: of how many.
        stopped: whether a signal ended it.
        saved: whether that step was saved; not where a watcher forbade it.
    """

    step: int
    total_steps: int
    stopped: bool
    saved: bool = True


def watchers_of(
    run: RunConfig, directory: RunDirectory, console: Console
) -> list[watching.Watcher]:
    """What watches a run: writers first, so that what ends it has been written."""
    return [
        *writers.writers_of(directory.metrics, trackers.asked_for(run), console),
        CollapseWatcher(run.collapse),
        *(config.build() for config in run.watchers),
    ]


def train(
    job: Job,
    run: RunConfig,
    directory: RunDirectory,
    console: Console,
    watchers: Sequence[watching.Watcher] | None = None,
) -> Outcome:
    """Trains to the last step, from the newest complete checkpoint if there is one.

    Args:
        job: what is run.
        run: how it is run.
        directory: gets checkpoints and metrics.
        console: where the first lines and the progress go.
        watchers: instead of those of ``watchers_of``.

    Returns:
        Outcome. SIGTERM or SIGINT saves after the step in flight and ends the loop.

    Raises:
        rows.DivergedError: a metric is not finite; names it and the step.
        collapse.policy.CollapsedError: the run collapsed, and ``run.collapse.action`` ends such a
            run.
    """
    if watchers is None:
        watchers = watchers_of(run, directory, console)
    watched = watching.Watchers(watchers)
    step = parallel.data_parallel(job.step, backend=job.backend, state_sharding=job.lie)
    total_steps = job.plan.total_steps
    with (
        checkpoints.Checkpoints(directory.path, keep_latest=run.keep_checkpoints) as saved,
        stop.Signals() as signals,
        contextlib.closing(watched),
    ):
        state, first_step = _begun(job, saved, console)
        watched.begin(_watched(job, directory, console, saved, watched, first_step))
        rows = Rows(
            job.plan,
            job.schedule,
            every=run.log_every,
            watchers=watched,
            work=job.work,
            peak=speed.peak_flops(run.peak_teraflops),
        )
        for completed in range(first_step + 1, total_steps + 1):
            # Overlaps the step in flight.
            batch = rows.fetch(functools.partial(job.loader.batch, completed - 1))
            rows.wait()
            state, metrics = step(state, batch)
            metrics = metrics | watched.follow(state, batch)
            measured = watched.measure(state, batch) if rows.is_due(completed) else {}
            rows.add(completed, metrics, measured)
            stops = signals.requested(completed)
            if stops or completed % run.checkpoint_every == 0 or completed == total_steps:
                loss = rows.drain()
                watched.sync()
                saves = watched.allows_save(state, batch)
                if saves:
                    variables = job.method.encoder(state.params, state.state)
                    saved.save(state, variables, job.meta, loss=loss)
                if stops:
                    return Outcome(completed, total_steps, stopped=True, saved=saves)
    return Outcome(total_steps, total_steps, stopped=False)


def _begun(job: Job, saved: checkpoints.Checkpoints, console: Console) -> tuple[TrainState, int]:
    """The state that a call begins with, lying as asked for, and its step."""
    resume_step = saved.latest_step()
    console.out(job.describe())
    console.out(memory.footprint(job).describe(), highlight=False)
    if job.about:
        console.out(job.about, highlight=False)
    if resume_step is None:
        return job.begin(), 0
    state = saved.restore_state(resume_step, job.like, job.lie)
    console.out(f"resuming after step {resume_step} of {job.plan.total_steps}")
    return state, resume_step


def _watched(
    job: Job,
    directory: RunDirectory,
    console: Console,
    saved: checkpoints.Checkpoints,
    watchers: watching.Watchers,
    first_step: int,
) -> watching.WatchedRun:
    """The run as its watchers see it."""

    def rewind(step: int) -> None:
        saved.delete_after(step)
        watchers.cut(step)

    return watching.WatchedRun(
        out=directory.path,
        method=job.method,
        pooled_features=job.pooled_features,
        plan=job.plan,
        seed=job.seed,
        schedule=job.schedule,
        step=first_step,
        history=writers.history(directory.metrics, last_step=first_step),
        console=console,
        newest_checkpoint=lambda before: saved.latest_step(before=before),
        rewind=rewind,
        unit=job.unit,
        backend=job.backend,
    )
