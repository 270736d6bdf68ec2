"""Folders of image files, with or without class subfolders, decoded on demand."""

import collections
import dataclasses
import functools
import hashlib
import os
import pathlib
from collections.abc import Callable, Collection, Hashable, Sequence
from typing import NamedTuple

import numpy as np

from jaxssl import cropping, words
from jaxssl.data import bands, crops, deep, foreign, layout, transforms, tree, valuerange
from jaxssl.data import source as source_lib


@dataclasses.dataclass(frozen=True, eq=False)
class ImageFiles:
    """The image files of one split, undecoded.

    Attributes:
        name: the folder, for messages and reports.
        root: directory that ``files`` are relative to.
        files: paths, sorted.
        labels: int32 [N], or None without class subfolders.
        class_names: the class subfolders, sorted; None without.
        account: what is to be said of how they were found.
    """

    name: str
    root: pathlib.Path
    files: tuple[str, ...] = dataclasses.field(repr=False)
    labels: np.ndarray | None = dataclasses.field(repr=False)
    class_names: tuple[str, ...] | None
    account: source_lib.Account = source_lib.Account()

    def read(self, row: int) -> bytes:
        """The content of a file."""
        return (self.root / self.files[row]).read_bytes()

    def size(self, row: int) -> int:
        """Its bytes, without reading it."""
        return (self.root / self.files[row]).stat().st_size

    def describe(self, row: int) -> str:
        """Where an image is, for messages."""
        return str(self.root / self.files[row])

    def fingerprint(self) -> str:
        """sha256 of the names and sizes in bytes of all files; asks the disk once per file."""
        digest = hashlib.sha256()
        for row, file in enumerate(self.files):
            digest.update(os.fsencode(file))
            digest.update(f"\0{self.size(row)}\n".encode())
        return digest.hexdigest()

    def identities(self) -> Sequence[Hashable]:
        """The files, by the one path that leads to each without a link."""
        real_directory = functools.cache(os.path.realpath)
        found = []
        for file in self.files:
            directory, name = os.path.split(self.root / file)
            path = os.path.join(real_directory(directory), name)
            found.append(os.path.realpath(path) if os.path.islink(path) else path)
        return found

    def find_value_range(self, channels: int = 3) -> valuerange.ValueRange | None:
        """What of the images is black and white; None where they have 8 bits a channel."""
        is_arrays = bool(self.files) and self.files[0].lower().endswith(bands.SUFFIX)
        measure = bands if is_arrays or channels not in bands.COLOURS else deep
        return measure.value_range_of(len(self.files), self.read)

    def fit_images(
        self, *, image_size: int, channels: int, value_range: valuerange.ValueRange | None = None
    ) -> "FolderSource":
        """The source that decodes these files to uint8 [S, S, C]; see ``transforms.decode``."""
        return FolderSource(self, image_size, channels, value_range)


@dataclasses.dataclass(frozen=True, eq=False)
class FolderSource:
    """Image files decoded, resized and cropped when they are asked for.

    Attributes:
        listing: the files.
        image_size: S, pixels.
        channels: C, 1 or 3.
        value_range: what becomes 0 and 255, of images of more than 8 bits a channel.
    """

    listing: ImageFiles
    image_size: int
    channels: int
    value_range: valuerange.ValueRange | None = None

    @property
    def name(self) -> str:
        """The folder."""
        return self.listing.name

    @property
    def labelled(self) -> bool:
        """Whether there are class subfolders."""
        return self.labels is not None

    @property
    def labels(self) -> np.ndarray | None:
        """int32 [N]; None without class subfolders."""
        return self.listing.labels

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """The class subfolders, sorted."""
        return self.listing.class_names

    @property
    def num_classes(self) -> int | None:
        """Their number; None without."""
        return None if self.class_names is None else len(self.class_names)

    @property
    def account(self) -> source_lib.Account:
        """What is to be said of how the files were found."""
        return self.listing.account

    @functools.cached_property
    def fingerprint(self) -> str:
        """That of the files."""
        return self.listing.fingerprint()

    def identities(self) -> Sequence[Hashable]:
        """Where the files are."""
        return self.listing.identities()

    def __len__(self) -> int:
        return len(self.listing.files)

    def __getitem__(self, index: int) -> source_lib.Record:
        return self._record(index, functools.partial(transforms.decode, image_size=self.image_size))

    def cropped(self, index: int, cut: crops.Cut) -> source_lib.Record:
        """The record of a row with crops of the whole image in its place."""
        return self._record(index, cut.decode)

    def _record(
        self, index: int, decode: Callable[..., np.ndarray | cropping.Crops]
    ) -> source_lib.Record:
        try:
            image = decode(
                self.listing.read(index), channels=self.channels, value_range=self.value_range
            )
        except (OSError, ValueError) as error:
            raise source_lib.UnreadableError(self.listing.describe(index), error) from error
        labels = self.listing.labels
        return {"image": image} if labels is None else {"image": image, "label": int(labels[index])}


def splits(found: layout.Layout) -> tuple[str, ...]:
    """Splits of a folder: its own, or train and test of a single set."""
    return tuple(found.splits) or source_lib.SINGLE_SET_SPLITS[:2]


def list_images(found: layout.Layout, split: str, *, beside: Collection[str] = ()) -> ImageFiles:
    """Lists the images of one split, sorted, without opening any.

    Inside a split, subfolders with images are classes, and images that lie in it directly have no
    class: where there are any, the split has all its images and no labels, which only evaluation
    needs.

    Args:
        found: the folder, which has splits or is a single set.
        split: one of ``splits``, or the name of its folder; "all" of a single set.
        beside: suffixes of files that somebody else reads, in small letters.

    Raises:
        ValueError: for an unknown split, or no image at all.
    """
    folder, root, class_names = found.folder, found.folder, found.classes
    if found.splits:
        chosen = source_lib.chosen_split(str(folder), found.meant(split), tuple(found.splits))
        root = found.splits[chosen]
    contents = _read(root, beside)
    by_class, loose = contents.by_class, contents.loose
    files = [*loose, *(file for name in by_class for file in by_class[name])]
    if not files:
        fix = f" {foreign.advice(contents.other_kind)}" if contents.other_kind else ""
        raise ValueError(
            f"data: {root} must hold images ({' '.join(layout.SUFFIXES)}), IDX files or a "
            f"prepared TFDS data set; got {'; '.join(contents.left_out) or 'nothing'}.{fix}"
        )
    labels, unlabelled = None, ""
    if loose:
        stray = tree.counted(loose, "image", "images")
        unlabelled = f"no class folder holds {stray}" if class_names else "it has no class folders"
    else:
        numbers = [class_names.index(name) for name in by_class]
        labels = np.repeat(np.array(numbers, np.int32), list(map(len, by_class.values())))
    divided = ""
    if not found.splits:
        rows = source_lib.single_set_rows(len(files), split, name=str(folder))
        divided = source_lib.divided(len(files), split)
        files = [files[row] for row in rows]
        labels = None if labels is None else labels[rows]
    return ImageFiles(
        name=words.printable(str(folder)),
        root=root,
        files=tuple(files),
        labels=labels,
        class_names=None if labels is None else tuple(map(words.printable, class_names)),
        account=source_lib.Account(
            divided, unlabelled, (*found.notes, *_notes(root, contents, class_names))
        ),
    )


def list_every(root: pathlib.Path) -> list[pathlib.Path]:
    """Every image below a folder, whatever its folders mean, sorted, without opening any.

    Raises:
        ValueError: no image at all.
    """
    found = sorted(layout.images_below(root))
    if not found:
        raise ValueError(
            f"list_every: {root} must hold images ({' '.join(layout.SUFFIXES)}); got none."
        )
    return [root / file for file in found]


def from_files(
    paths: Sequence[str | os.PathLike],
    *,
    image_size: int,
    channels: int,
    value_range: valuerange.ValueRange | None = None,
) -> FolderSource:
    """A source of image files, wherever they are, without labels.

    Args:
        paths: at least one; a file that cannot be read raises when it is asked for.
        image_size: S, pixels.
        channels: C, 1 or 3.
        value_range: what becomes 0 and 255, of images of more than 8 bits a channel.

    Raises:
        ValueError: no path.
    """
    if not paths:
        raise ValueError("from_files: paths must be of one image at least; got none.")
    files = tuple(os.fspath(path) for path in paths)
    listing = ImageFiles("files", pathlib.Path(), files, labels=None, class_names=None)
    return listing.fit_images(image_size=image_size, channels=channels, value_range=value_range)


class _Contents(NamedTuple):
    """What lies below the folder of a split.

    Attributes:
        by_class: by the name of a subfolder, the images at any depth in it; all sorted.
        loose: images directly in the folder, sorted.
        left_out: all else, in words.
        other_kind: the suffix of most other files; nothing where there are none.
    """

    by_class: dict[str, list[str]]
    loose: list[str]
    left_out: list[str]
    other_kind: str


def _read(root: pathlib.Path, beside: Collection[str]) -> _Contents:
    """Walks through a folder; paths are relative to it."""
    walk = tree.Walk(root)
    images: dict[str, list[str]] = collections.defaultdict(list)  # "" holds the loose ones
    others: collections.Counter[str] = collections.Counter()
    for inside, names in walk:
        of_folder = images[inside.split(os.sep)[0]]
        for name in names:
            suffix = os.path.splitext(name)[1].lower()
            if layout.is_image(name):
                of_folder.append(os.path.join(inside, name))
            elif suffix not in beside:
                others[suffix or "without a suffix"] += 1
    left_out = walk.notes()
    loose = sorted(images.pop("", []))
    if empty := sorted(name for name, files in images.items() if not files):
        left_out.append(tree.counted(empty, "folder without images", "folders without images"))
    kinds = [kind for kind, _ in others.most_common(3)]
    if others:
        shown = [f"{others[kind]:,} {kind}" for kind in kinds] + ["…"] * (len(others) > 3)
        files = "1 other file" if others.total() == 1 else f"{others.total():,} other files"
        left_out.append(f"{files} ({', '.join(shown)})")
    by_class = {name: sorted(images[name]) for name in sorted(images) if images[name]}
    return _Contents(by_class, loose, left_out, next(iter(kinds), ""))


def _notes(root: pathlib.Path, contents: _Contents, class_names: tuple[str, ...]) -> list[str]:
    """What a user must know of how a split was read."""
    notes = []
    if contents.left_out:
        notes.append(f"left out of {root}: {'; '.join(contents.left_out)}")
    if len(class_names) == 1 and not contents.loose:
        notes.append(
            f"all images of {root} are of one class, {class_names[0]}; if that folder is the data "
            f"set, give {root / class_names[0]}"
        )
    return notes
