"""Files that are there whole or not at all, whatever ends: the process, the disk, the power."""

import contextlib
import os
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO


def write_whole(path: str | os.PathLike, content: str | bytes) -> None:
    """Writes a file that no crash and no full disk leaves half-written.

    What stood there before stays until the new content is on the disk. Beside it a file of the same
    name and ``.tmp`` may be left behind, where the process was killed.

    Args:
        path: in a directory that exists.
        content: bytes, or text, which is written as UTF-8.

    Raises:
        OSError: it cannot be written; names the file. What was written of it is taken away.
    """
    with writing(path) as file:
        file.write(content.encode() if isinstance(content, str) else content)


@contextlib.contextmanager
def writing(path: str | os.PathLike) -> Iterator[BinaryIO]:
    """The same of what is written piece by piece: ``with files.writing(path) as file``.

    Where the block raises, what stood there before stays.
    """
    path = Path(path)
    temporary = path.with_name(path.name + ".tmp")
    try:
        with temporary.open("wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException as error:
        temporary.unlink(missing_ok=True)
        if isinstance(error, OSError):
            error.filename = error.filename or os.fspath(path)
        raise
    sync(path.parent)


def sync(path: str | os.PathLike) -> None:
    """Returns when a file is on the disk, or the names in a directory are.

    A new name, or one that is gone, is forgotten by a loss of power until its directory is synced.
    """
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def sync_tree(directory: str | os.PathLike) -> None:
    """The same for a directory, its own name, and everything below it."""
    for each in (*Path(directory).rglob("*"), directory, Path(directory).parent):
        sync(each)


def make_directory(path: str | os.PathLike) -> list[Path]:
    """Makes a directory and its parents, which a loss of power does not take away.

    Returns:
        Those that were missing, the outermost first.
    """
    path = Path(path)
    missing = [each for each in (path, *path.parents) if not each.exists()][::-1]
    path.mkdir(parents=True, exist_ok=True)
    for each in missing:
        sync(each.parent)
    return missing
