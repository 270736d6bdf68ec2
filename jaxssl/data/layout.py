"""What the subfolders of a folder of images are: splits, or classes."""

import os
import pathlib
from collections.abc import Iterator
from typing import NamedTuple

from jaxssl.data import tree

SUFFIXES = (
    ".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".avif", ".jp2", ".j2k", ".bmp", ".gif",
    ".tif", ".tiff", ".ppm", ".pgm", ".pbm", ".pnm", ".npy",
)  # fmt: skip
SPLIT_NAMES = {  # what folders of a split are called, in small letters
    "train": ("train", "training"),
    "val": ("val", "valid", "validation", "dev"),
    "test": ("test", "testing"),
}


class Layout(NamedTuple):
    """How a folder of images is divided.

    Attributes:
        folder: the folder.
        splits: folders by the split's name, "val" being "validation" where its folder is called
            that; empty where the folder is a single set.
        classes: names of the classes, sorted, those of all splits.
        notes: what a user must know of how it was read.
    """

    folder: pathlib.Path
    splits: dict[str, pathlib.Path]
    classes: tuple[str, ...]
    notes: tuple[str, ...] = ()

    def meant(self, split: str) -> str:
        """The split that a folder's own name means; any other name as it is."""
        return next((each for each, path in self.splits.items() if path.name == split), split)


def find(folder: pathlib.Path) -> Layout:
    """The splits of a folder, where all its subfolders with images have names of splits.

    Else these are classes. Names count in any case. One such name among others, of a folder with
    images and no folders inside, is a class like the others.

    Raises:
        ValueError: two folders of one split; a folder that is a split by its name beside one that
            is none; a broken link of a split's name.
    """
    entries = tree.read_directory(folder)
    for reason, name in entries.left_out:
        if reason == tree.BROKEN and split_of(name):
            raise ValueError(
                f"data: {folder / name} must lead to the images of a split; got a broken "
                "link. Mount what it points to, or remove it."
            )
    meant = {name: split_of(name) or "" for name in _with_images(folder, entries)}
    splits = [name for name in meant if meant[name]]
    others = [name for name in meant if not meant[name]]
    if not splits:
        return Layout(folder, {}, tuple(meant))
    if others:
        if len(splits) > 1 or _classes(folder / splits[0]):
            raise ValueError(
                f"data: the subfolders of {folder} must all be splits or all be classes; "
                f"got {_some(splits)} beside {_some(others)}. If the first are the splits, move "
                "the others out; if all are classes, rename the first."
            )
        note = f"{splits[0]} is read as a class like {_some(others)}, not as a split"
        return Layout(folder, {}, tuple(meant), (note,))
    folders: dict[str, pathlib.Path] = {}
    for name in sorted(splits, key=lambda each: tuple(SPLIT_NAMES).index(meant[each])):
        split = "validation" if name.lower() == "validation" else meant[name]
        if meant[name] in {split_of(each.name) for each in folders.values()}:
            both = [each for each in splits if meant[each] == meant[name]]
            raise ValueError(
                f"data: {folder} must hold one folder of each split; got {_some(both)}, "
                f"which both mean {split}. Move one of them out."
            )
        folders[split] = folder / name
    notes: tuple[str, ...] = ()
    if loose := [name for name in entries.files if is_image(name)]:
        stray = tree.counted(loose, "image", "images")
        notes = (f"left out beside the splits of {folder}: {stray}",)
    classes = {name for each in folders.values() for name in _classes(each)}
    return Layout(folder, folders, tuple(sorted(classes)), notes)


def is_image(name: str) -> bool:
    """Whether a file name looks like an image's; hidden files do not."""
    return name.lower().endswith(SUFFIXES) and not name.startswith(".")


def _classes(root: pathlib.Path) -> list[str]:
    """The class folders of a split."""
    return _with_images(root, tree.read_directory(root))


def _with_images(root: pathlib.Path, entries: tree.Entries) -> list[str]:
    """Names of the subfolders that hold an image at any depth, sorted.

    A link to one of them, to ``root`` or to a folder that holds it is none.
    """
    found = [name for name in entries.folders if holds_image(root / name)]
    seen = tree.ancestors(root) | {tree.identify(root / name) for name in entries.folders}
    for name in entries.links:
        identity = tree.identify(root / name)
        if identity not in seen and holds_image(root / name):
            found.append(name)
        seen.add(identity)
    return sorted(found)


def holds_image(directory: pathlib.Path) -> bool:
    """Whether there is an image at any depth."""
    try:
        with os.scandir(directory) as entries:  # of most folders the first file says it
            if any(is_image(entry.name) and _is_file(entry) for entry in entries):
                return True
        return any(True for _ in images_below(directory))
    except OSError:  # it cannot be opened, which the walk of the whole will say
        return False


def images_below(root: pathlib.Path) -> Iterator[str]:
    """Every image at any depth, whatever its folders mean: paths relative to the root."""
    for inside, names in tree.Walk(root):
        yield from (os.path.join(inside, name) for name in names if is_image(name))


def _is_file(entry: os.DirEntry) -> bool:
    try:
        return entry.is_file()
    except OSError:
        return False


def split_of(name: str) -> str | None:
    """The split that a folder's name stands for."""
    return next((split for split, names in SPLIT_NAMES.items() if name.lower() in names), None)


def _some(names: list[str]) -> str:
    """The first few of some folders."""
    shown = ", ".join(f"{name}/" for name in names[:3])
    return shown if len(names) <= 3 else f"{shown} and {len(names) - 3:,} more"
