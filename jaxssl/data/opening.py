"""From what a path holds to the source that reads it."""

import contextlib
import functools
import pathlib
import typing
from collections.abc import Callable, Collection
from typing import NamedTuple

from jaxssl import words
from jaxssl.data import (
    archives,
    arrays,
    folder,
    foreign,
    idx,
    imagefiles,
    known,
    layout,
    memory,
    photographs,
    readable,
    shards,
    tfds_source,
    video,
)
from jaxssl.data import source as source_lib

if typing.TYPE_CHECKING:  # a config opens itself by this module
    from jaxssl.data.config import ImageData


Images = arrays.ArraySource | folder.ImageFiles  # at the size and channels they have on disk
Unfitted = Images | tfds_source.TfdsSource


class Unprepared(NamedTuple):
    """A data set that was not prepared by TFDS.

    Attributes:
        splits: its splits.
        open: from a split to its images, at the size and channels they have on disk.
    """

    splits: tuple[str, ...]
    open: Callable[[str], Images]


def open_source(config: "ImageData", split: str) -> source_lib.Source:
    """Opens one split of whatever ``config.path`` names.

    In this order: a known name; tfds:NAME; an .npz or video file, a tar archive, a Parquet or Arrow
    table; a directory of IDX files, of a prepared TFDS data set, of videos, of such archives or
    tables, or of images. A directory that shares its name with a known
    data set is reached as ./NAME.

    Args:
        config: path, and the size and channels that images are brought to.
        split: usually ``config.train_split`` or ``config.test_split``. What comes as one set is
            divided into "train" and "test" by ``source.single_set_rows``; where there is no
            "test", it stands for "validation" or "val". "fit" and "validation" are nine tenths of
            "train" and the tenth (``source.part_of_train``); a data set's own validation split
            comes first.

    Returns:
        An ``ArraySource`` where the data set is in memory, converted once; else a source that
        decodes on demand, or with ``config.in_memory`` what it decodes to; of videos, a
        ``video.VideoSource`` either way. Unlabelled data has ``labelled`` False and no "label" in
        its records. Images of more than 8 bits a channel are scaled by ``config.value_range``, or
        by one measured on ``config.train_split`` whichever split is opened; see ``valuerange``. For
        files and records that cannot be read others stand in; see ``readable``.

    Raises:
        FileNotFoundError: where there is nothing at the path, or tfds:NAME is not prepared.
        ValueError: for an unknown split or content that cannot be read.
    """
    imagefiles.allow_pixels(config.max_pixels)
    whole = _whole_of(config, split)
    return finished(config, _open(config, whole), split if whole != split else None)


def finished(config: "ImageData", source: source_lib.Source, part: str | None) -> source_lib.Source:
    """A split as it is read: or a part of it, held in memory, others standing in for the damaged.

    Args:
        config: of the data set.
        source: the split.
        part: "fit" or "validation", of "train"; None for the whole.
    """
    if part is not None:
        rows = source_lib.part_of_train(len(source), part, name=source.name)
        source = memory.take(source, rows)
    if isinstance(source, video.VideoSource):
        return source.hold_in_memory() if config.in_memory else source
    if isinstance(source, arrays.ArraySource):
        return source
    # Around any part of a split, so that what stands in for an image is of the same part.
    read = readable.Readable(source, config.max_unreadable)
    if config.in_memory:
        return memory.hold_in_memory(read, num_threads=config.num_threads)
    return read


def _whole_of(config: "ImageData", split: str) -> str:
    """ "train" for a part of it; the split itself for any other.

    "fit" and "validation" are parts of "train" where the data set has none of that name, and never
    of films, whose clips overlap.
    """
    if split not in source_lib.PARTS_OF_TRAIN or _place_of_videos(config):
        return split
    if config.path.startswith(tfds_source.PREFIX):
        name = config.path.removeprefix(tfds_source.PREFIX)
        own = tfds_source.named_splits(name, data_dir=config.data_dir)
    elif directory := prepared_directory(config.path):
        own = tfds_source.split_names(directory)
    else:
        own = find_unprepared(config.path).splits
    return whole_of(split, own)


def _open(config: "ImageData", split: str) -> source_lib.Source:
    """``open_source`` of a split that is no part of another, without ``in_memory``."""
    if place := _place_of_videos(config):
        return video.open_video(place, split, config)
    if config.num_frames > 1:
        raise ValueError(
            f"data: num_frames must be 1 for a data set of still images; got "
            f"{config.num_frames}, and no video ({' '.join(video.SUFFIXES)}) at {config.path}."
        )
    open_split: Callable[[str], Unfitted]
    if config.path.startswith(tfds_source.PREFIX):
        name = config.path.removeprefix(tfds_source.PREFIX)
        open_split = functools.partial(
            tfds_source.open_named,
            name,
            data_dir=config.data_dir,
            image_size=config.image_size,
            channels=config.channels,
        )
    elif directory := prepared_directory(config.path):
        open_split = functools.partial(
            tfds_source.open_directory,
            directory,
            image_size=config.image_size,
            channels=config.channels,
        )
    else:
        open_split = find_unprepared(config.path).open
    train = _whole_of(config, config.train_split)
    training = None if train == split else functools.partial(open_split, train)
    return fitted(config, open_split(split), training)


def whole_of(split: str, own: Collection[str]) -> str:
    """ "train" for a part of it, where the data set has none of that name among its own."""
    if split not in source_lib.PARTS_OF_TRAIN:
        return split
    names = ("validation", "val") if split == "validation" else ("fit",)
    return split if any(name in own for name in names) else "train"


def fitted(
    config: "ImageData", images: Unfitted, training: Callable[[], Unfitted] | None
) -> source_lib.Source:
    """Images at the size and channels of a config, those of more than 8 bits scaled to 8.

    Args:
        config: size, channels and range.
        images: of a split.
        training: gives those of the training split, whose range is every split's; None where they
            are these.
    """
    value_range = config.value_range or images.find_value_range(config.channels)
    if config.value_range is None and value_range is not None and training is not None:
        with contextlib.suppress(ValueError):  # no such split, then this one's own
            value_range = training().find_value_range(config.channels) or value_range
    return images.fit_images(
        image_size=config.image_size, channels=config.channels, value_range=value_range
    )


def _place_of_videos(config: "ImageData") -> pathlib.Path | None:
    """The video file or directory of videos at a path; None where there is none."""
    place = pathlib.Path(config.path).expanduser()
    if config.path in known.NAMES or not place.exists():
        return None
    if place.is_dir() and (idx.is_idx(place) or tfds_source.find_directory(place)):
        return None
    return place if video.holds_videos(place, wanted=config.prefers_films) else None


def prepared_directory(path: str) -> pathlib.Path | None:
    """The prepared TFDS data set at a path; None where there is none."""
    place = pathlib.Path(path).expanduser()
    if path in known.NAMES or not place.is_dir():
        return None
    return tfds_source.find_directory(place)


def find_unprepared(path: str) -> Unprepared:
    """Recognises a known name, an archive, tables, or a directory of IDX files or images.

    Raises:
        FileNotFoundError: where there is nothing at the path.
        ValueError: for a file of another kind.
    """
    if path == "fashion-mnist":
        return Unprepared(idx.SPLITS, known.open_fashion_mnist)
    if path == "digits":
        return Unprepared(source_lib.SINGLE_SET_SPLITS[:2], known.open_digits)
    if path == "photographs":
        return Unprepared(photographs.SPLITS, photographs.open_photographs)
    place = pathlib.Path(path).expanduser()
    if not place.exists():
        raise FileNotFoundError(
            "data: path must be a file, a directory, tfds:NAME or one of "
            f'{", ".join(known.NAMES)}; got "{path}", which does not exist.'
            + words.nearest(path, known.NAMES)
        )
    if found := None if place.is_dir() and idx.is_idx(place) else shards.find(place):
        return Unprepared(found.splits, functools.partial(shards.open_split, found))
    if place.is_file():
        if place.suffix.lower() != ".npz":
            raise ValueError(
                f"data: a file must be a video ({' '.join(video.SUFFIXES)}), a table or archive of "
                f"images ({' '.join(shards.SUFFIXES)}), or must be a NumPy .npz archive; got "
                f"{place}. {foreign.advice(place.name)}"
            )
        return Unprepared(archives.npz_splits(place), lambda split: archives.open_npz(place, split))
    if idx.is_idx(place):
        return Unprepared(idx.splits(place), lambda split: idx.open_idx(place, split))
    folders = layout.find(place)
    return Unprepared(folder.splits(folders), lambda split: folder.list_images(folders, split))
