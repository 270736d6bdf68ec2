"""Images with a text each: where a path has them, in folders, tables, archives, or by a name.

Texts are read when a split is opened; images stay where they are.
"""

import dataclasses
import os
import pathlib
import re
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, cast

import numpy as np

from jaxssl import words
from jaxssl.data import arrays, documents, folder, layout, opening, order, tarred, tree
from jaxssl.data import source as source_lib

TEXT_SUFFIX, TABLE_SUFFIX = ".txt", ".jsonl"
# Data sets whose captions are made of the names of their classes.
DISGUISED = {f"{name}-captions": name for name in ("fashion-mnist", "photographs")}
TEMPLATES = (
    "a photo of a {}.",
    "a picture of a {}.",
    "this is a {}.",
    "one {}, and nothing else",
    "a good photo of the {}.",
    "a small photo of a {}.",
    "{}",
)


class Captioned(NamedTuple):
    """The images of a split, undecoded, and the text of each."""

    images: opening.Images
    texts: Sequence[bytes]


class Found(NamedTuple):
    """What a path holds.

    Attributes:
        splits: its splits.
        open: from a split to its images and texts.
    """

    splits: tuple[str, ...]
    open: Callable[[str], Captioned]


class Row(NamedTuple):
    """One example of a table or an archive.

    Attributes:
        file: the image, relative to the folder of the table.
        text: its caption, UTF-8.
        label: the name of its class, or None.
        span: where the image lies, in an archive.
    """

    file: str
    text: bytes
    label: str | None
    span: tarred.Span | None = None


def find(path: str) -> Found:
    """Recognises a name of ``DISGUISED``, a table, an archive, or a directory of such or of images.

    Raises:
        ValueError: nothing there that can be read.
    """
    if path in DISGUISED:
        unprepared = opening.find_unprepared(DISGUISED[path])
        return Found(
            unprepared.splits,
            lambda split: _disguised(cast(arrays.ArraySource, unprepared.open(split)), path),
        )
    place = pathlib.Path(path).expanduser()
    if not place.exists():
        raise ValueError(
            f"PairData: path must be a file, a directory or one of {', '.join(DISGUISED)}; got "
            f"{path}, which does not exist.{words.nearest(path, [*DISGUISED])}"
        )
    if place.is_file():
        if place.suffix.lower() not in (TABLE_SUFFIX, tarred.SUFFIX):
            raise ValueError(
                f"PairData: a file must be {TABLE_SUFFIX} or {tarred.SUFFIX}; got {place}. Give "
                f"the directory that holds images, each with a {TEXT_SUFFIX} of the same name."
            )
        return _of_files(place, [place])
    names = tree.read_directory(place).files
    for suffix in (tarred.SUFFIX, TABLE_SUFFIX):
        if files := [place / name for name in names if name.lower().endswith(suffix)]:
            return _of_files(place, files)
    found = layout.find(place)
    return Found(folder.splits(found), lambda split: _of_folder(found, split))


def _disguised(source: arrays.ArraySource, path: str) -> Captioned:
    """Captions made of the classes, by a template that the number of the row alone chooses."""
    names, labels = source.class_names, source.labels
    assert names is not None and labels is not None  # of each data set in DISGUISED
    chosen = order.permutation(len(source), key=(0, 2)) % len(TEMPLATES)
    texts = [
        TEMPLATES[number].format(names[label]).encode()
        for number, label in zip(chosen.tolist(), labels.tolist(), strict=True)
    ]
    note = f"the captions of {path} are made of its class names: labels in disguise"
    account = source.account._replace(notes=(*source.account.notes, note))
    return Captioned(dataclasses.replace(source, name=path, account=account), texts)


def _of_folder(found: layout.Layout, split: str) -> Captioned:
    """Images with a text file of the same name beside each; others are left out, and counted."""
    listing = folder.list_images(found, split, beside=(TEXT_SUFFIX,))
    rows, texts, without = [], [], []
    for row, file in enumerate(listing.files):
        beside = (listing.root / file).with_suffix(TEXT_SUFFIX)
        text = beside.read_bytes().strip() if beside.is_file() else b""
        if text:
            rows.append(row)
            texts.append(text)
        else:
            without.append(file)
    if not rows:
        raise ValueError(
            f"PairData: images of {listing.root} must have a text beside them, a {TEXT_SUFFIX} of "
            f"the same name; got {tree.counted(without, 'image', 'images')}, and no text."
        )
    own = dataclasses.replace(
        listing,
        files=tuple(listing.files[row] for row in rows),
        labels=None if listing.labels is None else listing.labels[rows],
    )
    return Captioned(_noting(own, without), texts)


def _of_files(place: pathlib.Path, files: Sequence[pathlib.Path]) -> Found:
    """Tables or archives: splits where each is called by one, as train.jsonl or val-0001.tar."""
    meant = [_split_of(file) or "" for file in files]
    is_divided = "train" in meant and "" not in meant
    splits = tuple(dict.fromkeys(meant)) if is_divided else source_lib.SINGLE_SET_SPLITS[:2]

    def open_split(split: str) -> Captioned:
        read = {file: list(_rows(file)) for file in files}  # classes are those of all splits
        whole = [row for rows in read.values() for row in rows]
        if not whole:
            raise ValueError(f"PairData: {place} must hold images with texts; got none.")
        if is_divided and split != "all":
            chosen = source_lib.chosen_split(str(place), split, splits)
            own = [row for file, name in zip(files, meant) if name == chosen for row in read[file]]
        elif is_divided:
            own = whole
        else:
            # An image with several texts is in one split with all of them.
            images = list(dict.fromkeys(row.file for row in whole))
            numbers = source_lib.single_set_rows(len(images), split, name=str(place))
            held = {images[number] for number in numbers.tolist()}
            own = [row for row in whole if row.file in held]
        divided = "" if is_divided else source_lib.divided(len(images), split)
        return _listed(place, own, whole, source_lib.Account(divided))

    return Found(splits, open_split)


def _listed(
    place: pathlib.Path, own: Sequence[Row], whole: Sequence[Row], account: source_lib.Account
) -> Captioned:
    """Rows of a split as files with labels, where all rows of the data set have one."""
    without = [row.file for row in own if not row.text.strip()]
    own = [row for row in own if row.text.strip()]
    names, labels = None, None
    known = [row.label for row in whole if row.label is not None]
    if len(known) == len(whole):
        names = tuple(sorted(set(known)))
        number: dict[str | None, int] = {name: each for each, name in enumerate(names)}
        labels = np.array([number[row.label] for row in own], np.int32)
    fields: dict[str, Any] = {
        "name": str(place),
        "root": place if place.is_dir() else place.parent,
        "files": tuple(row.file for row in own),
        "labels": labels,
        "class_names": names,
        "account": account,
    }
    spans = tuple(row.span for row in own if row.span is not None)
    listing = tarred.TarredImages(**fields, spans=spans) if spans else folder.ImageFiles(**fields)
    return Captioned(_noting(listing, without), [row.text.strip() for row in own])


def _rows(file: pathlib.Path) -> Iterator[Row]:
    return _tarred(file) if file.suffix.lower() == tarred.SUFFIX else _tabled(file)


def _tabled(file: pathlib.Path) -> Iterator[Row]:
    """The rows of a .jsonl, with "image", "text" and perhaps "label"."""
    for number, row in enumerate(documents.json_rows(file), start=1):
        is_whole = isinstance(row, dict) and all(
            isinstance(row.get(name), str) for name in ("image", "text")
        )
        if not is_whole:
            raise ValueError(
                f'PairData: every row of {file} must have an "image", the path of a file, and a '
                f'"text"; row {number} has '
                f"{sorted(row) if isinstance(row, dict) else type(row).__name__}."
            )
        if not (file.parent / row["image"]).is_file():
            raise ValueError(
                f"PairData: the image of row {number} of {file} must be a file, its path relative "
                f"to {file.parent}; got {row['image']}, where there is none."
            )
        label = row.get("label")
        yield Row(row["image"], row["text"].encode(), None if label is None else str(label))


def _tarred(file: pathlib.Path) -> Iterator[Row]:
    """The images of an archive; those without a text have an empty one."""
    for example in tarred.examples(file):
        if TEXT_SUFFIX in example.others:
            text = example.others[TEXT_SUFFIX].read()
        else:
            text = _text_of(tarred.described(example, file), f"{file}: the .json of {example.file}")
        yield Row(example.file, text, tarred.class_of(example, file), example.image)


def _text_of(described: dict, where: str) -> bytes:
    """The text of a .json in an archive; nothing where there is none."""
    text = next((described[key] for key in ("text", "caption") if key in described), "")
    if not isinstance(text, str):
        raise ValueError(f'PairData: {where} must have a "text", a string; got {text!r}.')
    return text.encode()


def _noting(listing: folder.ImageFiles, without: Sequence[str]) -> folder.ImageFiles:
    """The listing with a note on images that were left out, where there are any."""
    if not without:
        return listing
    counted = tree.counted(without, "image without a text", "images without a text")
    account = listing.account
    notes = (*account.notes, f"left out of {listing.name}: {counted}")
    return dataclasses.replace(listing, account=account._replace(notes=notes))


def _split_of(file: pathlib.Path) -> str | None:
    """The split that the name of a file begins with."""
    return layout.split_of(re.split(r"[-_.\d]", os.path.basename(file))[0])
