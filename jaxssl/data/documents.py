"""Texts from files: which documents a path holds, and which of them belong to a split."""

import json
import os
import pathlib
import sysconfig
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxssl import words
from jaxssl.data import layout, tree
from jaxssl.data import source as source_lib

PYTHON = "python"  # the corpus that every machine with Python has
SUFFIXES = (".txt", ".text", ".md", ".rst", ".py")  # a document a file
ROW_SUFFIXES = (".jsonl", ".parquet")  # a document a row
# Packages of the standard library with files enough to tell them apart.
_PACKAGES = ("asyncio", "email", "importlib", "multiprocessing", "unittest", "xml")
_OTHER, _TOPICS = "single modules", "documentation"


class Document(NamedTuple):
    """One text.

    Attributes:
        name: where it comes from, unique in its data set.
        text: its bytes, usually UTF-8.
        label: the name of its class, or None.
    """

    name: str
    text: bytes
    label: str | None = None


def read_split(path: str, split: str) -> list[Document]:
    """The documents of one split, in the order of their names.

    A path may be the known name "python", a file, or a directory. A directory of nothing but
    folders of splits (``layout.SPLIT_NAMES``) has these. Else the documents are one set:
    of a permutation that depends on nothing but their number a fifth is "test", and a single
    document is cut in two, the last fifth of its lines "test".

    Args:
        path: a known name, a file or a directory.
        split: "train", "test", "all", a split of the directory's own, or "fit" and "validation",
            the parts of "train".

    Raises:
        ValueError: nothing there that can be read, or no such split.
    """
    if path == PYTHON:
        return _divided(python_library(), split, path)
    place = pathlib.Path(path).expanduser()
    if not place.exists():
        raise ValueError(
            f'TextData: path must be a file, a directory or "{PYTHON}"; got {path}, which does not '
            f"exist.{words.nearest(path, [PYTHON])}"
        )
    folders = _split_folders(place)
    if not folders:
        return _divided(_read(place), split, path)
    if split == "all":
        return [each for folder in folders.values() for each in _read(folder)]
    if split in source_lib.PARTS_OF_TRAIN and split not in folders and "val" not in folders:
        return _part_of_train(_read(folders["train"]), split, path)
    chosen = source_lib.chosen_split(path, split, tuple(folders))
    return _read(folders[chosen])


def python_library() -> list[Document]:
    """The sources of Python's standard library, and the texts of its help, by name.

    Classes are a few packages, "single modules" for those and the other packages, and
    "documentation". Tests are left out, and what is tables more than text. The corpus is that of
    the Python that runs, and differs from version to version.
    """
    from pydoc_data import topics

    root = pathlib.Path(sysconfig.get_paths()["stdlib"])
    files = [
        *root.glob("*.py"),
        *(file for name in _PACKAGES for file in root.glob(f"{name}/**/*.py")),
    ]
    found = []
    for file in files:
        parts = file.relative_to(root).parts
        if not {"test", "tests"} & set(parts):
            label = parts[0] if len(parts) > 1 else _OTHER
            found.append(Document("/".join(parts), file.read_bytes(), label))
    if not found:
        raise ValueError(
            f'TextData: "{PYTHON}" must find the sources of the standard library; got none in '
            f"{root}. Give a directory of texts."
        )
    helped = [
        Document(f"topics/{name}", text.encode(), _TOPICS) for name, text in topics.topics.items()
    ]
    return sorted([*found, *helped])


def _split_folders(place: pathlib.Path) -> dict[str, pathlib.Path]:
    """Folders of a directory by the splits they are, where it holds nothing else.

    Raises:
        ValueError: two folders of one split.
    """
    if not place.is_dir():
        return {}
    entries = tree.read_directory(place)
    names = sorted(entries.folders + entries.links)
    splits = [layout.split_of(name) or "" for name in names]
    if entries.files or "" in splits or "train" not in splits:
        return {}
    found: dict[str, pathlib.Path] = {}
    for name, split in zip(names, splits, strict=True):
        if split in found:
            raise ValueError(
                f"TextData: {place} must have one folder of the split {split}; got "
                f"{found[split].name} and {name}. Rename one of them."
            )
        found[split] = place / name
    return found


def _read(place: pathlib.Path) -> list[Document]:
    """The documents of a file, or of every file below a directory.

    Where all files lie in folders of the directory, these are their classes.
    """
    if place.is_file():
        found = list(_read_file(place, place.name))
        if not found:
            raise ValueError(f"TextData: {place} must hold a text; got none.")
        return found
    files = sorted(
        os.path.join(inside, name)
        for inside, names in tree.Walk(place)
        for name in names
        if os.path.splitext(name)[1].lower() in SUFFIXES + ROW_SUFFIXES
        and "__pycache__" not in inside.split(os.sep)
    )
    if not files:
        raise ValueError(
            f"TextData: {place} must hold files of text ({' '.join(SUFFIXES + ROW_SUFFIXES)}); got "
            "none."
        )
    found = [document for name in files for document in _read_file(place / name, name)]
    if not all("/" in each.name for each in found):
        return found
    return [
        each if each.label else each._replace(label=pathlib.PurePath(each.name).parts[0])
        for each in found
    ]


def _read_file(file: pathlib.Path, name: str) -> Iterator[Document]:
    suffix = file.suffix.lower()
    if suffix == ".jsonl":
        yield from _rows(file, name, json_rows)
    elif suffix == ".parquet":
        yield from _rows(file, name, _parquet_rows)
    elif text := file.read_bytes():
        yield Document(name, text)


def _rows(
    file: pathlib.Path, name: str, read: Callable[[pathlib.Path], Iterator[object]]
) -> Iterator[Document]:
    """The documents of a table, with "text" and perhaps "label"."""
    for number, row in enumerate(read(file), start=1):
        if not isinstance(row, dict) or not isinstance(row.get("text"), str):
            raise ValueError(
                f'TextData: every row of {file} must have a "text", a string; row {number} has '
                f"{sorted(row) if isinstance(row, dict) else type(row).__name__}."
            )
        label = row.get("label")
        if row["text"]:
            yield Document(
                f"{name}:{number:09d}", row["text"].encode(), None if label is None else str(label)
            )


def json_rows(file: pathlib.Path) -> Iterator[Any]:
    """The values of a .jsonl, one a line; empty lines are passed over.

    Raises:
        ValueError: a line that is no JSON, by its number.
    """
    with file.open("rb") as lines:
        for number, line in enumerate(lines, start=1):
            if line.strip():
                try:
                    yield json.loads(line)
                except ValueError as error:
                    raise ValueError(
                        f"every line of {file} must be JSON; line {number} is not ({error})."
                    ) from error


def _parquet_rows(file: pathlib.Path) -> Iterator[object]:
    import pyarrow  # a part of what TFDS needs
    from pyarrow import parquet

    try:
        opened = parquet.ParquetFile(file)
        names = [name for name in ("text", "label") if name in opened.schema_arrow.names]
        for batch in opened.iter_batches(columns=names or None):
            yield from batch.to_pylist()
    except (pyarrow.ArrowException, OSError) as error:
        first = str(error).splitlines()[0]
        raise ValueError(f"TextData: {file} must be a Parquet file; got {first}") from error


def _divided(documents: list[Document], split: str, name: str) -> list[Document]:
    """One split of documents that come as a single set."""
    if split in source_lib.PARTS_OF_TRAIN:
        return _part_of_train(_divided(documents, "train", name), split, name)
    if source_lib.chosen_split(name, split, source_lib.SINGLE_SET_SPLITS) == "all":
        return documents
    if len(documents) == 1:
        return [_cut(documents[0], source_lib.TEST_SHARE, last=split == "test")]
    return _rows_of(documents, source_lib.single_set_rows(len(documents), split, name=name))


def _part_of_train(documents: list[Document], part: str, name: str) -> list[Document]:
    if len(documents) == 1:
        share = source_lib.VALIDATION_SHARE
        return [_cut(documents[0], share, last=part == "validation")]
    return _rows_of(documents, source_lib.part_of_train(len(documents), part, name=name))


def _cut(document: Document, share: int, *, last: bool) -> Document:
    """A text without its last ``1 / share`` of bytes, or that alone, cut at the end of a line."""
    text = document.text
    end = text.rfind(b"\n", 0, len(text) - len(text) // share) + 1 or len(text) - len(text) // share
    return document._replace(text=text[end:] if last else text[:end])


def _rows_of(documents: Sequence[Document], rows: np.ndarray) -> list[Document]:
    return [documents[row] for row in rows.tolist()]
