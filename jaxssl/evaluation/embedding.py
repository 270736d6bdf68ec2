"""Features of any images in a file of their own: block by block, and on from there after a kill."""

import dataclasses
import json
import os
import shutil
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import safetensors
import safetensors.numpy

from jaxssl import checkpoints, checks, data, files, inputs, words
from jaxssl.data import readable
from jaxssl.data import source as source_lib
from jaxssl.evaluation import feature_files, layers, preparation, splits

BLOCK_BATCHES = 16  # a block, the part of a file that a kill can cost, has so many batches


@dataclasses.dataclass(frozen=True)
class EmbedConfig:
    """What features are made of.

    Attributes:
        step: checkpoint; the newest by default.
        stage: the output of this stage or block instead of the pooled features; negative numbers
            count from the last.
        grid: average the map of a stage over a grid of so many cells a side instead of all of it.
        split: of a data set; without it IMAGES is a folder, of which every image is embedded.
        batch_size: images encoded at a time.
    """

    step: int | None = None
    stage: int | None = None
    grid: int | None = None
    split: str | None = None
    batch_size: int = 256

    def __post_init__(self):
        checks.at_least(self, 1, "batch_size", "grid")


class Embedded(NamedTuple):
    """What was written.

    Attributes:
        num_images: N.
        num_features: D.
        layer: what the features are of.
        unreadable: names of images that have no row.
        num_resumed: blocks that were there from an earlier call.
    """

    num_images: int
    num_features: int
    layer: str
    unreadable: tuple[str, ...]
    num_resumed: int


class Examples(NamedTuple):
    """What is embedded.

    Attributes:
        source: N examples.
        names: N paths, or names such as "test[17]".
    """

    source: data.Source
    names: tuple[str, ...]


def embed(
    run: str | os.PathLike, images: str, out: str | os.PathLike, options: EmbedConfig
) -> Embedded:
    """Writes the features of images into a file, with their paths.

    Finished blocks lie in ``OUT.parts`` until the file is whole; the same call after a kill goes on
    behind the last, and the file is the same bit for bit.

    Args:
        run: run directory.
        images: an image, a folder of them at any depth, or with ``options.split`` a data set, as
            ``--data-path`` has it.
        out: file to write, .npz, .parquet or .npy (``feature_files``); must not exist.
        options: what is made.

    Raises:
        ValueError: a file that is there already, or parts of other features; no images; a layer
            that is not there.
    """
    out = feature_files.check_suffix(out, "--out")
    if out.exists():
        raise ValueError(
            f"--out: must be a new file; got {out}, which is there. Delete it, or choose another."
        )
    encoder = checkpoints.restore_encoder(run, options.step)
    layer = layers.choose(
        preparation.output_shapes(encoder), stage=options.stage, stages=False, grid=options.grid
    ).main
    examples = find_examples(encoder, images, options.split)
    about = {
        "step": encoder.meta["step"],
        "weights": checkpoints.fingerprint(run, encoder.meta["step"]),
        "layer": dataclasses.asdict(layer),
        "images": words.printable(os.fspath(images)),
        "split": options.split,
        "fingerprint": examples.source.fingerprint,
        "batch_size": options.batch_size,
    }
    files.make_directory(out.absolute().parent)
    parts = _Parts(out.with_name(out.name + ".parts"), about)
    block_size = BLOCK_BATCHES * options.batch_size
    num_blocks = -(-len(examples.names) // block_size)
    done = parts.count()
    for block in _blocks(encoder, layer, examples.source, done * block_size, options.batch_size):
        parts.add(block)
    return parts.join(out, num_blocks, examples.names, layer.name)._replace(num_resumed=done)


def find_examples(encoder: checkpoints.RestoredEncoder, images: str, split: str | None) -> Examples:
    """What a path holds, as the encoder is fed it.

    Args:
        encoder: of the run.
        images: see ``embed``.
        split: of a data set; None: images by their paths.

    Raises:
        ValueError: a data set without a split.
        FileNotFoundError: nothing there.
    """
    place = Path(images).expanduser()
    if split is None:
        if not place.exists():
            raise FileNotFoundError(
                f"IMAGES: must be an image, a folder of images, or with --split a data set; got "
                f"{words.printable(images)}, which is no file and no folder. Of a data set, add "
                "--split, such as --split test."
            )
        if place.is_file() and (place.suffix.lower() == ".npz" or data.is_shard(place)):
            raise ValueError(
                f"IMAGES: a data set has splits; got {place} alone. Add --split, such as --split "
                "test."
            )
        paths = data.list_every(place) if place.is_dir() else [place]
        names = tuple(words.printable(str(path)) for path in paths)
        return Examples(encoder.open_files(paths), names)
    config = splits.config_of(encoder.meta, images)
    if hasattr(config, "in_memory"):  # where others would stand in for the unreadable
        config = dataclasses.replace(config, in_memory=False)
    source = config.open(split)
    source = source.source if isinstance(source, readable.Readable) else source
    return Examples(source, tuple(_names(source, split)))


def _names(source: data.Source, split: str) -> Iterator[str]:
    """Paths where examples are files, else the split and a row."""
    for row, identity in enumerate(source.identities()):
        if isinstance(identity, str) and os.path.isabs(identity):
            yield words.printable(identity)
        else:
            yield f"{split}[{row}]"


@dataclasses.dataclass(frozen=True, eq=False)
class _Attempted(source_lib.Wrapped):
    """The rows from one on, where what cannot be read is zeros, and marked."""

    first: int
    like: inputs.Inputs

    def __len__(self) -> int:
        return len(self.source) - self.first

    def __getitem__(self, index: int) -> dict:
        try:
            return {**self.source[self.first + index], "readable": True}
        except source_lib.UnreadableError:
            nothing = {each.name: np.zeros(each.shape, np.uint8) for each in self.like}
            return nothing | ({"label": -1} if self.labelled else {}) | {"readable": False}


def _blocks(
    encoder: checkpoints.RestoredEncoder,
    layer: layers.Layer,
    source: data.Source,
    first: int,
    batch_size: int,
) -> Iterator[dict[str, np.ndarray]]:
    """Features, row numbers and maybe labels of the rows from one on, a block at a time."""
    if first >= len(source):
        return
    rest: source_lib.Rows
    if isinstance(source, data.ArraySource):
        rest = source.subset(np.arange(first, len(source)))
    else:
        rest = _Attempted(source, first, encoder.inputs)
    output = checkpoints.forward(
        preparation.reader(encoder, [layer]),
        encoder.variables,
        data.batches(rest, batch_size),
        columns=[each.name for each in encoder.inputs],
        batch_size=batch_size,
    )
    found: list[dict[str, np.ndarray]] = []
    for made, batch in output:
        features = made[layer.name]
        kept = np.flatnonzero(batch.get("readable", np.ones(len(features), bool)))
        block: dict[str, Any] = {"features": features[kept].astype(np.float32)}
        block["rows"] = first + kept
        found.append(block | ({"labels": batch["label"][kept]} if "label" in batch else {}))
        first += len(features)
        if len(found) == BLOCK_BATCHES:
            yield _joined(found)
            found = []
    if found:
        yield _joined(found)


def _joined(found: list[dict[str, np.ndarray]]) -> dict[str, np.ndarray]:
    return {name: np.concatenate([each[name] for each in found]) for name in found[0]}


class _Parts:
    """The finished blocks of a file, in a folder beside it, as long as others are missing."""

    def __init__(self, folder: Path, about: Mapping):
        self._folder, self._about = folder, about
        said = folder / "about.json"
        text = json.dumps(about, sort_keys=True)
        if said.exists() and said.read_text() != text:
            raise ValueError(
                f"--out: {folder} must hold parts of the same features, to go on; got those of "
                "another checkpoint, layer, batch size or set of images. Delete it, or choose "
                "another --out."
            )
        files.make_directory(folder)
        files.write_whole(said, text)

    def count(self) -> int:
        """Blocks that are there, from the first on without a gap; ``add`` goes on behind them."""
        number = 0
        while self._attempt(number) is not None:
            number += 1
        self._number = number
        return number

    def add(self, block: Mapping[str, np.ndarray]) -> None:
        """Writes the next block, whole or not at all."""
        arrays = {name: np.ascontiguousarray(array) for name, array in block.items()}
        files.write_whole(self._path(self._number), safetensors.numpy.save(arrays))
        self._number += 1

    def join(self, out: Path, num_blocks: int, names: tuple[str, ...], layer: str) -> Embedded:
        """Writes the file and removes the parts."""
        heads = [self._heading(number) for number in range(num_blocks)]
        rows = np.concatenate([head["rows"] for head in heads])
        labels = None
        if "labels" in heads[0]:
            labels = np.concatenate([head["labels"] for head in heads]).astype(np.int32)
        dim = self._load(0)["features"].shape[1]
        missing = sorted(set(range(len(names))) - set(rows.tolist()))
        unreadable = tuple(names[row] for row in missing)
        if not len(rows):
            shutil.rmtree(self._folder)
            raise ValueError(
                f"IMAGES: one must be readable; got {len(names):,} that are not, such as "
                f"{unreadable[0]}."
            )
        heading = feature_files.Heading(
            (len(rows), dim), [names[row] for row in rows.tolist()], labels, self._about
        )
        blocks = (self._load(number)["features"] for number in range(num_blocks))
        feature_files.write(out, heading, blocks)
        shutil.rmtree(self._folder)
        return Embedded(len(rows), dim, layer, unreadable, 0)

    def _heading(self, number: int) -> dict[str, np.ndarray]:
        """A block without its features."""
        return {name: each for name, each in self._load(number).items() if name != "features"}

    def _path(self, number: int) -> Path:
        return self._folder / f"{number:06d}.safetensors"

    def _load(self, number: int) -> dict[str, np.ndarray]:
        """A block that ``count`` has seen, or that was added."""
        block = self._attempt(number)
        assert block is not None
        return block

    def _attempt(self, number: int) -> dict[str, np.ndarray] | None:
        """A block; None where it is missing or damaged, so that it is made again."""
        try:
            return safetensors.numpy.load(self._path(number).read_bytes())
        except (FileNotFoundError, safetensors.SafetensorError):
            return None
