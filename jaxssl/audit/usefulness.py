"""Usefulness: linear probes of the trained encoder, of a random one and of pixels.

The random encoder is the one that ``jaxssl evaluate`` draws (``evaluation.random_encoder``): the
one that training began with may be its stem and shortcuts alone.
"""

from pathlib import Path
from typing import NamedTuple

import numpy as np

from jaxssl import checkpoints, data
from jaxssl.evaluation import (
    accuracy,
    layers,
    linear,
    pixels,
    preparation,
    protocol,
    random_encoder,
    splits,
)

KINDS = ("trained", "random", "pixels")
_BATCH = 500
# Bounds the time: three penalties, solved as exactly as 2,000 test images can tell apart.
_PROTOCOL = linear.LinearConfig(l2_grid=(1e-1, 1e-2, 1e-3), tolerance=1e-3, extend=False)
_MAX_PIXELS = 1024  # values of an image beyond which pixels are averaged before they are fitted
# What may differ in the protocols of encoders that are compared: pixels have no network.
_OF_ONE_KIND = ("averaged_over",)


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


def read(run: Path, step: int, opened: splits.Splits) -> Usefulness | None:
    """What ``jaxssl evaluate`` wrote of a step, if it wrote all three under one protocol.

    Args:
        run: run directory.
        step: checkpoint that is audited.
        opened: the splits; results on others do not count.
    """
    fingerprints = {
        "train_fingerprint": opened.train.fingerprint,
        "test_fingerprint": opened.test.fingerprint,
    }
    by_protocol: dict[str, dict[str, dict]] = {}
    for record in protocol.read(run, step):
        described, subject = record["protocol"], record["subject"]
        is_first = subject.get("weights_seed", 0) == 0
        wanted = fingerprints | {"evaluator": "linear", "layer": layers.POOLED.name}
        if is_first and wanted.items() <= described.items():
            shared = {name: described[name] for name in described if name not in _OF_ONE_KIND}
            by_protocol.setdefault(protocol.stamp(shared), {})[subject["encoder"]] = record
    for records in by_protocol.values():
        if records.keys() >= set(KINDS):
            found = {
                kind: _accuracy(
                    records[kind]["results"]["test_accuracy"],
                    records[kind]["protocol"]["test_size"],
                )
                for kind in KINDS
            }
            return Usefulness(found, "RUN/evaluation, all images")
    return None


def measure(
    encoder: checkpoints.RestoredEncoder,
    opened: splits.Splits,
    *,
    num_train: int,
    num_test: int,
) -> Usefulness:
    """Linear probes on evenly spaced parts of both splits.

    Args:
        encoder: the trained encoder.
        opened: labelled splits without an image in common.
        num_train: images fitted at most.
        num_test: images predicted at most.

    Returns:
        Accuracies on the test part; pixels are averaged over squares where an image has more than
        1,024 values.
    """
    parts = data.sample(opened.train, num_train), data.sample(opened.test, num_test)
    shuffled = random_encoder.shuffled_batches(parts[0], _BATCH, seed=0)
    encoders = {"trained": encoder, "random": random_encoder.draw(encoder, 0, shuffled)}
    found = {}
    for kind in KINDS:
        if kind == "pixels":
            fitted, judged = (
                pixels.pixels(
                    data.batches(part, _BATCH), num_examples=len(part), max_values=_MAX_PIXELS
                )
                for part in parts
            )
        else:
            fitted, judged = (
                preparation.encode(encoders[kind], part, (layers.POOLED,), _BATCH) for part in parts
            )
        (train,), (test,) = fitted.layers.values(), judged.layers.values()
        labels = fitted.labels, judged.labels
        assert labels[0] is not None and labels[1] is not None  # as the caller has seen
        result = linear.fit(train, labels[0], test, labels[1], config=_PROTOCOL)
        found[kind] = _accuracy(result.test_accuracy, result.num_test)
    return Usefulness(found, f"{len(parts[0]):,} training and {len(parts[1]):,} test images")


def _accuracy(value: float, num_examples: int) -> Accuracy:
    return Accuracy(value, *accuracy.interval(value, num_examples))
