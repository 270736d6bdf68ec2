"""Prepared TFDS data sets in the ArrayRecord format, read without TensorFlow."""

import dataclasses
import functools
import hashlib
import json
import pathlib
import re
import typing
from collections.abc import Callable, Sequence

import numpy as np

from jaxssl import cropping
from jaxssl.data import crops, deep, transforms, valuerange
from jaxssl.data import source as source_lib

if typing.TYPE_CHECKING:
    import tensorflow_datasets as tfds

PREFIX = "tfds:"
INFO_FILE = "dataset_info.json"
IMAGE, LABEL = "image", "label"


@dataclasses.dataclass(frozen=True, eq=False)
class TfdsSource:
    """One split of a prepared TFDS data set, decoded on demand.

    Attributes:
        name: data set, configuration and version.
        records: TFDS's random access, its images still encoded.
        class_names: names of the ClassLabel feature "label"; None without.
        fingerprint: sha256 of the features and of the sizes of the split's shards.
        image_size: S, pixels.
        channels: C, 1 or 3.
        ranges: the files that hold the records, and the places of these in them.
        value_range: what becomes 0 and 255, of images of more than 8 bits a channel.
    """

    name: str
    records: Sequence = dataclasses.field(repr=False)
    class_names: tuple[str, ...] | None
    fingerprint: str
    image_size: int
    channels: int
    ranges: tuple[tuple[str, range], ...] = dataclasses.field(repr=False)
    value_range: valuerange.ValueRange | None = None

    @property
    def labelled(self) -> bool:
        """Whether there is a feature "label" of classes."""
        return self.class_names is not None

    @property
    def num_classes(self) -> int | None:
        """Number of classes; None without labels."""
        return None if self.class_names is None else len(self.class_names)

    def identities(self) -> list[tuple[str, int]]:
        """File and place in it of each record."""
        return [(file, place) for file, places in self.ranges for place in places]

    def find_value_range(self, channels: int = 3) -> valuerange.ValueRange | None:
        """What of the images is black and white; None where they have 8 bits a channel."""

        def encoded(row: int) -> bytes:
            found = _read(self.records, row)[IMAGE]
            return found if isinstance(found, bytes) else b""

        del channels  # TFDS has images of 1 to 4
        return deep.value_range_of(len(self), encoded)

    def fit_images(
        self, *, image_size: int, channels: int, value_range: valuerange.ValueRange | None = None
    ) -> "TfdsSource":
        """The source that decodes these records to uint8 [S, S, C]; see ``transforms.decode``."""
        return dataclasses.replace(
            self, image_size=image_size, channels=channels, value_range=value_range
        )

    def __len__(self) -> int:
        return len(self.records)

    def __getitem__(self, index: int) -> source_lib.Record:
        shape = {"image_size": self.image_size, "channels": self.channels}
        return self._record(
            index,
            lambda content: transforms.decode(content, **shape, value_range=self.value_range),
            lambda image: transforms.fit_array(image[None], **shape)[0],
        )

    def cropped(self, index: int, cut: crops.Cut) -> source_lib.Record:
        """The record of a row with crops of the whole image in its place."""
        return self._record(
            index,
            functools.partial(cut.decode, channels=self.channels, value_range=self.value_range),
            lambda image: cut.of_image(transforms.picture(image), channels=self.channels),
        )

    def _record(
        self,
        index: int,
        decode: Callable[[bytes], np.ndarray | cropping.Crops],
        fit: Callable[[np.ndarray], np.ndarray | cropping.Crops],
    ) -> source_lib.Record:
        """A record whose image is made of a file's content, or of an array [H, W, C]."""
        try:
            record = _read(self.records, index)
            encoded = isinstance(record[IMAGE], bytes)
            image = (decode if encoded else fit)(record[IMAGE])
        except ValueError as error:
            raise source_lib.UnreadableError(f"record {index} of {self.name}", error) from error
        return {"image": image, "label": int(record[LABEL])} if self.labelled else {"image": image}


def _read(records: Sequence, index: int) -> dict:
    """One record; ValueError where its file is damaged, of which its reader raises anything."""
    try:
        return records[index]
    except MemoryError:
        raise
    except Exception as error:
        raise ValueError(f"{type(error).__name__}: {' '.join(str(error).split())}") from error


def find_directory(path: pathlib.Path) -> pathlib.Path | None:
    """The prepared data set at ``path``: itself, or its newest version below; None where none."""
    if _is_prepared(path):
        return path
    versions = [
        child
        for child in path.iterdir()
        if re.fullmatch(r"\d+\.\d+\.\d+", child.name) and _is_prepared(child)
    ]
    return max(versions, key=lambda child: tuple(map(int, child.name.split("."))), default=None)


def _is_prepared(directory: pathlib.Path) -> bool:
    """Whether TFDS prepared what lies there; others beside Arrow tables call a file the same."""
    return (directory / INFO_FILE).is_file() and not any(directory.glob("*.arrow"))


def split_names(directory: pathlib.Path) -> tuple[str, ...]:
    """The splits of the prepared data set in a directory."""
    try:
        info = json.loads((directory / INFO_FILE).read_text())
        return tuple(split["name"] for split in info["splits"])
    except (ValueError, KeyError, TypeError) as error:
        raise _damaged(directory, error) from error


def _damaged(directory: pathlib.Path, error: Exception) -> ValueError:
    reason = f"{type(error).__name__}: {' '.join(str(error).split())}"
    return ValueError(
        f"data: {directory} must be a prepared TFDS data set; got damage in its "
        f"{INFO_FILE} or features.json ({reason}). Prepare it again."
    )


def open_named(
    name: str, split: str, *, data_dir: str | None, image_size: int, channels: int
) -> TfdsSource:
    """Opens a data set by its TFDS name, prepared below ``data_dir`` or TFDS's own default.

    Raises:
        FileNotFoundError: where it was never prepared there.
        ValueError: see ``open_directory``.
    """
    builder = _named_builder(name, data_dir)
    return _open(builder, split, image_size=image_size, channels=channels)


def named_splits(name: str, *, data_dir: str | None) -> tuple[str, ...]:
    """The splits of a data set by its TFDS name; raises as ``open_named`` does."""
    return tuple(_named_builder(name, data_dir).info.splits)


def open_directory(
    directory: pathlib.Path, split: str, *, image_size: int, channels: int
) -> TfdsSource:
    """Opens the prepared data set in a directory that holds dataset_info.json.

    Raises:
        ValueError: for an unknown split, another format than array_record, or features without
            "image".
    """
    import tensorflow_datasets as tfds

    try:
        builder = tfds.builder_from_directory(directory)
        # The names of its files are made of a template, which may be damaged too.
        _ = [each.filepaths for each in builder.info.splits.values()]
    except Exception as error:  # protobuf and TFDS have errors of their own for what is damaged
        raise _damaged(directory, error) from error
    return _open(builder, split, image_size=image_size, channels=channels)


def _named_builder(name: str, data_dir: str | None) -> "tfds.core.DatasetBuilder":
    import tensorflow_datasets as tfds
    from tensorflow_datasets.core import read_only_builder

    place = data_dir or "~/tensorflow_datasets"
    try:
        # Unlike tfds.builder this reads the files alone, so that no code of a data set is needed.
        return read_only_builder.builder_from_files(name, data_dir=data_dir)
    except tfds.core.DatasetNotFoundError as error:
        keyword = "" if data_dir is None else f", data_dir='{data_dir}'"
        raise FileNotFoundError(
            f"data: {PREFIX}{name} must be prepared in {place}; got nothing there. Preparing"
            " an official data set needs TensorFlow, once: pip install tensorflow, then python -c "
            f"\"import tensorflow_datasets as tfds; tfds.builder('{name}'{keyword}, "
            "file_format='array_record').download_and_prepare()\"."
        ) from error


def _open(
    builder: "tfds.core.DatasetBuilder", split: str, *, image_size: int, channels: int
) -> TfdsSource:
    """A source of one split of a builder whose data are on disk."""
    import tensorflow_datasets as tfds

    info = builder.info
    file_format = info.file_format.value if info.file_format else "unknown"
    if file_format != "array_record":
        raise ValueError(
            f"data: {info.full_name} must be prepared in the array_record format to be read "
            f"by position; got {file_format} in {builder.data_path}. Prepare it again with "
            "tfds.builder(..., file_format='array_record').download_and_prepare()."
        )
    features = info.features
    feature = features[IMAGE] if IMAGE in features else None
    encoded = isinstance(feature, tfds.features.Image)
    if not encoded and not _is_image_tensor(feature):
        raise ValueError(
            f'data: {info.full_name} must have a feature "{IMAGE}" of uint8 images; '
            f"got {', '.join(f'{key}: {value!r}' for key, value in features.items())}."
        )
    split = _chosen_split(info, split)
    decoders = {IMAGE: tfds.decode.SkipDecoding()} if encoded else None
    label = features[LABEL] if LABEL in features else None
    return TfdsSource(
        name=info.full_name,
        records=builder.as_data_source(split, decoders=decoders),
        class_names=tuple(label.names) if isinstance(label, tfds.features.ClassLabel) else None,
        fingerprint=_fingerprint(info, split),
        image_size=image_size,
        channels=channels,
        ranges=_ranges(info, split),
    )


def _ranges(info: "tfds.core.DatasetInfo", split: str) -> tuple[tuple[str, range], ...]:
    """Which records of which files a split reads."""
    found = []
    for each in info.splits[split].file_instructions:
        count = each.examples_in_shard - each.skip if each.take == -1 else each.take
        found.append((str(each.filename), range(each.skip, each.skip + count)))
    return tuple(found)


def _is_image_tensor(feature: object) -> bool:
    """Whether a feature is a uint8 array [H, W, 1] or [H, W, 3]."""
    shape = getattr(feature, "shape", None)
    dtype = getattr(feature, "np_dtype", None)
    return shape is not None and len(shape) == 3 and shape[-1] in (1, 3) and dtype == np.uint8


def _chosen_split(info: "tfds.core.DatasetInfo", split: str) -> str:
    """The split as TFDS knows it; slices such as train[:90%] and sums are TFDS's own."""
    chosen = []
    for part in split.split("+"):
        base, bracket, rest = part.strip().partition("[")
        base = source_lib.chosen_split(info.full_name, base, (*info.splits, "all"))
        chosen.append(base + bracket + rest)
    return "+".join(chosen)


def _fingerprint(info: "tfds.core.DatasetInfo", split: str) -> str:
    """sha256 of what identifies the content without reading it."""
    sizes = {
        name: [each.num_bytes, list(each.shard_lengths)]
        for name, each in sorted(info.splits.items())
    }
    identity = [info.full_name, info.features.to_json(), split, sizes]
    return hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()
