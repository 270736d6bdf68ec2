"""IDX files, the format MNIST and its kin come in (http://yann.lecun.com/exdb/mnist/).

A header of two zero bytes, a type code (8 is uint8), the number of dimensions and each dimension as
a big-endian int32, then the values. Files may be gzipped.
"""

import gzip
import math
import pathlib
import struct
import zlib

import numpy as np

from jaxssl import words
from jaxssl.data import arrays
from jaxssl.data import labels as label_lib
from jaxssl.data import source as source_lib

SPLITS = ("train", "test")
PREFIXES = {"train": "train", "test": "t10k"}
UINT8 = 8


def open_idx(
    directory: pathlib.Path, split: str, *, class_names: tuple[str, ...] | None = None
) -> arrays.ArraySource:
    """Reads one split of a directory with train-images-idx3-ubyte[.gz] and its siblings.

    Args:
        directory: holds images and labels of train and t10k (the test split).
        split: "train" or "test".
        class_names: one name per class; None numbers them.

    Raises:
        FileNotFoundError: where a file of the split is missing.
        ValueError: for an unknown split or a damaged file.
    """
    split = source_lib.chosen_split(str(directory), split, splits(directory))
    images = read(_file(directory, split, "images"))
    labels = read(_file(directory, split, "labels"))
    values = None
    if class_names is None:
        # Every split counts the classes of all splits.
        values = label_lib.find_values(
            read(_file(directory, each, "labels")) for each in splits(directory)
        )
    return arrays.from_arrays(
        images,
        labels,
        class_names=class_names,
        class_values=values,
        name=words.printable(str(directory)),
    )


def is_idx(directory: pathlib.Path) -> bool:
    """Whether a directory holds the images of any split as IDX."""
    return bool(splits(directory))


def splits(directory: pathlib.Path) -> tuple[str, ...]:
    """The splits whose images a directory holds."""
    return tuple(split for split in SPLITS if _find(directory, split, "images"))


def read(path: pathlib.Path) -> np.ndarray:
    """The array of one IDX file, gzipped or not; uint8, of the shape in its header.

    Raises:
        ValueError: where the file is damaged or holds another type.
    """
    try:
        content = path.read_bytes()
        if content[:2] == b"\x1f\x8b":
            content = gzip.decompress(content)
    except (EOFError, gzip.BadGzipFile, zlib.error) as error:
        raise ValueError(f"data: {path} must be a whole gzip file ({error}).") from error
    if len(content) < 4 or content[:2] != b"\0\0" or content[2] != UINT8:
        raise ValueError(
            f"data: {path} must be an IDX file of bytes, beginning 00 00 08; "
            f"got {content[:4].hex(' ') or 'nothing'}."
        )
    start = 4 + 4 * content[3]
    if len(content) < start:
        raise ValueError(
            f"data: {path} must have a header of {start} bytes; got {len(content)}. "
            "It is truncated: fetch it again."
        )
    shape = struct.unpack(f">{content[3]}i", content[4:start])
    expected = start + math.prod(shape)
    if not 1 <= len(shape) <= 4 or min(shape) < 0:
        raise ValueError(
            f"data: {path} must have 1 to 4 dimensions, none below 0; got "
            f"{list(shape)}. It is damaged: fetch it again."
        )
    if len(content) != expected:
        raise ValueError(
            f"data: {path} must have {expected} bytes for shape {list(shape)}; "
            f"got {len(content)}. It is truncated or damaged: fetch it again."
        )
    return np.frombuffer(content, np.uint8, offset=start).reshape(shape)


def _file(directory: pathlib.Path, split: str, kind: str) -> pathlib.Path:
    """The file of one split's images or labels, or FileNotFoundError."""
    found = _find(directory, split, kind)
    if found is None:
        raise FileNotFoundError(
            f"data: {directory} must hold {_names(split, kind)[0]}[.gz]; "
            f"got {', '.join(sorted(each.name for each in directory.iterdir()))}."
        )
    return found


def _find(directory: pathlib.Path, split: str, kind: str) -> pathlib.Path | None:
    """The same, or None."""
    names = _names(split, kind)
    candidates = [directory / (name + end) for name in names for end in ("", ".gz")]
    return next((path for path in candidates if path.is_file()), None)


def _names(split: str, kind: str) -> tuple[str, str]:
    """The two spellings in use."""
    stem = f"{PREFIXES[split]}-{kind}"
    code = "idx3-ubyte" if kind == "images" else "idx1-ubyte"
    return f"{stem}-{code}", f"{stem}.{code}"
