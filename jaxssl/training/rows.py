"""The metrics of a run on their way from the device: awaited, checked, averaged into rows."""

import collections
import math
import statistics
import time
from collections.abc import Callable, Mapping

import jax

from jaxssl import watching
from jaxssl.training import speed
from jaxssl.types import Array, Batch, Metrics, Plan


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
        work: int = 0,
        peak: float | None = None,
    ):
        """Starts the clock that rows are timed by.

        Args:
            plan: of the run.
            schedule: step to learning rate.
            every: steps between two rows; a row is the mean over them.
            watchers: see every row.
            work: operations of a step, as ``flops.count`` counts them.
            peak: operations a second that all devices can do, if that is known.
        """
        self._plan, self._schedule, self._every = plan, schedule, every
        self._watchers, self._work, self._peak = watchers, work, peak
        # Many unawaited steps over fake CPU devices deadlock in their collectives; an accelerator
        # wants a few queued so that it never waits for Python.
        self._max_in_flight = 1 if jax.default_backend() == "cpu" else 4
        self._in_flight: collections.deque[tuple[int, Metrics, Metrics]] = collections.deque()
        self._unread: list[tuple[int, Metrics, Metrics]] = []  # made, and still on the device
        self._steps: list[dict[str, float]] = []
        self._losses: list[float] = []
        self._seconds: list[float] = []  # of each step of the next row
        self._waited = 0.0  # of them, for data
        self._compiles = True  # the first step, and what is measured for the first row
        self._clock = time.monotonic()

    def fetch(self, load: Callable[[], Batch]) -> Batch:
        """Loads a batch; that the devices had nothing to do when it came counts as waiting for it.

        Which is at most what they waited: a step may have ended while it was loaded.
        """
        begun = time.monotonic()
        batch = load()
        if all(metrics["loss"].is_ready() for _, metrics, _ in self._in_flight):  # type: ignore[attr-defined]
            self._waited += time.monotonic() - begun
        return batch

    def wait(self) -> None:
        """Waits until another step may be dispatched; reads what was made when a row is due.

        Raises:
            DivergedError: a metric of a step up to that row is not finite; names it and the step.
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
        if self.is_due(step):  # with the rest, since reading it alone would wait for what runs
            measured = measured | {"learning_rate": self._schedule(step - 1)}
        self._in_flight.append((step, metrics, measured))

    def drain(self) -> float:
        """Takes every step in flight and returns the mean loss since the last drain.

        Raises:
            DivergedError: a metric is not finite; names it and the step.
        """
        while self._in_flight:
            self._take()
        self._read()
        self._steps.clear()  # rows after a save start afresh, in a resumed run as in this one
        self._seconds.clear()
        self._waited = 0.0
        self._clock = time.monotonic()
        losses, self._losses = self._losses, []
        return sum(losses) / len(losses)

    def _take(self) -> None:
        oldest = self._in_flight.popleft()
        jax.block_until_ready(oldest[1:])
        self._unread.append(oldest)
        now = time.monotonic()
        self._seconds.append(now - self._clock)
        self._clock = now
        if self.is_due(oldest[0]):
            self._watchers.see(self._row(oldest[0], self._read()))

    def _read(self) -> Mapping[str, float]:
        """Brings what was made to the host, all at once; what was measured last."""
        measured = {}
        for step, *parts in jax.device_get(self._unread):
            metrics, measured = (
                {name: float(value) for name, value in part.items()} for part in parts
            )
            _check_finite(metrics | measured, step)
            self._steps.append(metrics)
            self._losses.append(metrics["loss"])
        self._unread.clear()
        return measured

    def _row(self, step: int, measured: Mapping[str, float]) -> watching.Row:
        steps, self._steps = self._steps, []
        waits = min(self._waited / max(sum(self._seconds), 1e-9), 1.0)
        seconds, self._waited = self._seconds_a_step(), 0.0
        row = {
            "step": step,
            "epoch": step / self._plan.steps_per_epoch,
            **{name: sum(each[name] for each in steps) / len(steps) for name in steps[0]},
            **measured,
            "images_per_second": self._plan.batch_size / seconds,
            "seconds_left": (self._plan.total_steps - step) * seconds,
            "data_wait": waits,
        }
        if self._peak is not None:
            row["mfu"] = self._work / seconds / self._peak
        held = speed.peak_memory_gb()
        return row if held is None else row | {"peak_memory_gb": held}

    def _seconds_a_step(self) -> float:
        """The mean time of the steps of a row; of the first row without what is compiled in it."""
        seconds, self._seconds = self._seconds, []
        if self._compiles:
            self._compiles = False
            return statistics.median(seconds[1:] or seconds)
        return statistics.fmean(seconds)


def _check_finite(values: Mapping[str, float], step: int) -> None:
    for name, value in values.items():
        if not math.isfinite(value):
            raise DivergedError(
                f"{name} is {value} at step {step}: the run stopped, and its checkpoints hold "
                f"only steps before this one. Lower optimizer.base_learning_rate, lengthen the "
                f"warm-up or set optimizer.clip_norm, and start afresh with another --out."
            )
