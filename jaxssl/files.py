"""Files that are there whole or not at all."""

import os
from pathlib import Path


def write_whole(path: str | os.PathLike, text: str) -> None:
    """Writes a file that no crash and no full disk leaves half-written.

    What stood there before stays until the new text is on the disk. Beside it a file of the same
    name and ``.tmp`` may be left behind, where the process was killed.

    Args:
        path: in a directory that exists.
        text: written as UTF-8.
    """
    path = Path(path)
    temporary = path.with_name(path.name + ".tmp")
    with temporary.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)
    # The new name is in the directory, which a loss of power forgets until it is written too.
    directory = os.open(path.parent, os.O_RDONLY)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)
