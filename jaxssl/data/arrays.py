"""Data sets in memory: one uint8 array of images, and ``.npz`` files of them."""

import contextlib
import dataclasses
import hashlib
import pathlib
import zipfile
from collections.abc import Iterator

import numpy as np

from jaxssl.data import source as source_lib
from jaxssl.data import transforms

SPLITS = ("train", "test", "val")
# Names that NumPy archives use for one split's images and labels, {} being the split.
SPLIT_KEYS = (("{}_images", "{}_labels"), ("x_{}", "y_{}"))
SINGLE_SET_KEYS = ("images", "labels")


@dataclasses.dataclass(frozen=True, eq=False)
class ArraySource:
    """A split in memory. Make one of your own arrays with ``from_arrays``.

    Attributes:
        name: where the images come from.
        images: uint8 [N, H, W, C].
        labels: int32 [N] in [0, K), or None.
        class_names: K names, or None without labels.
        fingerprint: sha256 of the images and labels as they were before any resizing.
    """

    name: str
    images: np.ndarray = dataclasses.field(repr=False)
    labels: np.ndarray | None = dataclasses.field(repr=False)
    class_names: tuple[str, ...] | None
    fingerprint: str

    @property
    def labelled(self) -> bool:
        """Whether records carry a label."""
        return self.labels is not None

    @property
    def num_classes(self) -> int | None:
        """Number of classes of the whole data set; None without labels."""
        return None if self.class_names is None else len(self.class_names)

    def identities(self) -> list[bytes]:
        """A hash of the content of each image."""
        return [
            hashlib.blake2b(np.ascontiguousarray(image), digest_size=16).digest()
            for image in self.images
        ]

    def subset(self, rows: np.ndarray) -> "ArraySource":
        """The images of some rows, a copy."""
        return ArraySource(
            self.name,
            self.images[rows],
            None if self.labels is None else self.labels[rows],
            self.class_names,
            source_lib.subset_fingerprint(self.fingerprint, rows),
        )

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, index: int) -> dict[str, np.ndarray | int]:
        record = {"image": self.images[index]}
        return record if self.labels is None else record | {"label": int(self.labels[index])}

    def fitted(self, *, image_size: int, channels: int) -> "ArraySource":
        """The same source with images uint8 [N, S, S, C]; its fingerprint stays."""
        images = transforms.fit_array(self.images, image_size=image_size, channels=channels)
        return dataclasses.replace(self, images=images)


def from_arrays(
    images: np.ndarray,
    labels: np.ndarray | None = None,
    *,
    class_names: tuple[str, ...] | None = None,
    name: str = "arrays",
) -> ArraySource:
    """A source of your own arrays.

    Args:
        images: uint8 [N, H, W, C] with C 1 or 3, or [N, H, W] for grey; N at least 1.
        labels: integers [N] or [N, 1], at least 0; or None.
        class_names: one name per class; None makes "0", "1", … up to the largest label.
        name: for messages and reports.

    Returns:
        The source, its images as given.

    Raises:
        ValueError: for other shapes, dtypes or lengths, with the conversion that is missing.
    """
    images = _checked_images(name, np.asarray(images))
    digest = hashlib.sha256(str(images.shape).encode())
    digest.update(np.ascontiguousarray(images))
    if labels is None:
        return ArraySource(name, images, None, None, digest.hexdigest())
    labels = _checked_labels(name, np.asarray(labels), len(images))
    digest.update(labels)
    num_classes = int(labels.max()) + 1
    class_names = class_names or tuple(str(label) for label in range(num_classes))
    if num_classes > len(class_names):
        raise ValueError(
            f"from_arrays: labels of {name} must be below the number of class names, "
            f"{len(class_names)}; got {num_classes - 1}."
        )
    return ArraySource(name, images, labels, class_names, digest.hexdigest())


def renamed(source: ArraySource, name: str) -> ArraySource:
    """The same source under another name."""
    return dataclasses.replace(source, name=name)


def single_set(
    images: np.ndarray,
    labels: np.ndarray | None,
    split: str,
    *,
    name: str,
    class_names: tuple[str, ...] | None = None,
) -> ArraySource:
    """One split of a set that brings no splits; see ``source.single_set_rows``."""
    whole = from_arrays(images, labels, class_names=class_names, name=name)
    rows = source_lib.single_set_rows(len(whole), split, name=name)
    return from_arrays(
        whole.images[rows],
        None if whole.labels is None else whole.labels[rows],
        class_names=whole.class_names,
        name=name,
    )


def open_npz(path: pathlib.Path, split: str) -> ArraySource:
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
            return single_set(images, labels, split, name=name, class_names=class_names)
        split = source_lib.chosen_split(name, split, tuple(split_keys))
        labels = {
            each: archive[labels_key]
            for each, (_, labels_key) in split_keys.items()
            if labels_key in keys
        }
        if split in labels and class_names is None:
            class_names = numbered_classes(list(labels.values()))
        images = archive[split_keys[split][0]]
        return from_arrays(images, labels.get(split), class_names=class_names, name=name)


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


def numbered_classes(labels: list[np.ndarray]) -> tuple[str, ...]:
    """Names "0", "1", … up to the largest label of any split, so that all splits agree."""
    largest = max(int(each.max()) for each in labels if each.size)
    return tuple(str(label) for label in range(largest + 1))


def _split_keys(keys: list[str]) -> dict[str, tuple[str, str]]:
    """The splits among an archive's keys, with their keys of images and labels."""
    return {
        split: (images.format(split), labels.format(split))
        for split in SPLITS
        for images, labels in SPLIT_KEYS
        if images.format(split) in keys
    }


def _checked_images(name: str, images: np.ndarray) -> np.ndarray:
    """Images as uint8 [N, H, W, C], or ValueError."""
    if images.dtype != np.uint8:
        fix = "Convert them with astype(np.uint8)."
        if np.issubdtype(images.dtype, np.floating) and images.size:
            low, high = float(images.min()), float(images.max())
            fix = f"They lie in [{low:g}, {high:g}]: " + (
                "convert them with (255 * images).round().astype(np.uint8)."
                if 0 <= low and high <= 1
                else "rescale them to [0, 255] and convert them with round().astype(np.uint8)."
            )
        raise ValueError(
            f"from_arrays: images of {name} must be uint8; got {images.dtype.name}. {fix}"
        )
    if images.ndim == 3:
        images = images[..., None]
    if images.ndim != 4 or images.shape[-1] not in (1, 3) or 0 in images.shape:
        fix = ""
        if images.ndim == 4 and images.shape[1] in (1, 3):
            fix = " Channels come last: images.transpose(0, 2, 3, 1)."
        elif images.ndim == 4 and images.shape[-1] == 4:
            fix = " Drop the alpha channel: images[..., :3]."
        raise ValueError(
            f"from_arrays: images of {name} must be [N, H, W], [N, H, W, 1] or [N, H, W, 3] and "
            f"not empty; got {list(images.shape)}.{fix}"
        )
    return images


def _checked_labels(name: str, labels: np.ndarray, num_images: int) -> np.ndarray:
    """Labels as int32 [N], or ValueError."""
    if labels.ndim == 2 and labels.shape[1] == 1:  # as CIFAR and MedMNIST archives have them
        labels = labels[:, 0]
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        fix = " Take labels.argmax(-1) of one-hot labels." if labels.ndim == 2 else ""
        raise ValueError(
            f"from_arrays: labels of {name} must be integers [N]; got {labels.dtype.name} "
            f"{list(labels.shape)}.{fix}"
        )
    if len(labels) != num_images:
        raise ValueError(
            f"from_arrays: {name} must have one label per image; got {num_images} images and "
            f"{len(labels)} labels."
        )
    if labels.min() < 0:
        raise ValueError(
            f"from_arrays: labels of {name} must be at least 0; got {labels.min()}. "
            "Leave the labels out where there are none."
        )
    return np.ascontiguousarray(labels, np.int32)
