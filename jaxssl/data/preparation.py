"""Any source of images to a TFDS data set in the ArrayRecord format.

A prepared data set opens at once however many images it has, is read by position, and is understood
by everything that reads TFDS. Written by TFDS itself, without TensorFlow.
"""

import collections
import concurrent.futures
import contextlib
import dataclasses
import functools
import io
import pathlib
import re
import shutil
import tempfile
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from jaxssl.data import (
    arrays,
    deep,
    folder,
    imagefiles,
    opening,
    tfds_source,
    transforms,
    valuerange,
)

VERSION = "1.0.0"
KEPT_FORMATS = ("PNG", "JPEG")  # what every TFDS reader decodes; others are stored as PNG
PENDING_PER_THREAD = 4  # images read ahead of the writer, so that memory stays bounded


@dataclasses.dataclass(frozen=True)
class Prepared:
    """What ``prepare`` did.

    Attributes:
        directory: the data set, OUT_DIR/1.0.0.
        written: images written, over all splits.
        skipped: one "file: reason" for each image that could not be read.
        value_range: which values became 0 and 255; None where all images had 8 bits.
    """

    directory: pathlib.Path
    written: int
    skipped: tuple[str, ...]
    value_range: valuerange.ValueRange | None = None


@dataclasses.dataclass(frozen=True)
class _Split:
    """One split to be written: ``encode`` gives PNG or JPEG of a row, or raises ValueError."""

    num_rows: int
    encode: Callable[[int], bytes]
    describe: Callable[[int], str]
    labels: np.ndarray | None
    class_names: tuple[str, ...] | None
    channels: int


def prepare(
    source_path: str | pathlib.Path,
    out_dir: str | pathlib.Path,
    *,
    channels: int = 3,
    num_threads: int = 8,
    value_range: valuerange.ValueRange | None = None,
    max_pixels: int = imagefiles.MAX_PIXELS,
    show_progress: bool = True,
) -> Prepared:
    """Writes all splits of a folder, archive or IDX directory as one TFDS data set.

    PNG and JPEG files keep their bytes; other formats, files of other modes than ``channels``
    asks for, and arrays are stored as PNG. Every image is decoded once to see that it can be;
    those that cannot are left out and named. TFDS shuffles the records by a hash of their number,
    the same way each time. The data set appears under its name only when it is whole.

    Args:
        source_path: what ``open_source`` reads, except prepared data sets.
        out_dir: the new data set; its last part is its TFDS name, its parent the TFDS data_dir.
        channels: 1 or 3, of the images in folders; arrays keep theirs.
        num_threads: threads that read and decode.
        value_range: LOW and HIGH, what becomes 0 and 255 of images of more than 8 bits a channel;
            None measures it on the training split, or the first one.
        max_pixels: of one image file; larger ones are left out.
        show_progress: a progress bar on standard error.

    Returns:
        Where the data set is, how much was written and what was skipped.

    Raises:
        ValueError: where out_dir is in use or no TFDS name, there is nothing to prepare, or a split
            has no readable image.
        FileNotFoundError: where there is nothing at source_path.
    """
    out_dir = pathlib.Path(out_dir).expanduser().absolute()
    _check_free(out_dir)
    if prepared := opening.prepared_directory(str(source_path)):
        raise ValueError(
            f"prepare: source_path must not be prepared already; got {prepared}. Use it as it is."
        )
    imagefiles.allow_pixels(max_pixels)
    found = opening.find_unprepared(str(source_path))
    opened = {name: found.open(name) for name in found.splits}
    if value_range is None:
        value_range = opened.get("train", next(iter(opened.values()))).find_value_range()
    splits = {name: _split(each, channels, value_range) for name, each in opened.items()}
    out_dir.parent.mkdir(parents=True, exist_ok=True)
    temporary = tempfile.mkdtemp(prefix=f".{out_dir.name}.incomplete-", dir=out_dir.parent)
    try:
        skipped = _write(out_dir.name, pathlib.Path(temporary), splits, num_threads, show_progress)
        if out_dir.exists():
            out_dir.rmdir()  # empty, as was checked; fails where somebody filled it meanwhile
        (pathlib.Path(temporary) / out_dir.name).rename(out_dir)
    finally:
        shutil.rmtree(temporary)
    written = sum(split.num_rows for split in splits.values()) - len(skipped)
    return Prepared(out_dir / VERSION, written, tuple(skipped), value_range)


def _check_free(out_dir: pathlib.Path) -> None:
    """Raises ValueError where a data set cannot be made at ``out_dir``."""
    if not re.fullmatch(r"[a-z][a-z0-9_]*", out_dir.name):
        suggestion = re.sub(r"[^a-z0-9_]+", "_", out_dir.name.lower()).lstrip("_0123456789")
        raise ValueError(
            "prepare: the last part of out_dir names the data set, in small letters, digits and _; "
            f'got "{out_dir.name}". Try "{suggestion or "images"}".'
        )
    if out_dir.is_file() or (out_dir.is_dir() and any(out_dir.iterdir())):
        raise ValueError(
            f"prepare: out_dir must be new or empty; got {out_dir}, which is in use. "
            "Choose another, or remove it."
        )


def _split(
    images: arrays.ArraySource | folder.ImageFiles,
    channels: int,
    value_range: valuerange.ValueRange | None,
) -> _Split:
    """What to write of one split."""
    if isinstance(images, arrays.ArraySource):
        pixels = images.in_eight_bits(value_range).columns[arrays.IMAGE]
        return _Split(
            num_rows=len(images),
            encode=lambda row: _png(pixels[row]),
            describe=lambda row: f"{images.name}[{row}]",
            labels=images.labels,
            class_names=images.class_names,
            channels=pixels.shape[-1],
        )
    mode = "L" if channels == 1 else "RGB"
    return _Split(
        num_rows=len(images.files),
        encode=lambda row: _checked(functools.partial(images.read, row), mode, value_range),
        describe=images.describe,
        labels=images.labels,
        class_names=images.class_names,
        channels=channels,
    )


def _write(
    name: str,
    data_dir: pathlib.Path,
    splits: dict[str, _Split],
    num_threads: int,
    show_progress: bool,
) -> list[str]:
    """Writes the data set below ``data_dir`` and returns what was skipped."""
    import rich.console
    import rich.progress
    import tensorflow_datasets as tfds

    skipped: list[str] = []
    first = next(iter(splits.values()))
    features = {tfds_source.IMAGE: tfds.features.Image(shape=(None, None, first.channels))}
    labelled = all(split.labels is not None for split in splits.values())
    if labelled:
        features[tfds_source.LABEL] = tfds.features.ClassLabel(names=list(first.class_names or ()))
    progress = rich.progress.Progress(
        *rich.progress.Progress.get_default_columns(),
        rich.progress.MofNCompleteColumn(),
        console=rich.console.Console(stderr=True),
        disable=not show_progress,
    )
    data_set_name = name

    class Builder(tfds.core.GeneratorBasedBuilder, skip_registration=True):  # type: ignore[call-arg]
        """The data set under preparation."""

        name = data_set_name
        VERSION = tfds.core.Version(VERSION)

        def _info(self) -> tfds.core.DatasetInfo:
            return tfds.core.DatasetInfo(
                builder=self, features=tfds.features.FeaturesDict(features)
            )

        def _split_generators(self, _: tfds.download.DownloadManager) -> dict[str, Iterator]:
            return {name: self._generate_examples(name) for name in splits}

        def _generate_examples(self, split_name: str) -> Iterator[tuple[int, dict]]:
            split = splits[split_name]
            task = progress.add_task(split_name, total=split.num_rows)
            num_written = 0
            for row, encoded in _encoded(split, num_threads):
                progress.advance(task)
                if isinstance(encoded, ValueError):
                    skipped.append(f"{split.describe(row)}: {encoded}")
                    continue
                example: dict[str, Any] = {tfds_source.IMAGE: io.BytesIO(encoded)}
                if split.labels is not None and labelled:
                    example[tfds_source.LABEL] = int(split.labels[row])
                num_written += 1
                yield row, example
            if not num_written:
                raise ValueError(
                    f"prepare: the split {split_name} must hold a readable image; got none of "
                    f"{split.num_rows}, the last being {skipped[-1]}."
                )

    tfds.disable_progress_bar()  # ours counts images, and skips
    builder = Builder(data_dir=data_dir, file_format="array_record")
    # TFDS prints where it writes, which is not where the data set will be.
    with progress, contextlib.redirect_stdout(io.StringIO()):
        builder.download_and_prepare()
    return skipped


def _encoded(split: _Split, num_threads: int) -> Iterator[tuple[int, bytes | ValueError]]:
    """Rows of a split in order, encoded by threads, or the reason why not."""

    def encode(row: int) -> tuple[int, bytes | ValueError]:
        try:
            return row, split.encode(row)
        except ValueError as error:
            return row, error

    pending: collections.deque[concurrent.futures.Future] = collections.deque()
    with concurrent.futures.ThreadPoolExecutor(num_threads) as pool:
        try:
            for row in range(split.num_rows):
                pending.append(pool.submit(encode, row))
                if len(pending) == num_threads * PENDING_PER_THREAD:
                    yield pending.popleft().result()
            while pending:
                yield pending.popleft().result()
        finally:
            pool.shutdown(cancel_futures=True)


def _checked(
    read: Callable[[], bytes], mode: str, value_range: valuerange.ValueRange | None
) -> bytes:
    """Content of an image file where TFDS can read it as ``mode``; else the image as PNG.

    Raises:
        ValueError: where the file cannot be read whole.
    """
    try:
        content = read()
    except OSError as error:
        raise ValueError(str(error)) from error
    with imagefiles.opened(content) as image:
        if deep.is_deep(image):
            shallow = deep.to_eight_bits(image, content, value_range)
            return _png(np.asarray(transforms.to_mode(shallow, mode)))
        image.load()
        is_plain = image.mode == mode and not image.has_transparency_data
        if is_plain and image.format in KEPT_FORMATS:
            return content
        return _png(np.asarray(transforms.to_mode(imagefiles.upright(image), mode)))


def _png(image: np.ndarray) -> bytes:
    """A uint8 [H, W], [H, W, 1] or [H, W, 3] array as PNG."""
    from PIL import Image

    encoded = io.BytesIO()
    Image.fromarray(image[..., 0] if image.shape[-1:] == (1,) else image).save(encoded, "PNG")
    return encoded.getvalue()
