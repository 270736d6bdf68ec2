"""Usefulness: linear probes of the trained encoder, of the untrained one and of pixels."""

import dataclasses
import json
from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxssl import checkpoints, data
from jaxssl.evaluation import accuracy, evaluate, features, linear
from jaxssl.types import PyTree

KINDS = ("trained", "random", "pixels")
_BATCH = 500
# Bounds the time: three penalties, solved as exactly as 2,000 test images can tell apart.
_PROTOCOL = linear.LinearConfig(l2_grid=(1e-1, 1e-2, 1e-3), tolerance=1e-3, extend=False)
_MAX_PIXELS = 1024  # values of an image beyond which pixels are averaged before they are fitted


class Accuracy(NamedTuple):
    """A test accuracy and the ends of its 95 % interval."""

    value: float
    low: float
    high: float


class Usefulness(NamedTuple):
    """Linear accuracies.

    Attributes:
        accuracies: by kind: trained, random, pixels.
        origin: where they come from, for the report.
    """

    accuracies: dict[str, Accuracy]
    origin: str


def gain(better: Accuracy, worse: Accuracy) -> Accuracy:
    """The difference of two accuracies; its half-width is the root of the sum of their squares.

    That counts the test images as drawn twice, which makes the interval too wide rather than too
    narrow.
    """
    value = better.value - worse.value
    half = float(np.hypot(better.high - better.low, worse.high - worse.low)) / 2
    return Accuracy(value, value - half, value + half)


def recorded(run: Path, step: int) -> Usefulness | None:
    """What ``jaxssl evaluate`` wrote, if it wrote all three under one protocol at this step."""
    paths = [run / "evaluation" / f"linear-{kind}.json" for kind in KINDS]
    if not all(path.exists() for path in paths):
        return None
    records = dict(zip(KINDS, (json.loads(path.read_text()) for path in paths)))
    same = len({record["stamp"] for record in records.values()}) == 1
    if not same or records["trained"]["subject"]["step"] != step:
        return None
    found = {
        kind: _accuracy(record["results"]["test_accuracy"], record["protocol"]["test_size"])
        for kind, record in records.items()
    }
    return Usefulness(found, "RUN/evaluation, all images")


def measured(
    encoder: checkpoints.RestoredEncoder,
    untrained: PyTree,
    train: data.Source,
    test: data.Source,
    *,
    num_train: int,
    num_test: int,
) -> Usefulness:
    """Linear probes on evenly spaced parts of both splits.

    Args:
        encoder: the trained encoder.
        untrained: variables of the same encoder before training.
        train: labelled training split.
        test: labelled test split.
        num_train: images fitted at most.
        num_test: images predicted at most.

    Returns:
        Accuracies on the test part; pixels are averaged over squares where an image has more than
        1,024 values.
    """
    parts = _part(train, num_train), _part(test, num_test)
    found = {}
    for kind in KINDS:
        if kind == "pixels":
            sets = [features.pixels(data.batches(_smaller(part), _BATCH)) for part in parts]
        else:
            variables = encoder.variables if kind == "trained" else untrained
            used = dataclasses.replace(encoder, variables=variables)
            sets = [evaluate.encode(used, part, _BATCH) for part in parts]
        fitted, judged = sets
        result = linear.fit(
            fitted.pooled, fitted.labels, judged.pooled, judged.labels, config=_PROTOCOL
        )
        found[kind] = _accuracy(result.test_accuracy, result.num_test)
    return Usefulness(found, f"{len(parts[0]):,} training and {len(parts[1]):,} test images")


def _accuracy(value: float, num_examples: int) -> Accuracy:
    return Accuracy(value, *accuracy.interval(value, num_examples))


def _part(source: data.Source, count: int) -> data.ArraySource:
    rows = np.linspace(0, len(source) - 1, min(count, len(source))).astype(int)
    records = [source[row] for row in rows.tolist()]
    images = np.stack([record["image"] for record in records])
    return data.from_arrays(images, np.array([record["label"] for record in records]))


def _smaller(source: data.ArraySource) -> data.ArraySource:
    """Images averaged over squares, the smallest that leave at most ``_MAX_PIXELS`` values."""
    images = source.images
    side = int(np.ceil(np.sqrt(images[0].size / _MAX_PIXELS)))
    if side == 1:
        return source
    rows, columns = (length // side for length in images.shape[1:3])
    cut = images[:, : rows * side, : columns * side]
    cells = cut.reshape(len(images), rows, side, columns, side, -1).mean(axis=(2, 4))
    return dataclasses.replace(source, images=np.rint(cells).astype(np.uint8))
