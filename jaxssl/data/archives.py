"""NumPy archives (``.npz``) of images."""

import contextlib
import pathlib
import zipfile
from collections.abc import Iterator

import numpy as np

from jaxssl import words
from jaxssl.data import arrays
from jaxssl.data import labels as label_lib
from jaxssl.data import source as source_lib

SPLITS = ("train", "test", "val")
# Names that NumPy archives use for one split's images and labels, {} being the split.
SPLIT_KEYS = (("{}_images", "{}_labels"), ("x_{}", "y_{}"))
SINGLE_SET_KEYS = ("images", "labels")


def open_npz(path: pathlib.Path, split: str) -> arrays.ArraySource:
    """Reads one split of a NumPy archive.

    Understood are train_images / train_labels, x_train / y_train (and the same with test or val),
    and images / labels as a single set. Labels may be missing; class_names may be there. Images are
    numbers of any kind, which ``fit_images`` brings to uint8.

    Raises:
        ValueError: where the file is no such archive or has no such split.
    """
    with _load(path) as archive:
        keys = archive.files
        split_keys = _split_keys(keys)
        name = words.printable(str(path))
        class_names = _class_names(archive, path) if "class_names" in keys else None
        if not split_keys:
            images_key, labels_key = SINGLE_SET_KEYS
            if images_key not in keys:
                raise ValueError(
                    f"data: {path} must hold train_images and train_labels, x_train and "
                    f"y_train, or images and labels; got {', '.join(map(repr, keys)) or 'nothing'}."
                )
            labels = _read(archive, labels_key, path) if labels_key in keys else None
            images = _read(archive, images_key, path)
            return arrays.single_set(
                images, labels, split, name=name, class_names=class_names, any_depth=True
            )
        split = source_lib.chosen_split(name, split, tuple(split_keys))
        labels_of = {
            each: _read(archive, labels_key, path)
            for each, (_, labels_key) in split_keys.items()
            if labels_key in keys
        }
        # Every split counts the classes of all splits.
        values = label_lib.find_values(labels_of.values())
        images = _read(archive, split_keys[split][0], path)
        return arrays.from_arrays(
            images,
            labels_of.get(split),
            class_names=class_names,
            class_values=values,
            name=name,
            any_depth=True,
        )


def npz_splits(path: pathlib.Path) -> tuple[str, ...]:
    """The splits of an archive, without "all"."""
    with _load(path) as archive:
        return tuple(_split_keys(archive.files)) or source_lib.SINGLE_SET_SPLITS[:2]


@contextlib.contextmanager
def _load(path: pathlib.Path) -> Iterator[np.lib.npyio.NpzFile]:
    """An open archive; whatever NumPy says of a damaged one becomes one ValueError."""
    if not zipfile.is_zipfile(path):
        raise ValueError(
            f"data: {path} must be a NumPy .npz archive; got another kind of file, or part "
            "of one. Write it with np.savez."
        )
    with contextlib.ExitStack() as closing:
        file = closing.enter_context(path.open("rb"))  # which NumPy would leave open where it fails
        try:
            archive = closing.enter_context(np.load(file, allow_pickle=False))
        except Exception as error:  # the directory of a damaged zip raises nearly anything
            raise _damaged(path, "its table of contents", error) from error
        yield archive


def _read(archive: np.lib.npyio.NpzFile, key: str, path: pathlib.Path) -> np.ndarray:
    """One array of an archive, or ValueError."""
    try:
        found = archive[key]
    except Exception as error:  # MemoryError too: of a damaged shape
        if "allow_pickle" in str(error):
            raise ValueError(
                f"data: {path} must hold arrays of numbers; got pickled Python objects in "
                f"{key}, which could run any code. Make one array of them, by np.stack of images "
                "of one size or np.array(names, str), and write it again with np.savez."
            ) from error
        raise _damaged(path, key, error) from error
    if not isinstance(found, np.ndarray):  # bytes of a member that does not begin as arrays do
        raise _damaged(path, key, "another kind of file")
    return found


def _class_names(archive: np.lib.npyio.NpzFile, path: pathlib.Path) -> tuple[str, ...]:
    """The names of the classes, or ValueError."""
    found = _read(archive, "class_names", path)
    try:
        return tuple(map(str, found.reshape(-1)))
    except Exception as error:  # letters that do not exist
        raise _damaged(path, "class_names", error) from error


def _damaged(path: pathlib.Path, key: str, error: Exception | str) -> ValueError:
    reason = error if isinstance(error, str) else f"{type(error).__name__}: {error}"
    return ValueError(
        f"data: {path} must be a whole NumPy .npz archive; got damage in {key} ({reason}). "
        "Fetch it again, or write it again with np.savez."
    )


def _split_keys(keys: list[str]) -> dict[str, tuple[str, str]]:
    """The splits among an archive's keys, with their keys of images and labels."""
    return {
        split: (images.format(split), labels.format(split))
        for split in SPLITS
        for images, labels in SPLIT_KEYS
        if images.format(split) in keys
    }
