"""Watchers that write: JSON lines, a line on the screen, and whatever tracks experiments."""

import json
import os
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TypedDict

import jax
from jax.experimental import multihost_utils
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Column

from jaxssl import files, jsonable, watching
from jaxssl.training import trackers
from jaxssl.types import Batch, Metrics, TrainState

MIN_BAR, MAX_BAR = 4, 20  # characters of the bar of progress
MIN_WAIT = 0.02  # share of the time that is worth a word


def writers_of(
    metrics: Path, tracked: Sequence[trackers.Open], console: Console
) -> list[watching.Watcher]:
    """What writes the rows of a run, on the first process; nothing on the others.

    Args:
        metrics: file of JSON lines.
        tracked: what opens the writers of trackers; see ``trackers.asked_for``.
        console: where the progress goes.
    """
    if jax.process_index() > 0:
        return []
    others = map(trackers.Tracker, tracked)
    return [*others, JsonLines(metrics), ProgressLine(console)]


class JsonLines(watching.Watcher):
    """Appends one JSON object a row; what a crash leaves half-written is cut off on resume."""

    def __init__(self, path: Path):
        self._path = path

    def begin(self, run: watching.WatchedRun) -> None:
        """Opens the file, keeping only the rows up to the step that is resumed from."""
        self._open(run.step)

    def see(self, row: watching.Row) -> None:
        """Appends a row."""
        self._file.write(json.dumps(dict(row)) + "\n")
        self._file.flush()

    def sync(self) -> None:
        """Forces what was written to the disk."""
        os.fsync(self._file.fileno())

    def cut(self, step: int) -> None:
        """Keeps only the rows up to a step."""
        self._file.close()
        self._open(step)

    def close(self) -> None:
        """Closes the file."""
        self._file.close()

    def _open(self, last_step: int) -> None:
        rows = read(self._path) if self._path.exists() else []
        kept = [json.dumps(row) + "\n" for row in rows if row["step"] <= last_step]
        files.write_whole(self._path, "".join(kept))
        self._file = self._path.open("a")


class Row(TypedDict):
    """What every row has."""

    step: int


def read(path: str | os.PathLike) -> list[dict]:
    """The rows of a metrics file, without a last line that a crash cut short."""
    rows = []
    for line in Path(path).read_bytes().splitlines():
        try:
            row = jsonable.read(Row, jsonable.parse(line, "row"), "row")
        except ValueError:
            break
        rows.append(row)
    return rows


def history(path: Path, *, last_step: int) -> tuple[dict, ...]:
    """The rows of a file up to a step; all processes read before one of them writes.

    Args:
        path: metrics file, there or not yet.
        last_step: of the rows.
    """
    rows = [row for row in read(path) if row["step"] <= last_step] if path.exists() else []
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices("jaxssl metrics: history read")
    return tuple(rows)


class ProgressLine(watching.Watcher):
    """Where a run is, how fast, and what waits; live in a terminal, one line a log elsewhere."""

    def __init__(self, console: Console):
        self._console = console
        self._live = console.is_terminal
        self._bar = BarColumn(bar_width=MAX_BAR)
        text = TextColumn("{task.description}", table_column=Column(no_wrap=True))
        self._progress = Progress(self._bar, text, console=console)

    def begin(self, run: watching.WatchedRun) -> None:
        """Shows that the first step is compiled."""
        self._first_step, self._total = run.step + 1, run.plan.total_steps
        self._unit, self._begun, self._compiles = run.unit, time.monotonic(), True
        self._task = self._progress.add_task("compiling", total=self._total, completed=run.step)
        if self._live:
            self._progress.start()
        else:
            self._console.out("compiling the step")

    def follow(self, state: TrainState, batch: Batch) -> Metrics:
        """Says how long compiling took, when the first step has been dispatched."""
        if self._compiles:
            self._compiles = False
            text = f"compiled in {time.monotonic() - self._begun:.1f} s"
            if self._live:
                self._progress.update(self._task, description=text)
            else:
                self._console.out(text)
        return super().follow(state, batch)

    def see(self, row: Mapping[str, float]) -> None:
        """Shows a row of metrics: what ``rows.Rows`` puts into each."""
        parts = [f"step {row['step']}/{self._total}", f"loss {row['loss']:.4f}"]
        if row["step"] > self._first_step:  # the time of compiling says nothing of the others
            parts += self._speed(row)
            elapsed = time.monotonic() - self._begun
            parts.append(f"{_duration(elapsed)} gone, {_duration(row['seconds_left'])} left")
        if self._live:
            text = "  ".join(_fitting(parts, self._console.width - MIN_BAR - 1))
            self._bar.bar_width = min(max(self._console.width - len(text) - 1, MIN_BAR), MAX_BAR)
            self._progress.update(self._task, completed=row["step"], description=text)
        else:
            self._console.out("  ".join(parts))

    def _speed(self, row: Mapping[str, float]) -> list[str]:
        """What is worth saying of speed, the most important first."""
        parts = [f"epoch {row['epoch']:.4g}"]
        speed, devices = row["images_per_second"], jax.device_count()
        each = f" ({speed / devices:,.0f} a device)" if devices > 1 else ""
        parts.append(f"{speed:,.0f} {self._unit}/s{each}")
        if "mfu" in row:
            parts.append(f"MFU {row['mfu']:.0%}")
        if row["data_wait"] >= MIN_WAIT:
            parts.append(f"waits {row['data_wait']:.0%} for data")
        if "peak_memory_gb" in row:
            parts.append(f"{row['peak_memory_gb']:.1f} GB")
        return parts

    def close(self) -> None:
        """Leaves the terminal as it was."""
        if self._live:
            self._progress.stop()


def _fitting(parts: Sequence[str], width: int) -> list[str]:
    """The parts that fit side by side, whole: the first always, the last rather than the middle."""
    *others, last = parts
    while len(others) > 1 and len("  ".join([*others, last])) > width:
        others.pop()
    kept = [*others, last] if others else [last]
    return kept if len("  ".join(kept)) <= width else kept[:1]


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
