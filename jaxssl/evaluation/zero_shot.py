"""Classification without a label: an image is of the class whose name, in sentences, is nearest."""

import dataclasses
import os
from collections.abc import Sequence
from typing import Any

import numpy as np

from jaxssl.evaluation import accuracy, splits, towers
from jaxssl.evaluation.subject import Subject

NAME = "zero-shot"  # what the result file calls the evaluator
TOP = (1, 5)
_BLOCK = 2**24  # similarities held at a time


@dataclasses.dataclass(frozen=True)
class Options:
    """What is measured.

    Attributes:
        classes: a name for each class, in the order of the data set's; by default its own names.
        prompts: sentences with {} where the name comes; a class is the mean of its sentences.
        step: checkpoint; the newest by default.
        data_path: where the data set is, if not where pretraining found it.
        test_split: what is classified; by default the test split of the run.
    """

    classes: tuple[str, ...] | None = None
    prompts: tuple[str, ...] = ("a photo of a {}.",)
    step: int | None = None
    data_path: str | None = None
    test_split: str | None = None

    def __post_init__(self):
        if not self.prompts:
            raise ValueError(f"{NAME}: prompts must be at least one sentence; got none.")
        for prompt in self.prompts:
            if prompt.count("{}") != 1:
                raise ValueError(
                    f"{NAME}: prompts must have {{}} once, where the name of a class comes; got "
                    f'"{prompt}".'
                )


def measure(run: str | os.PathLike, options: Options = Options()) -> dict:
    """Classifies the test split by the names of its classes; one file below ``RUN/evaluation``.

    Sentences are embedded, brought to length 1, averaged over the prompts of a class and brought to
    length 1 again; classes are ranked by cosine similarity. Nothing is fitted, and no label is read
    but to count what is right. Of equals the right class comes last.

    Args:
        run: run directory.
        options: what is measured.

    Returns:
        The record that was written; "results" has "top_1" and, of more than five classes, "top_5",
        each ``{"accuracy", "half_width" of its 95 % interval, "chance"}``, and "per_class", the
        part of each class that is right.

    Raises:
        ValueError: an encoder without texts, a split without labels or with training images, names
            that are not one for each class, or a sentence that is too long.

    Source: Radford et al., Learning Transferable Visual Models From Natural Language Supervision,
        2021, arXiv:2103.00020, sec. 3.1.
    """
    subject = Subject(step=options.step, data_path=options.data_path, test_split=options.test_split)
    opened = towers.open_towers(run, subject, NAME)
    test = opened.opened.test
    splits.check_labelled(test, opened.opened.test_name, "--test-split")
    names = (test.class_names if options.classes is None else options.classes) or ()
    if len(names) != test.num_classes:
        raise ValueError(
            f"{NAME}: classes must be a name for each of the {test.num_classes} classes of "
            f"{test.name}; got {len(names)}."
        )
    by_class = _embed_classes(opened, names, options.prompts)
    images, labels = opened.embed(opened.test_batches(), "image", len(test))
    assert labels is not None
    ranks = rank_right(images, by_class, labels)
    results, correct = {}, {}
    for top in TOP:
        if top == 1 or top < len(names):
            correct[f"top_{top}"] = ranks < top
            right = float(np.mean(ranks < top))
            width = accuracy.half_width(right, len(ranks))
            chance = min(top / len(names), 1.0)
            results[f"top_{top}"] = {"accuracy": right, "half_width": width, "chance": chance}
    results["per_class"] = {
        name: float(np.mean(ranks[labels == label] == 0))
        for label, name in enumerate(names)
        if np.any(labels == label)
    }
    described = {"classes": list(names), "prompts": list(options.prompts)}
    return opened.write(run, NAME, described, results, correct)


def rank_right(images: np.ndarray, classes: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many wrong classes are at least as near to each image as the right one.

    Args:
        images: float32 [N, D], unit rows.
        classes: float32 [K, D], unit rows.
        labels: int [N].

    Returns:
        int64 [N], 0 where the right class is the nearest.
    """
    size = max(1, _BLOCK // len(classes))
    ranks = []
    for start in range(0, len(images), size):
        own = labels[start : start + size, None]
        similar = images[start : start + size] @ classes.T
        ranks.append((similar >= np.take_along_axis(similar, own, axis=1)).sum(axis=1) - 1)
    return np.concatenate(ranks)


def _embed_classes(
    opened: towers.Towers, names: Sequence[str], prompts: Sequence[str]
) -> np.ndarray:
    """One unit row for each class, float32 [K, D]."""
    sentences = [prompt.replace("{}", name).encode() for name in names for prompt in prompts]
    config: Any = opened.config  # of images with texts
    rows = opened.embed_texts(config.encode(sentences, cut=False))
    means = rows.reshape(len(names), len(prompts), -1).mean(axis=1)
    norms = np.linalg.norm(means, axis=1, keepdims=True)
    return means / np.where(norms == 0, 1, norms)
