"""Where the numbers of a run go: JSON lines always, TensorBoard when it is installed and asked for,
and one live line in the terminal."""

import json
import os
from collections.abc import Mapping
from pathlib import Path

import jax
from jax.experimental import multihost_utils
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn

from jaxssl import files

FILE = "metrics.jsonl"


class JsonLines:
    """Appends one JSON object a line; what a crash leaves half-written is cut off on resume."""

    def __init__(self, path: Path, *, resume_step: int):
        """Opens the file, keeping only the rows of steps up to ``resume_step``."""
        rows = [row for row in read(path) if row["step"] <= resume_step] if path.exists() else []
        files.write_whole(path, "".join(json.dumps(row) + "\n" for row in rows))
        self._file = path.open("a")

    def write(self, row: Mapping[str, float]) -> None:
        """Appends a row; it must carry ``step``."""
        self._file.write(json.dumps(dict(row)) + "\n")
        self._file.flush()

    def sync(self) -> None:
        """Forces what was written to the disk."""
        os.fsync(self._file.fileno())

    def close(self) -> None:
        """Closes the file."""
        self._file.close()


def read(path: str | os.PathLike) -> list[dict]:
    """The rows of a metrics file, without a last line that a crash cut short."""
    rows = []
    for line in Path(path).read_text().splitlines():
        try:
            rows.append(json.loads(line))
        except json.JSONDecodeError:
            break
    return rows


def history(out: Path, *, last_step: int) -> list[dict]:
    """The rows that a run directory has up to a step; all processes read before one of them writes.

    Args:
        out: run directory, with a metrics file or not yet.
        last_step: of the rows.
    """
    path = out / FILE
    rows = [row for row in read(path) if row["step"] <= last_step] if path.exists() else []
    if jax.process_count() > 1:
        multihost_utils.sync_global_devices("jaxssl metrics: history read")
    return rows


class TensorBoard:
    """Writes the same rows as TensorBoard scalars."""

    def __init__(self, directory: Path, *, resume_step: int):
        """Opens the event file; on resume TensorBoard is told to drop later steps.

        Raises:
            ImportError: the extra is not installed.
        """
        try:
            import tensorboardX
        except ImportError as error:
            raise ImportError(
                "run.tensorboard: needs the extra; install it with: pip install "
                '"jaxssl[tensorboard]".'
            ) from error
        self._writer = tensorboardX.SummaryWriter(str(directory), purge_step=resume_step + 1)

    def write(self, row: Mapping[str, float]) -> None:
        """Writes every entry but ``step`` as a scalar."""
        for name, value in row.items():
            if name != "step":
                self._writer.add_scalar(name, value, row["step"])

    def sync(self) -> None:
        """Flushes the event file."""
        self._writer.flush()

    def close(self) -> None:
        """Closes the event file."""
        self._writer.close()


class ProgressLine:
    """Step, loss, images per second and time left; live in a terminal, one line a log elsewhere."""

    def __init__(self, *, start_step: int, total_steps: int, console: Console):
        self._console = console
        self._live = console.is_terminal
        self._total = total_steps
        self._progress = Progress(
            BarColumn(bar_width=20), TextColumn("{task.description}"), console=console
        )
        self._task = self._progress.add_task("compiling", total=total_steps, completed=start_step)
        if self._live:
            self._progress.start()

    def update(self, row: Mapping[str, float]) -> None:
        """Shows a row of metrics: step, loss, images_per_second, seconds_left."""
        text = (
            f"step {row['step']}/{self._total}  loss {row['loss']:.4f}  "
            f"{row['images_per_second']:,.0f} images/s  {_duration(row['seconds_left'])} left"
        )
        if self._live:
            self._progress.update(self._task, completed=row["step"], description=text)
        else:
            self._console.print(text, soft_wrap=True)

    def close(self) -> None:
        """Leaves the terminal as it was."""
        if self._live:
            self._progress.stop()


def _duration(seconds: float) -> str:
    minutes, seconds = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{seconds:02}"
