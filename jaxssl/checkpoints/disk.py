"""A disk that is full while a step is saved: what was kept, and how much is needed."""

import contextlib
import errno
import os
import shutil
from collections.abc import Iterator
from pathlib import Path

import jax

from jaxssl.checkpoints import manifest
from jaxssl.types import PyTree

_CODES = (errno.ENOSPC, errno.EDQUOT)
# TensorStore raises a ValueError, RESOURCE_EXHAUSTED, with the system's words in it.
_WORDS = tuple(os.strerror(code) for code in _CODES)


class DiskFullError(RuntimeError):
    """A step could not be saved, since the disk is full or the quota used up."""


@contextlib.contextmanager
def saving(root: Path, step: int, tree: PyTree) -> Iterator[None]:
    """Turns a full disk into one line, and takes away what was written of the step.

    Args:
        root: the ``checkpoints`` directory of a run.
        step: that is being saved inside of the context.
        tree: its arrays.

    Raises:
        DiskFullError: the disk is full; says what was kept and how much is needed.
    """
    try:
        yield
    except Exception as error:
        if not is_full(error):
            raise
        if jax.process_index() == 0:
            _clear(root, step)
        raise DiskFullError(_message(root, step, tree)) from error


def is_full(error: BaseException | None) -> bool:
    """Whether an error, or one behind it, says that a disk is full."""
    while error is not None:
        if isinstance(error, OSError) and error.errno in _CODES:
            return True
        if any(words in str(error) for words in _WORDS):
            return True
        error = error.__cause__ or error.__context__
    return False


def _clear(root: Path, step: int) -> None:
    """Removes a step that does not count: it takes the place that a next one needs."""
    for path in root.glob(f"{step}*"):
        if path.name == str(step) or path.name.startswith(f"{step}.orbax"):
            if not (path / manifest.MANIFEST).exists():
                shutil.rmtree(path, ignore_errors=True)


def _message(root: Path, step: int, tree: PyTree) -> str:
    steps = sorted(manifest.list_steps(root))
    kept = f"step{'s' * (len(steps) > 1)} {', '.join(map(str, steps))}" if steps else "nothing"
    needed = sum(leaf.nbytes for leaf in jax.tree.leaves(tree))
    return (
        f"disk full while step {step} was saved to {root}: it takes up to "
        f"{_megabytes(needed)}, of which {_megabytes(shutil.disk_usage(root).free)} are free; "
        f"kept: {kept}. Free some space, or lower --run.keep-checkpoints; the same command then "
        "goes on from what was kept."
    )


def _megabytes(count: int) -> str:
    return f"{max(count / 1e6, 0.1):,.1f} MB"
