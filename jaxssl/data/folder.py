"""Folders of image files, with or without class subfolders, decoded on demand."""

import dataclasses
import functools
import hashlib
import os
import pathlib

import numpy as np

from jaxssl.data import source as source_lib
from jaxssl.data import transforms

SUFFIXES = (".png", ".jpg", ".jpeg", ".bmp", ".gif", ".webp", ".tif", ".tiff", ".ppm", ".pgm")
SPLITS = ("train", "val", "validation", "test")


@dataclasses.dataclass(frozen=True, eq=False)
class ImageFiles:
    """The image files of one split, undecoded.

    Attributes:
        name: the folder, for messages and reports.
        root: directory that ``files`` are relative to.
        files: paths, sorted.
        labels: int32 [N], or None without class subfolders.
        class_names: the class subfolders, sorted; None without.
    """

    name: str
    root: pathlib.Path
    files: tuple[str, ...] = dataclasses.field(repr=False)
    labels: np.ndarray | None = dataclasses.field(repr=False)
    class_names: tuple[str, ...] | None

    def fit_images(self, *, image_size: int, channels: int) -> "FolderSource":
        """The source that decodes these files to uint8 [S, S, C]."""
        return FolderSource(self, image_size, channels)


@dataclasses.dataclass(frozen=True, eq=False)
class FolderSource:
    """Image files decoded, resized and cropped when they are asked for.

    Attributes:
        listing: the files.
        image_size: S, pixels.
        channels: C, 1 or 3.
    """

    listing: ImageFiles
    image_size: int
    channels: int

    @property
    def name(self) -> str:
        """The folder."""
        return self.listing.name

    @property
    def labelled(self) -> bool:
        """Whether there are class subfolders."""
        return self.listing.labels is not None

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The class subfolders, sorted."""
        return self.listing.class_names

    @property
    def num_classes(self) -> int | None:
        """Their number; None without."""
        return None if self.class_names is None else len(self.class_names)

    @functools.cached_property
    def fingerprint(self) -> str:
        """sha256 of the names and sizes in bytes of all files; asks the disk once per file."""
        digest = hashlib.sha256()
        for file in self.listing.files:
            digest.update(f"{file}\0{(self.listing.root / file).stat().st_size}\n".encode())
        return digest.hexdigest()

    def identities(self) -> list[pathlib.Path]:
        """The files."""
        return [self.listing.root / file for file in self.listing.files]

    def __len__(self) -> int:
        return len(self.listing.files)

    def __getitem__(self, index: int) -> dict[str, np.ndarray | int]:
        path = self.listing.root / self.listing.files[index]
        try:
            image = transforms.decode(
                path.read_bytes(), image_size=self.image_size, channels=self.channels
            )
        except (OSError, ValueError) as error:
            raise ValueError(
                f"open_source: {path} must be a readable image; got {error}. Remove it, or prepare "
                "the folder, which leaves such files out."
            ) from error
        labels = self.listing.labels
        return {"image": image} if labels is None else {"image": image, "label": int(labels[index])}


def splits(folder: pathlib.Path) -> tuple[str, ...]:
    """Splits of a folder: its own, or train and test of a single set."""
    return tuple(_split_folders(folder)) or source_lib.SINGLE_SET_SPLITS[:2]


def list_images(folder: pathlib.Path, split: str) -> ImageFiles:
    """Lists the images of one split, sorted, without opening any.

    Where there is a subfolder train, it and its siblings val, validation and test are splits; else
    the folder is a single set. Inside a split, subfolders are classes (searched at any depth), or
    the images lie in it directly and have no labels.

    Raises:
        ValueError: for an unknown split, no image at all, or images beside class subfolders.
    """
    folders = _split_folders(folder)
    if folders:
        root = folders[source_lib.chosen_split(str(folder), split, tuple(folders))]
        # Every split numbers the classes of all splits alike.
        names = {each for other in folders.values() for each in _subfolders(other)}
    else:
        root, names = folder, set(_subfolders(folder))
    class_names = tuple(sorted(names)) or None
    files, labels = _walk(root, class_names or ())
    if not folders:
        rows = source_lib.single_set_rows(len(files), split, name=str(folder))
        files, labels = [files[row] for row in rows], labels[rows]
    labels = None if class_names is None else labels
    return ImageFiles(str(folder), root, tuple(files), labels, class_names)


def _walk(root: pathlib.Path, class_names: tuple[str, ...]) -> tuple[list[str], np.ndarray]:
    """Image files below ``root``, relative to it and sorted, with their class numbers."""
    loose = sorted(entry.name for entry in os.scandir(root) if _is_image(entry.name))
    if not class_names:
        if not loose:
            raise ValueError(
                f"open_source: {root} must hold images ({' '.join(SUFFIXES)}), IDX files or a "
                "prepared TFDS data set; got none of them."
            )
        return loose, np.zeros(len(loose), np.int32)
    if loose:
        raise ValueError(
            f"open_source: {root} must hold either images or class subfolders; got both, "
            f"{len(loose)} images such as {loose[0]} beside {class_names[0]}/. Move them."
        )
    files, labels = [], []
    for label, class_name in enumerate(class_names):
        found = []
        for directory, _, names in os.walk(root / class_name, followlinks=True):
            inside = os.path.relpath(directory, root)
            found += [os.path.join(inside, name) for name in names if _is_image(name)]
        files += sorted(found)
        labels += [label] * len(found)
    if not files:
        raise ValueError(
            f"open_source: the subfolders of {root} must hold images ({' '.join(SUFFIXES)}); "
            f"got none in {', '.join(class_names[:5])}."
        )
    return files, np.array(labels, np.int32)


def _split_folders(folder: pathlib.Path) -> dict[str, pathlib.Path]:
    """Subfolders that are splits; empty where there is no train."""
    if not (folder / "train").is_dir():
        return {}
    return {split: folder / split for split in SPLITS if (folder / split).is_dir()}


def _subfolders(folder: pathlib.Path) -> list[str]:
    """Names of the visible directories in a folder."""
    return [
        entry.name
        for entry in os.scandir(folder)
        if not entry.name.startswith(".") and entry.is_dir()
    ]


def _is_image(name: str) -> bool:
    """Whether a file name looks like an image's; hidden files do not."""
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")
