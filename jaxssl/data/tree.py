"""What lies below a directory: every regular file once, however links wind through it.

Left out at every depth are hidden files and folders and what other programs leave in a folder of
images. What cannot be read is left out too, but remembered, so that it can be said.
"""

import collections
import os
import pathlib
from collections.abc import Iterator, Sequence
from typing import NamedTuple

LEFTOVERS = {  # of macOS's zip, Synology, QNAP, Windows, ext4; in small letters
    "__macosx", "@eadir", "@recycle", "#recycle", "#snapshot", "$recycle.bin",
    "system volume information", "lost+found",
}  # fmt: skip
BROKEN = ("broken link", "broken links")
REPEATED = ("link to a folder that is read anyway", "links to folders that are read anyway")
SPECIAL = ("pipe, socket or device", "pipes, sockets or devices")
CLOSED = ("folder that cannot be opened", "folders that cannot be opened")


class Entries(NamedTuple):
    """The names in one directory, sorted; hidden ones and leftovers are in none of the lists.

    Attributes:
        files: regular files, and links to such.
        folders: directories.
        links: links to directories.
        left_out: pairs of a reason and a name.
    """

    files: list[str]
    folders: list[str]
    links: list[str]
    left_out: list[tuple[tuple[str, str], str]]


class Walk:
    """Iterates over the directories below a root, each real one once.

    Gives pairs: the path of a directory relative to the root, "" for the root itself, and the
    sorted names of its regular files. Folders come in alphabetical order, a folder before those
    inside; links to folders come last, so that what can be read without a link is read without.
    A link to the root or to a folder that holds it leads nowhere.

    Attributes:
        root: the directory.
        left_out: of each reason (its singular and plural), paths relative to the root that were
            passed over for it; complete when the iteration is.
    """

    def __init__(self, root: pathlib.Path):
        self.root = root
        self.left_out: dict[tuple[str, str], list[str]] = {}

    def __iter__(self) -> Iterator[tuple[str, list[str]]]:
        self.left_out.clear()
        seen = ancestors(self.root)
        entries = read_directory(self.root)
        folders: list[str] = []
        links: collections.deque[str] = collections.deque()
        inside = ""
        while True:
            for reason, name in entries.left_out:
                self._leave_out(reason, os.path.join(inside, name))
            yield inside, entries.files
            folders += [os.path.join(inside, name) for name in reversed(entries.folders)]
            links += [os.path.join(inside, name) for name in entries.links]
            found = None
            while found is None:
                if not folders and not links:
                    return
                inside = folders.pop() if folders else links.popleft()
                found = self._enter(inside, seen)
            entries = found

    def _enter(self, inside: str, seen: set[tuple[int, int]]) -> Entries | None:
        """The entries of a directory; None where it was read already or cannot be."""
        try:
            identity = identify(self.root / inside)
            if identity in seen:
                self._leave_out(REPEATED, inside)
                return None
            entries = read_directory(self.root / inside)
        except OSError:
            self._leave_out(CLOSED, inside)
            return None
        seen.add(identity)
        return entries

    def _leave_out(self, reason: tuple[str, str], path: str) -> None:
        self.left_out.setdefault(reason, []).append(path)

    def notes(self) -> list[str]:
        """What was left out and why, one reason each; nothing where nothing was."""
        return [counted(paths, *reason) for reason, paths in sorted(self.left_out.items())]


def read_directory(directory: pathlib.Path) -> Entries:
    """What lies directly in a directory.

    Raises:
        OSError: where it cannot be opened.
    """
    entries = Entries([], [], [], [])
    with os.scandir(directory) as scanned:
        for entry in scanned:
            if entry.name.startswith(".") or entry.name.lower() in LEFTOVERS:
                continue
            try:
                if entry.is_dir():
                    (entries.links if entry.is_symlink() else entries.folders).append(entry.name)
                elif entry.is_file():
                    entries.files.append(entry.name)
                else:
                    entries.left_out.append((BROKEN if entry.is_symlink() else SPECIAL, entry.name))
            except OSError:  # links in a circle
                entries.left_out.append((BROKEN, entry.name))
    for found in entries:
        found.sort()
    return entries


def ancestors(directory: pathlib.Path) -> set[tuple[int, int]]:
    """A directory and all that hold it, as ``identify`` knows them."""
    real = directory.resolve()
    return {identify(each) for each in (real, *real.parents)}


def identify(path: pathlib.Path) -> tuple[int, int]:
    """What tells a directory from any other, whatever path leads to it."""
    status = path.stat()
    return status.st_dev, status.st_ino


def counted(found: Sequence[str], singular: str, plural: str) -> str:
    """A number of things and the first of them, such as "2 films such as a.mp4"."""
    if len(found) == 1:
        return f"1 {singular}, {found[0]}"
    return f"{len(found):,} {plural} such as {found[0]}"
