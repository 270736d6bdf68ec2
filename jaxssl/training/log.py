"""The metrics of a run on their way from the device: awaited, checked for finiteness, written."""

import collections
import math
import time
from collections.abc import Callable, Mapping
from pathlib import Path

import jax
from rich.console import Console

from jaxssl.training import guard, metrics
from jaxssl.types import Array, Metrics


class DivergedError(RuntimeError):
    """A metric was NaN or infinite; the checkpoints hold only steps before it."""


class Log:
    """The metrics of the steps in flight, checked for finiteness and written when they arrive."""

    def __init__(
        self,
        out: Path,
        schedule: Callable[[int], Array],
        *,
        first_step: int,
        last_step: int,
        batch_size: int,
        every: int,
        tensorboard: bool,
        console: Console,
        judge: guard.Guard | None = None,
    ):
        """Opens the files of the run directory ``out`` on the first process, cut to ``first_step``.

        Args:
            out: run directory.
            schedule: step to learning rate.
            first_step: steps completed before.
            last_step: steps of the whole run.
            batch_size: G, for images per second.
            every: steps between two rows; a row is the mean over them.
            tensorboard: whether to write event files too.
            console: where the progress goes.
            judge: is shown what was measured for each row.
        """
        self._every, self._schedule, self._last_step = every, schedule, last_step
        self._batch_size = batch_size
        # Many unawaited steps over fake CPU devices deadlock in their collectives; an accelerator
        # wants a few queued so that it never waits for Python.
        self._max_in_flight = 1 if jax.default_backend() == "cpu" else 4
        self._in_flight: collections.deque[tuple[int, Metrics, Metrics]] = collections.deque()
        self._rows: list[dict[str, float]] = []
        self._losses: list[float] = []
        self._clock = time.monotonic()
        self._judge = judge
        self._out, self._tensorboard = out, tensorboard
        self._writers = []
        if jax.process_index() == 0:
            self._open_writers(first_step)
            self._progress = metrics.ProgressLine(
                start_step=first_step, total_steps=last_step, console=console
            )

    def __enter__(self) -> "Log":
        return self

    def __exit__(self, *exception) -> None:
        if self._writers:
            self._progress.close()
        for writer in self._writers:
            writer.close()

    def wait(self) -> None:
        """Waits until another step may be dispatched."""
        while len(self._in_flight) >= self._max_in_flight:
            self._take()

    def has_row(self, step: int) -> bool:
        """Whether a row is written after this step."""
        return step % self._every == 0 or step == self._last_step

    def add(self, step: int, step_metrics: Metrics, measured: Metrics | None = None) -> None:
        """Remembers the metrics of a dispatched step.

        Args:
            step: steps completed with it.
            step_metrics: of the step; a row has their means.
            measured: of the state after it, for its row; a row has them as they are.
        """
        self._in_flight.append((step, step_metrics, measured or {}))

    def drain(self) -> float:
        """Takes every step in flight, flushes, and returns the mean loss since the last drain."""
        while self._in_flight:
            self._take()
        self._rows.clear()  # rows after a save start afresh, in a resumed run as in this one
        self._clock = time.monotonic()
        for writer in self._writers:
            writer.sync()
        losses, self._losses = self._losses, []
        return sum(losses) / len(losses)

    def cut(self, step: int) -> None:
        """Takes back the rows after a step, as a resume from that step does."""
        if self._writers:
            for writer in self._writers:
                writer.close()
            self._open_writers(step)

    def _open_writers(self, resume_step: int) -> None:
        self._writers = []
        if self._tensorboard:
            directory = self._out / "tensorboard"
            self._writers.append(metrics.TensorBoard(directory, resume_step=resume_step))
        path = self._out / metrics.FILE
        self._writers.append(metrics.JsonLines(path, resume_step=resume_step))

    def _take(self) -> None:
        step, *arrays = self._in_flight.popleft()
        row, measured = (
            {name: float(value) for name, value in part.items()} for part in jax.device_get(arrays)
        )
        for name, value in (row | measured).items():
            if not math.isfinite(value):
                raise DivergedError(
                    f"{name} is {value} at step {step}: the run stopped, and its checkpoints hold "
                    f"only steps before this one. Lower optimizer.base_learning_rate, lengthen the "
                    f"warm-up or set optimizer.clip_norm, and start afresh with another --out."
                )
        self._rows.append(row)
        self._losses.append(row["loss"])
        if self.has_row(step):
            self._write(step, measured)
            if self._judge is not None:
                self._judge.see(step, measured)

    def _write(self, step: int, measured: Mapping[str, float]) -> None:
        rows, self._rows = self._rows, []
        now = time.monotonic()
        seconds, self._clock = now - self._clock, now
        row = {
            "step": step,
            **{name: sum(r[name] for r in rows) / len(rows) for name in rows[0]},
            **measured,
            "learning_rate": float(self._schedule(step - 1)),
            "images_per_second": len(rows) * self._batch_size / seconds,
            "seconds_left": (self._last_step - step) * seconds / len(rows),
        }
        for writer in self._writers:
            writer.write(row)
        if self._writers:
            self._progress.update(row)
