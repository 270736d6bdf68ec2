"""Image files inside tar archives, read where they lie, and the texts beside them.

As WebDataset writes them: the members of an example have one name and different suffixes, NAME.jpg,
NAME.txt or NAME.json; the name ends at the first dot after the last slash.
"""

import dataclasses
import json
import os
import pathlib
import tarfile
from collections.abc import Hashable, Sequence
from typing import NamedTuple

from jaxssl.data import folder, layout

SUFFIX = ".tar"
JSON_SUFFIX, CLASS_SUFFIXES = ".json", (".cls", ".cls.txt")


class Span(NamedTuple):
    """Where a member lies in an archive: its first byte, and how many there are."""

    archive: pathlib.Path
    start: int
    size: int

    def read(self) -> bytes:
        """Its content."""
        with self.archive.open("rb") as opened:
            opened.seek(self.start)
            return opened.read(self.size)


class Example(NamedTuple):
    """The members of one name.

    Attributes:
        file: the image, as path of the archive and of the member.
        image: where that lies.
        others: the other members by suffix, in small letters, such as ".txt".
    """

    file: str
    image: Span
    others: dict[str, Span]


class Labelled(NamedTuple):
    """An image and its class.

    Attributes:
        file: the image, as path of the archive and of the member.
        image: where that lies.
        label: as it is written; None without.
    """

    file: str
    image: Span
    label: str | None


@dataclasses.dataclass(frozen=True, eq=False)
class TarredImages(folder.ImageFiles):
    """Image files in archives.

    Attributes:
        spans: where each of ``files`` lies.
    """

    spans: tuple[Span, ...] = dataclasses.field(default=(), repr=False)

    def read(self, row: int) -> bytes:
        """The content of a file."""
        return self.spans[row].read()

    def size(self, row: int) -> int:
        """Its bytes, without reading it."""
        return self.spans[row].size

    def identities(self) -> Sequence[Hashable]:
        """The archives, by the one path that leads to each without a link, and places in them."""
        real = {archive: os.path.realpath(archive) for archive, _, _ in self.spans}
        return [(real[archive], start) for archive, start, _ in self.spans]


def examples(archive: pathlib.Path) -> list[Example]:
    """The images of an archive with what lies beside each, in the order of the archive.

    Raises:
        ValueError: the file is no tar archive, part of one, or a compressed one.
    """
    members: dict[str, dict[str, tuple[str, Span]]] = {}
    try:
        with tarfile.open(archive, "r:") as opened:
            for member in opened:
                directory, name = os.path.split(member.name)
                stem, dot, suffix = name.partition(".")
                if member.isfile() and not name.startswith("."):
                    span = Span(archive, member.offset_data, member.size)
                    of_name = members.setdefault(os.path.join(directory, stem), {})
                    of_name[f"{dot}{suffix.lower()}"] = (member.name, span)
    except (tarfile.TarError, OSError, EOFError) as error:
        raise ValueError(
            f"data: {archive} must be a whole tar archive, not compressed; got one that cannot "
            f"be read ({error}). Images in it are read where they lie."
        ) from error
    found = []
    for by_suffix in members.values():
        images = [suffix for suffix in by_suffix if layout.is_image(f"x{suffix}")]
        if images:
            name, span = by_suffix[images[0]]
            others = {key: each for key, (_, each) in by_suffix.items() if key != images[0]}
            found.append(Example(os.path.join(archive.name, name), span, others))
    return found


def labelled(archive: pathlib.Path) -> list[Labelled]:
    """The images of an archive with the class of each, by ``class_of``."""
    return [Labelled(each.file, each.image, class_of(each, archive)) for each in examples(archive)]


def class_of(example: Example, archive: pathlib.Path) -> str | None:
    """What a .cls says, or "label" of a .json; None where neither does.

    Raises:
        ValueError: a .json that is none.
    """
    for suffix in CLASS_SUFFIXES:
        if suffix in example.others:
            return example.others[suffix].read().decode(errors="replace").strip()
    label = described(example, archive).get("label")
    return None if label is None else str(label)


def described(example: Example, archive: pathlib.Path) -> dict:
    """The .json of an example; nothing without one.

    Raises:
        ValueError: it is no JSON, or no object.
    """
    if JSON_SUFFIX not in example.others:
        return {}
    where = f"{archive}: the .json of {example.file}"
    try:
        found = json.loads(example.others[JSON_SUFFIX].read())
    except ValueError as error:
        raise ValueError(f"data: {where} must be JSON; got other text ({error}).") from error
    if not isinstance(found, dict):
        raise ValueError(f"data: {where} must be an object; got {type(found).__name__}.")
    return found
