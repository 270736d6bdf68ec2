"""Images in the rows of tables: Parquet, and the Arrow files of Hugging Face's ``datasets``.

A column holds the content of image files, as bytes or as a structure of "bytes" and "path", as
``datasets`` writes a feature ``Image``. Arrow files are mapped into memory, where a row costs no
more than its bytes. A group of rows of a Parquet file is unpacked as a whole: all of them are kept
where memory has room, else the last few.
"""

import collections
import dataclasses
import functools
import hashlib
import json
import os
import pathlib
import threading
import typing
from collections.abc import Hashable, Iterable, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxssl.data import folder
from jaxssl.data import labels as label_lib

if typing.TYPE_CHECKING:
    import pyarrow

ARROW, PARQUET = ".arrow", ".parquet"
_IMAGES, _LABELS = ("image", "img", "jpg", "png", "webp"), ("label", "labels", "cls")
_KEPT_GROUPS = 16  # of Parquet files, where there is no room for all
_SHARE_OF_MEMORY = 0.25


class Columns(NamedTuple):
    """What of a table is read.

    Attributes:
        image: name of the column.
        label: name of the column of classes; None without.
        class_names: of the classes, where the file says them.
    """

    image: str
    label: str | None
    class_names: tuple[str, ...] | None


class Group(NamedTuple):
    """Rows of a file that are read together."""

    file: pathlib.Path
    number: int
    num_rows: int
    num_bytes: int


class Groups:
    """One column of some groups, each unpacked when it is first asked for.

    Args:
        groups: in order.
        column: its name.
    """

    def __init__(self, groups: Sequence[Group], column: str):
        self.groups = tuple(groups)
        self.column = column
        self.starts = np.cumsum([0, *(group.num_rows for group in groups)])
        in_packed = sum(group.num_bytes for group in groups if _is_packed(group.file))
        self.is_kept = in_packed <= _SHARE_OF_MEMORY * _memory()
        self._held: collections.OrderedDict[int, Any] = collections.OrderedDict()
        self._lock = threading.Lock()

    def __reduce__(self) -> tuple[type, tuple[Sequence[Group], str]]:
        """To another process, which maps and unpacks for itself."""
        return type(self), (self.groups, self.column)

    def locate(self, row: int) -> tuple[int, int]:
        """The number of the group that holds a row, and its place there."""
        number = int(np.searchsorted(self.starts, row, side="right")) - 1
        return number, row - int(self.starts[number])

    def value(self, row: int) -> Any:
        """What a row holds, as a Python object."""
        number, place = self.locate(row)
        with self._lock:
            array = self._held.get(number)
        if array is None:  # two threads may do it twice; waiting would cost as much
            array = _unpacked(self.groups[number], self.column)
        with self._lock:
            self._held[number] = array
            self._held.move_to_end(number)
            while not self.is_kept and len(self._held) > _KEPT_GROUPS:
                self._held.popitem(last=False)
        return array[place].as_py()

    def values(self) -> "pyarrow.ChunkedArray":
        """The whole column."""
        import pyarrow

        columns = [_unpacked(group, self.column) for group in self.groups]
        return pyarrow.chunked_array(
            [chunk for column in columns for chunk in getattr(column, "chunks", [column])]
        )


@dataclasses.dataclass(frozen=True, eq=False)
class TabledImages(folder.ImageFiles):
    """Image files in the rows of tables; ``files`` are called after their rows.

    Attributes:
        groups: the column of images of all tables of the split.
        rows: int64 [N], which rows of these are the split's.
    """

    groups: Groups = dataclasses.field(default_factory=lambda: Groups((), ""), repr=False)
    rows: np.ndarray = dataclasses.field(default_factory=lambda: np.zeros(0, np.int64), repr=False)

    def read(self, row: int) -> bytes:
        """The content of an image file.

        Raises:
            ValueError: the row holds none.
        """
        found = self.groups.value(int(self.rows[row]))
        if isinstance(found, dict):
            content, path = found.get("bytes"), found.get("path")
            found = (self.root / path).read_bytes() if content is None and path else content
        if not isinstance(found, bytes):
            raise ValueError("no image")
        return found

    def fingerprint(self) -> str:
        """sha256 of the names and sizes of the tables, and of the rows."""
        digest = hashlib.sha256()
        for group in self.groups.groups:
            name = os.path.relpath(group.file, self.root)
            digest.update(os.fsencode(name))
            digest.update(f"\0{group.number} {group.num_rows} {group.num_bytes}\n".encode())
        digest.update(np.ascontiguousarray(self.rows, np.int64).tobytes())
        return digest.hexdigest()

    def identities(self) -> Sequence[Hashable]:
        """The tables, by the one path that leads to each without a link, and rows in them."""
        real = functools.cache(os.path.realpath)
        found = []
        for row in self.rows.tolist():
            number, place = self.groups.locate(row)
            group = self.groups.groups[number]
            found.append((real(group.file), group.number, place))
        return found


def is_table(path: str | os.PathLike) -> bool:
    """Whether a file is read here, by its name."""
    return os.fspath(path).lower().endswith((ARROW, PARQUET))


def columns_of(file: pathlib.Path) -> Columns:
    """Which columns of a table are images and classes.

    By what ``datasets`` wrote beside the columns; else by names and types.

    Raises:
        ValueError: no table, or none with images.
    """
    import pyarrow

    schema = _schema(file)
    features = _features(schema)
    images = _image_columns(schema)
    if not images:
        listed = ", ".join(f"{field.name} ({field.type})" for field in schema) or "none"
        raise ValueError(
            f"data: {file} must have a column of image files, as bytes or as a structure of bytes "
            f"and path; got the columns {listed}."
        )
    classes = [name for name in schema.names if _is_kind(features, name, "ClassLabel")]
    simple = [
        field.name
        for field in schema
        if field.name in _LABELS and (pyarrow.types.is_integer(field.type) or _is_text(field.type))
    ]
    label = _first(classes, _LABELS) or _first(simple, _LABELS)
    names = features[label].get("names") if label is not None and label in classes else None
    return Columns(
        _first(images, _IMAGES) or images[0], label, None if names is None else tuple(names)
    )


def has_images(file: pathlib.Path) -> bool:
    """Whether a table has a column of them; see ``columns_of``.

    Raises:
        ValueError: no table.
    """
    return bool(_image_columns(_schema(file)))


def groups_of(file: pathlib.Path) -> list[Group]:
    """The groups of rows of a table, none unpacked."""
    if not _is_packed(file):
        count = _mapped(file, _stamp(file)).num_rows
        return [Group(file, 0, count, file.stat().st_size)] if count else []
    metadata = _parquet(file).metadata
    numbers = range(metadata.num_row_groups)
    sizes = [(each.num_rows, each.total_byte_size) for each in map(metadata.row_group, numbers)]
    return [Group(file, number, *size) for number, size in zip(numbers, sizes) if size[0]]


def labels_of(groups: Iterable[Group], column: str) -> np.ndarray:
    """The classes of rows: int64 [N], -1 where there is none; or strings [N]."""
    import pyarrow

    found = Groups(tuple(groups), column).values()
    if _is_text(found.type):
        return np.array([each or "" for each in found.to_pylist()], np.str_)
    filled = found.fill_null(label_lib.UNKNOWN)
    return filled.cast(pyarrow.int64()).to_numpy()


def _features(schema: "pyarrow.Schema") -> dict[str, Any]:
    """What ``datasets`` wrote of the columns, by their names."""
    told = json.loads((schema.metadata or {}).get(b"huggingface", b"{}"))
    return told.get("info", {}).get("features", {})


def _image_columns(schema: "pyarrow.Schema") -> list[str]:
    """Those that it calls images; where there is none, those that may hold files."""
    features = _features(schema)
    told = [name for name in schema.names if _is_kind(features, name, "Image")]
    return told or [field.name for field in schema if _holds_files(field.type)]


def _is_kind(features: dict[str, Any], name: str, kind: str) -> bool:
    feature = features.get(name)
    return isinstance(feature, dict) and feature.get("_type") == kind


def _first(names: Sequence[str], preferred: Sequence[str]) -> str | None:
    """The most usual of some names, else the first."""
    return next((name for name in preferred if name in names), names[0] if names else None)


def _holds_files(kind: "pyarrow.DataType") -> bool:
    """Whether a column of a type may hold the content of files."""
    import pyarrow

    if pyarrow.types.is_struct(kind):
        return kind.get_field_index("bytes") >= 0
    return pyarrow.types.is_binary(kind) or pyarrow.types.is_large_binary(kind)


def _is_text(kind: "pyarrow.DataType") -> bool:
    import pyarrow

    return pyarrow.types.is_string(kind) or pyarrow.types.is_large_string(kind)


def _is_packed(file: pathlib.Path) -> bool:
    return file.suffix.lower() == PARQUET


def _schema(file: pathlib.Path) -> "pyarrow.Schema":
    return _parquet(file).schema_arrow if _is_packed(file) else _mapped(file, _stamp(file)).schema


def _unpacked(group: Group, column: str) -> "pyarrow.Array | pyarrow.ChunkedArray":
    """One column of a group."""
    if _is_packed(group.file):
        # The others decode beside this thread.
        table = _parquet(group.file).read_row_group(group.number, [column], use_threads=False)
    else:
        table = _mapped(group.file, _stamp(group.file))
    # Of several chunks rows are found as in one, and nothing is copied.
    found = table.column(column)
    return found.chunk(0) if found.num_chunks == 1 else found


def _parquet(file: pathlib.Path) -> "pyarrow.parquet.ParquetFile":
    import pyarrow
    from pyarrow import parquet

    try:
        return parquet.ParquetFile(file)
    except (pyarrow.ArrowException, OSError) as error:
        raise _damaged(file, "Parquet", error) from error


def _stamp(file: pathlib.Path) -> tuple[int, int]:
    """What changes where a file does."""
    status = file.stat()
    return status.st_size, status.st_mtime_ns


@functools.lru_cache(maxsize=4096)
def _mapped(file: pathlib.Path, stamp: tuple[int, int]) -> "pyarrow.Table":
    """An Arrow file of either kind, mapped."""
    import pyarrow

    del stamp  # a changed file is mapped anew
    try:
        mapped = pyarrow.memory_map(os.fspath(file))
        try:
            return pyarrow.ipc.open_stream(mapped).read_all()
        except pyarrow.ArrowInvalid:
            return pyarrow.ipc.open_file(mapped).read_all()
    except (pyarrow.ArrowException, OSError) as error:
        raise _damaged(file, "Arrow", error) from error


def _damaged(file: pathlib.Path, kind: str, error: Exception) -> ValueError:
    first = str(error).partition("\n")[0].rstrip(".")
    return ValueError(f"data: {file} must be a whole {kind} file; got {first}. Fetch it again.")


def _memory() -> float:
    """Bytes of this machine."""
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
