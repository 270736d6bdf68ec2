"""Files of features with the paths of their images: .npz, .parquet, or .npy with a .json beside."""

import io
import json
import os
import zipfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from pathlib import Path
from typing import IO, BinaryIO, NamedTuple

import numpy as np

from jaxssl import files, jsonable, words

ROWS_PER_GROUP = 2**14  # of a parquet file
_TIME = (1980, 1, 1, 0, 0, 0)  # of what lies in an archive: equal features give equal files


class FeatureFile(NamedTuple):
    """What a file holds.

    Attributes:
        features: float32 [N, D].
        paths: N, of images, or names of examples.
        labels: int32 [N]; None without.
        about: what made them.
    """

    features: np.ndarray
    paths: tuple[str, ...]
    labels: np.ndarray | None
    about: dict


class Heading(NamedTuple):
    """What is known of a file before its features are: all of ``FeatureFile`` but these.

    Attributes:
        shape: N and D.
        paths: N.
        labels: int32 [N], or None.
        about: JSON values.
    """

    shape: tuple[int, int]
    paths: Sequence[str]
    labels: np.ndarray | None
    about: Mapping


def check_suffix(path: str | os.PathLike, option: str) -> Path:
    """The path, if its suffix says which kind of file it is.

    Raises:
        ValueError: it does not.
    """
    path = Path(path)
    if path.suffix not in _WRITERS:
        near = words.nearest(path.suffix, _WRITERS)
        raise ValueError(
            f"{option}: must end in {', '.join(_WRITERS)}; got {words.printable(str(path))}.{near}"
        )
    return path


def write(path: Path, heading: Heading, blocks: Iterable[np.ndarray]) -> None:
    """Writes a file, whole or not at all, and never holds more than a block of it.

    Args:
        path: with one of the suffixes; in a directory that exists.
        heading: of the file.
        blocks: float32 [B, D], N rows in all.
    """
    if path.suffix == ".npy":  # first: features without paths are worth nothing
        files.write_whole(_beside(path), json.dumps(_described(heading)) + "\n")
    with files.writing(path) as file:
        _WRITERS[path.suffix](file, heading, blocks)


def read(path: str | os.PathLike) -> FeatureFile:
    """Reads a file that ``write`` has written.

    Raises:
        ValueError: a suffix that says nothing, or another file, or a damaged one.
        OSError: no such file.
    """
    path = check_suffix(path, "FEATURES")
    path.stat()  # where nothing is, that is said
    try:
        found = _READERS[path.suffix](path)
        is_whole = found.features.ndim == 2 and len(found.features) == len(found.paths)
        if not is_whole or not np.isfinite(found.features).all():
            raise ValueError("features that are not finite, or more or fewer than paths")
    except Exception as error:  # three libraries, each with errors of its own for damage
        said = " ".join(str(error).split()) or type(error).__name__
        raise ValueError(
            f"FEATURES: {path} must be a file that jaxssl embed wrote, whole; got {said}. Embed "
            "the images again."
        ) from error
    return found


def _described(heading: Heading) -> dict:
    labels = None if heading.labels is None else heading.labels.tolist()
    return {"about": dict(heading.about), "paths": list(heading.paths), "labels": labels}


def _beside(path: Path) -> Path:
    return path.with_suffix(".json")


def _write_array(
    file: IO[bytes], shape: tuple[int, ...], dtype: np.dtype, parts: Iterable[np.ndarray]
) -> None:
    header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
    np.lib.format.write_array_header_1_0(file, header)
    for part in parts:
        file.write(np.ascontiguousarray(part, dtype).tobytes())


def _write_npy(file: BinaryIO, heading: Heading, blocks: Iterable[np.ndarray]) -> None:
    _write_array(file, heading.shape, np.dtype(np.float32), blocks)


def _write_npz(file: BinaryIO, heading: Heading, blocks: Iterable[np.ndarray]) -> None:
    whole = {"paths": np.array(heading.paths, str), "about": np.array(json.dumps(heading.about))}
    if heading.labels is not None:
        whole["labels"] = heading.labels
    arrays = {"features": (heading.shape, np.dtype(np.float32), blocks)}
    arrays |= {name: (array.shape, array.dtype, [array]) for name, array in whole.items()}
    with zipfile.ZipFile(file, "w") as archive:
        for name, array in arrays.items():
            entry = zipfile.ZipInfo(f"{name}.npy", _TIME)
            with archive.open(entry, "w", force_zip64=True) as member:
                _write_array(member, *array)


def _write_parquet(file: BinaryIO, heading: Heading, blocks: Iterable[np.ndarray]) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    dim = heading.shape[1]
    fields = [("path", pa.string()), ("features", pa.list_(pa.float32(), dim))]
    fields += [] if heading.labels is None else [("label", pa.int32())]
    schema = pa.schema(fields, {"jaxssl": json.dumps(heading.about)})
    done = 0
    with pq.ParquetWriter(file, schema) as writer:
        for block in blocks:
            rows = slice(done, done + len(block))
            flat = pa.array(np.ascontiguousarray(block, np.float32).reshape(-1))
            columns = [pa.array(heading.paths[rows], pa.string())]
            columns.append(pa.FixedSizeListArray.from_arrays(flat, dim))
            if heading.labels is not None:
                columns.append(pa.array(heading.labels[rows], pa.int32()))
            writer.write_table(pa.Table.from_arrays(columns, schema=schema), ROWS_PER_GROUP)
            done += len(block)


def _read_npy(path: Path) -> FeatureFile:
    with path.open("rb") as file:
        features = np.lib.format.read_array(file, allow_pickle=False)
    said = jsonable.parse(_beside(path).read_bytes(), str(_beside(path)))
    labels = said["labels"]
    return FeatureFile(
        features,
        tuple(said["paths"]),
        None if labels is None else np.array(labels, np.int32),
        dict(said["about"]),
    )


def _read_npz(path: Path) -> FeatureFile:
    with np.load(io.BytesIO(path.read_bytes()), allow_pickle=False) as archive:
        return FeatureFile(
            archive["features"],
            tuple(archive["paths"].tolist()),
            archive["labels"] if "labels" in archive else None,
            dict(jsonable.parse(str(archive["about"]), "about")),
        )


def _read_parquet(path: Path) -> FeatureFile:
    import pyarrow.parquet as pq

    table = pq.read_table(path)
    flat = table["features"].combine_chunks()
    return FeatureFile(
        flat.flatten().to_numpy().reshape(len(table), flat.type.list_size),
        tuple(table["path"].to_pylist()),
        table["label"].to_numpy() if "label" in table.column_names else None,
        dict(jsonable.parse(table.schema.metadata[b"jaxssl"], "about")),
    )


_WRITERS: dict[str, Callable[[BinaryIO, Heading, Iterable[np.ndarray]], None]] = {
    ".npz": _write_npz,
    ".parquet": _write_parquet,
    ".npy": _write_npy,
}
_READERS: dict[str, Callable[[Path], FeatureFile]] = {
    ".npz": _read_npz,
    ".parquet": _read_parquet,
    ".npy": _read_npy,
}
