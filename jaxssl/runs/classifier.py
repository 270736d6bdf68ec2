"""A run as a classifier, fine-tuned or by its kept probe: test accuracy, classes of any images."""

import csv
import dataclasses
import functools
import io
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from jaxssl import checkpoints, data, files, inputs, named, words
from jaxssl.data.source import UnreadableError
from jaxssl.evaluation import accuracy, kept_probe, preparation, protocol, splits
from jaxssl.evaluation import subject as subjects
from jaxssl.runs import labelled, record
from jaxssl.runs.opened import OpenedRun, open_run
from jaxssl.types import Array, PyTree

BATCH_SIZE = 256
COLUMNS = ("path", "class", "probability")
NAME = "finetune"  # what the result file calls the evaluator


class Predicted(NamedTuple):
    """What ``predict`` wrote.

    Attributes:
        num_images: rows of the file.
        unreadable: images that have none, each with why.
    """

    num_images: int
    unreadable: tuple[str, ...]


@dataclasses.dataclass(frozen=True, eq=False)
class Classifier:
    """A fine-tuned run.

    Attributes:
        opened: the run, with the weights of a checkpoint.
        batch_size: images of a batch at most.
    """

    opened: OpenedRun
    batch_size: int = BATCH_SIZE

    @property
    def encoder(self) -> checkpoints.RestoredEncoder:
        """What says how images are read."""
        return checkpoints.restore_encoder(self.opened.directory.path, self.opened.step)

    @property
    def class_names(self) -> tuple[str, ...]:
        """K names."""
        return self.opened.recipe.method.class_names

    def probabilities(
        self, batches: Iterable[Mapping[str, np.ndarray]]
    ) -> Iterator[tuple[np.ndarray, Mapping[str, np.ndarray]]]:
        """In evaluation mode, float32 [B, K], of each batch of whole images, and the batch."""
        of = self.opened
        read = functools.partial(_probabilities, of)
        variables = (of.params, of.method_state)
        size = self.batch_size
        for output, batch in checkpoints.forward(read, variables, batches, batch_size=size):
            yield output["probabilities"], batch


def restore(run: str | os.PathLike, step: int | None = None) -> Classifier:
    """Opens a fine-tuned run.

    Args:
        run: run directory.
        step: which checkpoint; the newest by default.

    Raises:
        ValueError: a run that learned no classes; no complete checkpoint (CheckpointError).
    """
    opened = open_run(run, step)
    if not labelled.reads(opened.recipe.method):
        raise ValueError(
            f"{os.fspath(run)}: must be a fine-tuned run; got one of "
            f"{named.short(opened.recipe.method)}, which knows no classes. Fine-tune it first: "
            f"jaxssl finetune {os.fspath(run)} --out DIR."
        )
    return Classifier(opened)


def find(
    run: str | os.PathLike,
    step: int | None = None,
    probe: str | os.PathLike | None = None,
) -> Classifier | kept_probe.Probe:
    """What names the classes of images: a fine-tuned run, or the probe that another one keeps.

    Args:
        run: run directory.
        step: which checkpoint; the newest by default, that has a probe where the run is not
            fine-tuned.
        probe: file of a probe, instead.

    Raises:
        ValueError: a run without either; as ``restore`` and ``kept_probe.restore_probe``.
    """
    if probe is not None:
        return kept_probe.restore_probe(run, probe)
    method = record.method_from_json(checkpoints.read_meta(run)["config"]["method"])
    if labelled.reads(method):
        return restore(run, step)
    if not kept_probe.list_kept(run, step):
        of_step = "" if step is None else f" of step {step}"
        raise ValueError(
            f"{os.fspath(run)}: must be a fine-tuned run, or hold a linear probe{of_step}; got one "
            f"of {named.short(method)} without. Fit one: jaxssl linear-eval {os.fspath(run)}."
        )
    return kept_probe.restore_probe(run, step=step)


def measure(run: str | os.PathLike, step: int | None = None) -> dict:
    """Test accuracy of a fine-tuned run, of whole images in evaluation mode.

    Args:
        run: run directory.
        step: which checkpoint; the newest by default.

    Returns:
        The record that was written below ``RUN/evaluation`` (``protocol.write``); its results have
        "test_accuracy", the "half_width" of its 95 % interval, and "per_class", by names.

    Raises:
        ValueError: as ``restore``.
    """
    classifier = restore(run, step)
    meta = classifier.opened.meta
    config = splits.config_of(meta)
    opened = splits.choose(config, train_split=config.train_split)
    found = [
        (probabilities.argmax(-1), batch["label"])
        for probabilities, batch in classifier.probabilities(data.batches(opened.test, BATCH_SIZE))
    ]
    predictions, labels = map(np.concatenate, zip(*found, strict=True))
    correct = predictions == labels
    right = float(np.mean(correct))
    names = classifier.class_names
    by_class = accuracy.per_class(predictions, labels, classes=np.arange(len(names)))
    results = {
        "layer": "pooled",
        "test_accuracy": right,
        "half_width": accuracy.half_width(right, len(labels)),
        "per_class": {
            name: float(value) for name, value in zip(names, by_class) if np.isfinite(value)
        },
    }
    fed = inputs.of_meta(meta)
    described = preparation.protocol_of(opened, fed, subject=subjects.Subject()) | {
        "evaluator": NAME,
        "train_size": meta["dataset"]["size"],
        "train_fingerprint": meta["dataset"]["fingerprint"],
        "labels": meta["config"].get("labels"),
    }
    subject = preparation.subject_of(meta, "trained") | {"start": meta["config"].get("start")}
    file = protocol.path(run, described, subject)
    return protocol.write(
        file, protocol=described, subject=subject, results=results, correct={"pooled": correct}
    )


def predict(
    run: str | os.PathLike,
    images: Sequence[str | os.PathLike],
    out: str | os.PathLike,
    *,
    step: int | None = None,
    probe: str | os.PathLike | None = None,
) -> Predicted:
    """Writes the likeliest class of images into a CSV file: path, class, probability.

    Args:
        run: directory of a fine-tuned run, or of one that keeps a probe.
        images: files, and folders of which every image at any depth is taken.
        out: file to write.
        step: which checkpoint; see ``find``.
        probe: file of a probe; see ``find``.

    Raises:
        ValueError: as ``find``; no image, or none that can be read.
        FileNotFoundError: a path where nothing is.
    """
    classifier = find(run, step, probe)
    paths = _list_files(images)
    encoder = classifier.encoder
    attempted = _Attempted(encoder.open_files(paths), inputs.square_side(encoder.inputs), [])
    rows = []
    batches = data.batches(attempted, classifier.batch_size)
    for probabilities, batch in classifier.probabilities(batches):
        for row, readable in zip(probabilities, batch["readable"], strict=True):
            rows.append((int(row.argmax()), float(row.max())) if readable else None)
    unreadable = tuple(map(words.printable, sorted(attempted.failures)))
    if all(row is None for row in rows):
        raise ValueError(f"IMAGES: one must be readable at least; got {'; '.join(unreadable)}.")
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for path, row in zip(paths, rows, strict=True):
        if row is not None:
            name = classifier.class_names[row[0]]
            writer.writerow((words.printable(str(path)), name, f"{row[1]:.6f}"))
    files.make_directory(Path(out).absolute().parent)
    files.write_whole(out, text.getvalue())
    return Predicted(len(paths) - len(unreadable), unreadable)


@dataclasses.dataclass(frozen=True, eq=False)
class _Attempted:
    """A source where what cannot be read is black, and marked.

    Attributes:
        source: of files.
        side: height and width of its images, and channels.
        failures: what could not be read so far.
    """

    source: data.Source
    side: tuple[int, int]
    failures: list[str]

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> dict:
        try:
            return {**self.source[index], "readable": True}
        except UnreadableError as error:
            self.failures.append(f"{error.example}: {error.reason}")
            size, channels = self.side
            return {"image": np.zeros((size, size, channels), np.uint8), "readable": False}


def _list_files(images: Sequence[str | os.PathLike]) -> list[Path]:
    """Files as they are named, and all images below folders, each once."""
    paths = []
    for place in map(Path, images):
        if not place.exists():
            raise FileNotFoundError(
                f"IMAGES: must be images and folders of images; got {words.printable(str(place))}, "
                "which is no file and no folder."
            )
        paths += data.list_every(place) if place.is_dir() else [place]
    return list(dict.fromkeys(paths))


def _probabilities(opened: OpenedRun, variables: PyTree, images: Array) -> dict[str, Array]:
    assert opened.method.answer is not None
    params, state = variables
    logits = opened.method.answer(params, state, {"image": images})
    return {"probabilities": jax.nn.softmax(logits)}
