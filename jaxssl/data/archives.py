"""NumPy archives (``.npz``) of images."""

import contextlib
import pathlib
import zipfile
from collections.abc import Iterator

import numpy as np

from jaxssl.data import arrays
from jaxssl.data import source as source_lib

SPLITS = ("train", "test", "val")
# Names that NumPy archives use for one split's images and labels, {} being the split.
SPLIT_KEYS = (("{}_images", "{}_labels"), ("x_{}", "y_{}"))
SINGLE_SET_KEYS = ("images", "labels")


def open_npz(path: pathlib.Path, split: str) -> arrays.ArraySource:
    """Reads one split of a NumPy archive.

    Understood are train_images / train_labels, x_train / y_train (and the same with test or val),
    and images / labels as a single set. Labels may be missing; class_names may be there.

    Raises:
        ValueError: where the file is no such archive or has no such split.
    """
    with _load(path) as archive:
        keys = archive.files
        split_keys = _split_keys(keys)
        name = str(path)
        class_names = tuple(map(str, archive["class_names"])) if "class_names" in keys else None
        if not split_keys:
            images_key, labels_key = SINGLE_SET_KEYS
            if images_key not in keys:
                raise ValueError(
                    f"open_source: {path} must hold train_images and train_labels, x_train and "
                    f"y_train, or images and labels; got {', '.join(keys) or 'nothing'}."
                )
            labels = archive[labels_key] if labels_key in keys else None
            images = archive[images_key]
            return arrays.single_set(images, labels, split, name=name, class_names=class_names)
        split = source_lib.chosen_split(name, split, tuple(split_keys))
        labels = {
            each: archive[labels_key]
            for each, (_, labels_key) in split_keys.items()
            if labels_key in keys
        }
        if split in labels and class_names is None:
            class_names = arrays.numbered_classes(list(labels.values()))
        images = archive[split_keys[split][0]]
        return arrays.from_arrays(images, labels.get(split), class_names=class_names, name=name)


def npz_splits(path: pathlib.Path) -> tuple[str, ...]:
    """The splits of an archive, without "all"."""
    with _load(path) as archive:
        return tuple(_split_keys(archive.files)) or source_lib.SINGLE_SET_SPLITS[:2]


@contextlib.contextmanager
def _load(path: pathlib.Path) -> Iterator[np.lib.npyio.NpzFile]:
    """An open archive; whatever NumPy says of a damaged one becomes one ValueError."""
    if not zipfile.is_zipfile(path):
        raise ValueError(
            f"open_source: {path} must be a NumPy .npz archive; got another kind of file, or part "
            "of one. Write it with np.savez."
        )
    with np.load(path, allow_pickle=False) as archive:
        yield archive


def _split_keys(keys: list[str]) -> dict[str, tuple[str, str]]:
    """The splits among an archive's keys, with their keys of images and labels."""
    return {
        split: (images.format(split), labels.format(split))
        for split in SPLITS
        for images, labels in SPLIT_KEYS
        if images.format(split) in keys
    }
