"""The metrics of a run on their way from the device: awaited, checked, averaged into rows."""

import collections
import math
import statistics
import time
from collections.abc import Callable, Mapping

import jax

from jaxssl import watching
from jaxssl.types import Array, Metrics, Plan


class DivergedError(RuntimeError):
    """A metric was NaN or infinite; the checkpoints hold only steps before it."""


class Rows:
    """The metrics of the steps in flight; when they arrive, watchers see them as rows."""

    def __init__(
        self,
        plan: Plan,
        schedule: Callable[[int], Array],
        *,
        every: int,
        watchers: watching.Watcher,
    ):
        """Starts the clock that rows are timed by.

        Args:
            plan: of the run.
            schedule: step to learning rate.
            every: steps between two rows; a row is the mean over them.
            watchers: see every row.
        """
        self._plan, self._schedule, self._every = plan, schedule, every
        self._watchers = watchers
        # Many unawaited steps over fake CPU devices deadlock in their collectives; an accelerator
        # wants a few queued so that it never waits for Python.
        self._max_in_flight = 1 if jax.default_backend() == "cpu" else 4
        self._in_flight: collections.deque[tuple[int, Metrics, Metrics]] = collections.deque()
        self._steps: list[dict[str, float]] = []
        self._losses: list[float] = []
        self._seconds: list[float] = []  # of each step of the next row
        self._compiles = True  # the first step, and what is measured for the first row
        self._clock = time.monotonic()

    def wait(self) -> None:
        """Waits until another step may be dispatched.

        Raises:
            DivergedError: a metric is not finite; names it and the step.
        """
        while len(self._in_flight) >= self._max_in_flight:
            self._take()

    def is_due(self, step: int) -> bool:
        """Whether a row is made after this step."""
        return step % self._every == 0 or step == self._plan.total_steps

    def add(self, step: int, metrics: Metrics, measured: Metrics) -> None:
        """Remembers the metrics of a dispatched step.

        Args:
            step: steps completed with it.
            metrics: of the step; a row has their means.
            measured: of the state after it, for its row; a row has them as they are.
        """
        self._in_flight.append((step, metrics, measured))

    def drain(self) -> float:
        """Takes every step in flight and returns the mean loss since the last drain.

        Raises:
            DivergedError: a metric is not finite; names it and the step.
        """
        while self._in_flight:
            self._take()
        self._steps.clear()  # rows after a save start afresh, in a resumed run as in this one
        self._seconds.clear()
        self._clock = time.monotonic()
        losses, self._losses = self._losses, []
        return sum(losses) / len(losses)

    def _take(self) -> None:
        step, *arrays = self._in_flight.popleft()
        metrics, measured = (
            {name: float(value) for name, value in part.items()} for part in jax.device_get(arrays)
        )
        for name, value in (metrics | measured).items():
            if not math.isfinite(value):
                raise DivergedError(
                    f"{name} is {value} at step {step}: the run stopped, and its checkpoints hold "
                    f"only steps before this one. Lower optimizer.base_learning_rate, lengthen the "
                    f"warm-up or set optimizer.clip_norm, and start afresh with another --out."
                )
        now = time.monotonic()
        self._seconds.append(now - self._clock)
        self._clock = now
        self._steps.append(metrics)
        self._losses.append(metrics["loss"])
        if self.is_due(step):
            self._watchers.see(self._row(step, measured))

    def _row(self, step: int, measured: Mapping[str, float]) -> watching.Row:
        steps, self._steps = self._steps, []
        seconds = self._seconds_a_step()
        return {
            "step": step,
            **{name: sum(each[name] for each in steps) / len(steps) for name in steps[0]},
            **measured,
            "learning_rate": float(self._schedule(step - 1)),
            "images_per_second": self._plan.batch_size / seconds,
            "seconds_left": (self._plan.total_steps - step) * seconds,
        }

    def _seconds_a_step(self) -> float:
        """The mean time of the steps of a row; of the first row without what is compiled in it."""
        seconds, self._seconds = self._seconds, []
        if self._compiles:
            self._compiles = False
            return statistics.median(seconds[1:] or seconds)
        return statistics.fmean(seconds)
