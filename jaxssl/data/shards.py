"""Data sets of few files with many images each: WebDataset's archives, Parquet and Arrow tables.

Which split a file belongs to its path says: ``train/0001.tar``, ``imagenet-train-000000.tar``,
``data/train-00000-of-00002.parquet``.
"""

import itertools
import os
import pathlib
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxssl import words
from jaxssl.data import folder, layout, tables, tarred, tree
from jaxssl.data import labels as label_lib
from jaxssl.data import source as source_lib

SUFFIXES = (tarred.SUFFIX, tables.PARQUET, tables.ARROW)


class Shards(NamedTuple):
    """The files of a data set.

    Attributes:
        place: what was named: the one file, or the folder.
        files: by split; all as "" where paths name no splits.
        notes: what a user must know.
    """

    place: pathlib.Path
    files: Mapping[str, Sequence[pathlib.Path]]
    notes: tuple[str, ...] = ()

    @property
    def splits(self) -> tuple[str, ...]:
        """Those that paths name, or train and test of a single set."""
        return source_lib.SINGLE_SET_SPLITS[:2] if "" in self.files else tuple(self.files)

    @property
    def root(self) -> pathlib.Path:
        """The folder that all lie in."""
        return self.place if self.place.is_dir() else self.place.parent


def is_shard(path: str | os.PathLike) -> bool:
    """Whether a file is one of them, by its name."""
    return os.fspath(path).lower().endswith(SUFFIXES)


def find(place: pathlib.Path) -> Shards | None:
    """The shards at a path; None where there are none, or where images beside them are the data.

    Images are the data, and shards among them are not, unless tables near the top have a column of
    images, as where an example or a drawing lies beside them, or archives there outnumber images.

    Raises:
        ValueError: shards of several kinds, or some of a split and some of none.
    """
    if place.is_file():
        return Shards(place, {"": [place]}) if is_shard(place) else None
    notes: tuple[str, ...] = ()
    if layout.holds_image(place):
        if not _outweigh_images(place):
            return None
        stray = tree.counted(list(layout.images_below(place)), "image", "images")
        notes = (f"left out beside the shards of {place}: {stray}",)
    found = [
        os.path.join(inside, name)
        for inside, names in tree.Walk(place)
        for name in names
        if is_shard(name)
    ]
    if not found:
        return None
    kinds = {os.path.splitext(file)[1].lower() for file in found}
    if len(kinds) > 1:
        raise ValueError(
            f"data: {place} must hold shards of one kind; got {' and '.join(sorted(kinds))}. Name "
            "the folder of one."
        )
    by_split: dict[str, list[pathlib.Path]] = {}
    for file in sorted(found):
        by_split.setdefault(_split_of(file), []).append(place / file)
    if "" in by_split and len(by_split) > 1:
        stray = os.path.relpath(by_split.pop("")[0], place)
        raise ValueError(
            f"data: the shards of {place} must all name their splits, or none; got {stray} beside "
            f"those of {', '.join(by_split)}. Move it out, or give the folder of one split."
        )
    known = [name for name in layout.SPLIT_NAMES if name in by_split]
    return Shards(place, {name: by_split[name] for name in known or [""]}, notes)


def open_split(found: Shards, split: str) -> folder.ImageFiles:
    """The images of one split, undecoded.

    Labels are there where every example of every split has one: integers, whose number may have a
    name in the file, or strings.

    Raises:
        ValueError: a damaged file, no image, or no such split.
    """
    name = words.printable(str(found.place))
    chosen = source_lib.chosen_split(name, split, (*found.splits, "all"))
    own = [*found.files.get(chosen, ())]
    if not own:  # "all", or part of a single set
        own = [file for files in found.files.values() for file in files]
    opened = _of_tables if tables.is_table(own[0]) else _of_archives
    listing, others = opened(found, own)
    if not listing.files:
        raise ValueError(f"data: {found.place} must hold images; got none in {len(own)} files.")
    labels, class_names, unlabelled = _numbered(listing, others)
    rows = np.arange(len(listing.files))
    divided = ""
    if "" in found.files:
        rows = source_lib.single_set_rows(len(rows), chosen, name=name)
        divided = source_lib.divided(len(listing.files), chosen)
    account = source_lib.Account(divided, unlabelled, (*found.notes, *listing.notes))
    return listing.made(name, found.root, rows, labels, class_names, account)


def _outweigh_images(place: pathlib.Path) -> bool:
    """Whether the shards at the top, or in folders of data or splits there, are the data set."""
    inside = (name for name in tree.read_directory(place).folders if _may_hold_shards(name))
    near = [place, *(place / name for name in inside)]
    found = [
        each / name for each in near for name in tree.read_directory(each).files if is_shard(name)
    ]
    if any(tables.has_images(file) for file in found if tables.is_table(file)):
        return True
    num_archives = sum(not tables.is_table(file) for file in found)
    images = itertools.islice(layout.images_below(place), num_archives)
    return sum(1 for _ in images) < num_archives


def _may_hold_shards(name: str) -> bool:
    return name.lower() == "data" or layout.split_of(name) is not None


class _Listing(NamedTuple):
    """All images of some files.

    Attributes:
        files: what each is called.
        labels: integers or strings [N]; None where one has none.
        class_names: of integers, where the files say them.
        spans: where each lies in an archive; None of tables.
        groups: the column of images; None of archives.
        notes: what a user must know.
    """

    files: Sequence[str]
    labels: np.ndarray | None
    class_names: tuple[str, ...] | None
    spans: Sequence[tarred.Span] | None = None
    groups: tables.Groups | None = None
    notes: tuple[str, ...] = ()

    def made(
        self,
        name: str,
        root: pathlib.Path,
        rows: np.ndarray,
        labels: np.ndarray | None,
        class_names: tuple[str, ...] | None,
        account: source_lib.Account,
    ) -> folder.ImageFiles:
        """Some rows of it as the images of a split."""
        fields: dict[str, Any] = {
            "name": name,
            "root": root,
            "files": tuple(self.files[row] for row in rows.tolist()),
            "labels": None if labels is None else labels[rows],
            "class_names": class_names,
            "account": account,
        }
        if self.spans is not None:
            spans = tuple(self.spans[row] for row in rows.tolist())
            return tarred.TarredImages(**fields, spans=spans)
        assert self.groups is not None  # one of the two
        return tables.TabledImages(**fields, groups=self.groups, rows=rows)


def _of_archives(
    found: Shards, own: Sequence[pathlib.Path]
) -> tuple[_Listing, list[np.ndarray | None]]:
    """The images of archives, and the labels of all archives of the data set."""
    read = {file: tarred.labelled(file) for files in found.files.values() for file in files}
    examples = [each for file in own for each in read[file]]
    listing = _Listing(
        [each.file for each in examples],
        _column([each.label for each in examples]),
        None,
        spans=[each.image for each in examples],
    )
    return listing, [_column([each.label for each in of_file]) for of_file in read.values()]


def _column(labels: Sequence[str | None]) -> np.ndarray | None:
    """Labels as integers where all are such, else as strings; None where one is missing."""
    if any(each is None for each in labels):
        return None
    if all(re.fullmatch(r"-?\d+", each or "") for each in labels):
        return np.array(labels, np.str_).astype(np.int64)
    return np.array(labels, np.str_)


def _of_tables(
    found: Shards, own: Sequence[pathlib.Path]
) -> tuple[_Listing, list[np.ndarray | None]]:
    """The images of tables, and the labels of all tables of the data set."""
    columns = tables.columns_of(own[0])
    read = {file: tables.groups_of(file) for files in found.files.values() for file in files}
    for file in read:
        if (other := tables.columns_of(file)) != columns:
            raise ValueError(
                f"data: the tables of {found.place} must have the same columns; got {other.image} "
                f"and {other.label} in {file}, {columns.image} and {columns.label} in {own[0]}."
            )
    groups = [group for file in own for group in read[file]]
    names = [
        f"{os.path.relpath(file, found.root)}[{row}]"
        for file in own
        for row in range(sum(group.num_rows for group in read[file]))
    ]
    images = tables.Groups(groups, columns.image)
    notes: tuple[str, ...] = ()
    if not images.is_kept:
        notes = (
            f"the tables of {found.place} do not fit into memory, and for one image the group of "
            "rows that holds it is unpacked; jaxssl prepare makes of them what is read faster",
        )
    labels: list[np.ndarray | None] = []
    ours = None
    if columns.label is not None:
        labels = [tables.labels_of(each, columns.label) for each in read.values() if each]
        ours = tables.labels_of(groups, columns.label) if groups else None
    return _Listing(names, ours, columns.class_names, groups=images, notes=notes), labels


def _numbered(
    listing: _Listing, everywhere: Sequence[np.ndarray | None]
) -> tuple[np.ndarray | None, tuple[str, ...] | None, str]:
    """Classes int32 [N] of a listing, their names, and why there are none.

    Args:
        listing: with labels as they are in the files.
        everywhere: the labels of all files of the data set.
    """
    if not everywhere:
        return None, None, "it has no column of classes"
    if listing.labels is None or any(each is None for each in everywhere):
        return None, None, "not all of its images have one"
    told = [each for each in everywhere if each is not None and each.size]
    if any(each.dtype.kind == "U" for each in told):
        values = np.unique(np.concatenate([each.astype(np.str_) for each in told]))
        places = np.searchsorted(values, listing.labels.astype(np.str_))
        return places.astype(np.int32), tuple(map(words.printable, values.tolist())), ""
    labels = label_lib.check(listing.labels, "data: labels", len(listing.files))
    found = None if listing.class_names else label_lib.find_values(told)
    if found is not None and not len(found):
        return None, None, "not all of its images have one"
    numbers, class_names = label_lib.number(
        labels, "data: labels", class_names=listing.class_names, class_values=found
    )
    return numbers, class_names, ""


def _split_of(file: str) -> str:
    """The split that a path names, "" for none: its folders first, then the parts of its name."""
    *folders, name = pathlib.PurePath(file).parts
    parts = [*folders, *re.split(r"[-_.\d]+", name)]
    return next((split for part in parts if (split := layout.split_of(part))), "")
