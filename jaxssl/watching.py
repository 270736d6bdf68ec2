"""Whatever watches a run: measurements, policies, writers. None of them changes a number of it."""

import dataclasses
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path

from rich.console import Console

from jaxssl import parallel
from jaxssl.types import Array, Batch, Method, Metrics, Plan, PyTree, TrainState

Row = Mapping[str, float]
# What a row has of the clock and of the devices: as likely as not another number the next time.
TIMES = ("images_per_second", "seconds_left", "data_wait", "mfu", "peak_memory_gb")


@dataclasses.dataclass(frozen=True)
class WatchedRun:
    """What a watcher may know of its run, and the one thing that it may do to it.

    Attributes:
        out: run directory.
        method: built with the axis name of the backend, ``parallel.axis_of``.
        pooled_features: ``(variables, batch) -> [B, D]``, what the encoder makes of what it is fed
            in evaluation; variables are what ``method.encoder`` gives. None where nobody says.
        plan: batch size and steps.
        seed: of the run.
        schedule: step to learning rate.
        step: optimizer steps completed before this call; above 0 where a run is resumed.
        history: the rows up to that step.
        console: where lines for the user go.
        newest_checkpoint: ``before -> step`` of the newest complete checkpoint before a step, or
            None.
        rewind: ``step -> None`` takes back every checkpoint and row later than a step.
        unit: what an example is called, in the plural.
        backend: how the step is spread over devices, and a measurement with it.
    """

    out: Path
    method: Method
    pooled_features: Callable[[PyTree, Batch], Array] | None
    plan: Plan
    seed: int
    schedule: Callable[[int], Array]
    step: int
    history: tuple[Row, ...]
    console: Console
    newest_checkpoint: Callable[[float], int | None]
    rewind: Callable[[int], None]
    unit: str = "images"
    backend: parallel.Backend = "jit"


class Watcher:
    """Watches a run; every method may be left as it is, doing nothing.

    All processes of a run call all methods in the same order, so a watcher may run programs over
    all devices; whoever writes files does so on the first process only.
    """

    def begin(self, run: WatchedRun) -> None:
        """Before the first step of this call. May raise to end the run."""

    def follow(self, state: TrainState, batch: Batch) -> Metrics:
        """After every step, before ``measure``, for what learns beside the run.

        Args:
            state: after the step.
            batch: this process's rows of the batch of that step.

        Returns:
            Scalars whose means since the row before join the row; still on the device, under the
            same names after every step.
        """
        del state, batch
        return {}

    def measure(self, state: TrainState, batch: Batch) -> Metrics:
        """Measures a state for the row that is due.

        Args:
            state: after the step.
            batch: this process's rows of the batch of that step.

        Returns:
            Scalars that join the row as they are, by name; still on the device.
        """
        del state, batch
        return {}

    def see(self, row: Row) -> None:
        """Takes a row when it has arrived from the device. May raise to end the run.

        Args:
            row: "step", means of the metrics since the row before, what was measured,
                "learning_rate", "epoch", and of ``TIMES`` what can be told; all finite.
        """

    def allows_save(self, state: TrainState, batch: Batch) -> bool:
        """Whether a state may be saved; asked after all rows up to it have been seen."""
        del state, batch
        return True

    def sync(self) -> None:
        """Before a state is saved: what was written must survive as the state will."""

    def cut(self, step: int) -> None:
        """Takes back what was written of steps after this one, as a resume from it does."""

    def close(self) -> None:
        """When the call is over, however it ended."""


class Callback(Watcher):
    """Calls a function with every row, ``RunConfig.log_every`` steps apart, on all processes."""

    def __init__(self, function: Callable[[Row], None]):
        self._function = function

    def see(self, row: Row) -> None:
        """Calls it; what it raises ends the run."""
        self._function(row)


class Watchers(Watcher):
    """Several watchers as one, asked in their order."""

    def __init__(self, watchers: Iterable[Watcher]):
        self._watchers = tuple(watchers)
        self._begun: list[Watcher] = []

    def begin(self, run: WatchedRun) -> None:
        """See Watcher."""
        for watcher in self._watchers:
            self._begun.append(watcher)
            watcher.begin(run)

    def follow(self, state: TrainState, batch: Batch) -> Metrics:
        """See Watcher; what all of them return together."""
        followed: Metrics = {}
        for watcher in self._watchers:
            followed |= watcher.follow(state, batch)
        return followed

    def measure(self, state: TrainState, batch: Batch) -> Metrics:
        """See Watcher; all measurements together."""
        measured: Metrics = {}
        for watcher in self._watchers:
            measured |= watcher.measure(state, batch)
        return measured

    def see(self, row: Row) -> None:
        """See Watcher."""
        for watcher in self._watchers:
            watcher.see(row)

    def allows_save(self, state: TrainState, batch: Batch) -> bool:
        """See Watcher; whether all of them do."""
        return all([watcher.allows_save(state, batch) for watcher in self._watchers])

    def sync(self) -> None:
        """See Watcher."""
        for watcher in self._watchers:
            watcher.sync()

    def cut(self, step: int) -> None:
        """See Watcher; those that have begun."""
        for watcher in self._begun:
            watcher.cut(step)

    def close(self) -> None:
        """See Watcher; those that have begun, the last first."""
        while self._begun:
            self._begun.pop().close()
