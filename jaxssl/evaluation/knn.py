"""Weighted k-nearest-neighbour classification of frozen features: exact, and nothing to train."""

import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxssl.evaluation import accuracy
from jaxssl.types import Array

_BLOCK_VALUES = 2**25  # similarities held at a time: 128 MiB


class KnnResult(NamedTuple):
    """Accuracies of the vote, one entry per number of neighbours.

    Attributes:
        num_neighbors: the numbers asked for, in that order.
        accuracy: fraction of the test split that was voted right, for each.
        half_width: of the 95 % interval of each accuracy.
        per_class: [K] recall of each class, for each; NaN for a class the test split lacks.
        predictions: [N'] int32, for each; the class voted for.
        num_train: rows that vote.
        num_test: rows voted on.
        num_classes: K.
    """

    num_neighbors: tuple[int, ...]
    accuracy: tuple[float, ...]
    half_width: tuple[float, ...]
    per_class: tuple[np.ndarray, ...]
    predictions: tuple[np.ndarray, ...]
    num_train: int
    num_test: int
    num_classes: int


def evaluate(
    train_features: np.ndarray,
    train_labels: np.ndarray,
    test_features: np.ndarray,
    test_labels: np.ndarray,
    *,
    num_neighbors: Sequence[int] = (20, 200),
    temperature: float = 0.07,
    block: int | None = None,
) -> KnnResult:
    """Accuracy of ``classify`` on the test split, for each number of neighbours.

    The numbers of neighbours are a protocol fixed beforehand: report each, choose none by the test
    split.

    Args:
        train_features: [N, D] real, any scale.
        train_labels: [N] integers ≥ 0.
        test_features: [N', D].
        test_labels: [N'] integers ≥ 0; a class that the training split lacks counts as wrong.
        num_neighbors: each at most N.
        temperature: > 0, in units of cosine similarity.
        block: test rows compared at a time; by default as many as 128 MiB allow.

    Returns:
        KnnResult.

    Raises:
        ValueError: as ``classify``, or unusable labels or features.
    """
    train_features, train_labels = accuracy.check_pair(
        "knn.evaluate", train_features, train_labels, split="training"
    )
    test_features, test_labels = accuracy.check_pair(
        "knn.evaluate", test_features, test_labels, split="test"
    )
    num_classes = int(max(train_labels.max(), test_labels.max())) + 1
    predictions = classify(
        train_features,
        train_labels,
        test_features,
        num_neighbors=num_neighbors,
        temperature=temperature,
        num_classes=num_classes,
        block=block,
    )
    accuracies = tuple(float(np.mean(votes == test_labels)) for votes in predictions.values())
    return KnnResult(
        num_neighbors=tuple(predictions),
        accuracy=accuracies,
        half_width=tuple(accuracy.half_width(value, len(test_labels)) for value in accuracies),
        per_class=tuple(
            accuracy.per_class(votes, test_labels, classes=np.arange(num_classes))
            for votes in predictions.values()
        ),
        predictions=tuple(predictions.values()),
        num_train=len(train_labels),
        num_test=len(test_labels),
        num_classes=num_classes,
    )


def classify(
    train_features: np.ndarray,
    train_labels: np.ndarray,
    test_features: np.ndarray,
    *,
    num_neighbors: Sequence[int] = (20, 200),
    temperature: float = 0.07,
    num_classes: int,
    block: int | None = None,
) -> dict[int, np.ndarray]:
    """Class of each test row by a weighted vote of its nearest training rows.

    votes[c] = Σ over the k most similar training rows i with label c of exp(s_i / temperature),
    where s is the cosine similarity. Rows equally similar are taken in training order; of classes
    with equal votes the lowest wins.

    Args:
        train_features: [N, D] real, any scale; a zero row is orthogonal to everything.
        train_labels: [N] integers in [0, num_classes).
        test_features: [N', D] real.
        num_neighbors: the k, each in [1, N]; all are read off one search.
        temperature: > 0, in units of cosine similarity.
        num_classes: K.
        block: test rows compared at a time; by default as many as 128 MiB allow.

    Returns:
        For each k, [N'] int32 classes.

    Raises:
        ValueError: a k out of range, temperature ≤ 0, or unequal D.

    Source: Wu et al., Unsupervised Feature Learning via Non-Parametric Instance Discrimination,
        2018, arXiv:1805.01978, section 3.4; k and temperature as in Caron et al., Emerging
        Properties in Self-Supervised Vision Transformers, 2021, arXiv:2104.14294.
    """
    if not temperature > 0:
        raise ValueError(
            f"knn.classify: temperature must be positive; got {temperature}. 0.07 is usual."
        )
    if not num_neighbors or min(num_neighbors) < 1:
        raise ValueError(
            f"knn.classify: num_neighbors must name one k or more, each at least 1; got "
            f"{tuple(num_neighbors)}. (20, 200) is usual."
        )
    indices, similarities = neighbors(
        train_features, test_features, num_neighbors=max(num_neighbors), block=block
    )
    labels = np.asarray(train_labels)[indices]
    # Relative to the nearest row, so that no exponential overflows at a small temperature.
    weights = np.exp((similarities - similarities[:, :1]) / np.float32(temperature))
    rows = np.arange(len(labels))[:, None]
    predictions = {}
    for k in num_neighbors:
        votes = np.bincount(
            (rows * num_classes + labels[:, :k]).ravel(),
            weights[:, :k].ravel(),
            minlength=len(labels) * num_classes,
        )
        predictions[k] = votes.reshape(-1, num_classes).argmax(axis=1).astype(np.int32)
    return predictions


def neighbors(
    features: np.ndarray, queries: np.ndarray, *, num_neighbors: int, block: int | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """The most similar rows to each query by cosine similarity, exactly, in blocks of queries.

    Args:
        features: [N, D] real, the rows searched; kept on one device.
        queries: [N', D] real.
        num_neighbors: k in [1, N].
        block: queries compared at a time, which holds block · N similarities; by default as many
            as 128 MiB allow.

    Returns:
        Indices [N', k] int32 and similarities [N', k] float32, most similar first, equals in row
        order.

    Raises:
        ValueError: k out of range, or unequal D.
    """
    if not 1 <= num_neighbors <= len(features):
        raise ValueError(
            f"knn.neighbors: num_neighbors must lie in [1, {len(features)}], the rows searched; "
            f"got {num_neighbors}. Ask for fewer neighbours."
        )
    if queries.shape[1] != features.shape[1]:
        raise ValueError(
            f"knn.neighbors: queries must have the features' {features.shape[1]} columns; "
            f"got {queries.shape[1]}. Extract both with the same encoder."
        )
    if block is None:
        block = max(1, _BLOCK_VALUES // len(features))
    block = min(block, len(queries))
    searched = _normalise(jnp.asarray(features, jnp.float32))
    parts = []
    for begin in range(0, len(queries), block):
        rows = np.asarray(queries[begin : begin + block], np.float32)
        missing = block - len(rows)
        rows = np.pad(rows, ((0, missing), (0, 0)))  # one compiled shape
        similarity, index = _search(searched, rows, num_neighbors)
        parts.append(
            (np.asarray(index)[: block - missing], np.asarray(similarity)[: block - missing])
        )
    indices, similarities = zip(*parts)
    return np.concatenate(indices), np.concatenate(similarities)


@jax.jit
def _normalise(rows: Array) -> Array:
    # The floor keeps zero rows at zero; it is far below the square of any real feature's norm.
    return rows * lax.rsqrt(jnp.maximum(jnp.sum(rows * rows, axis=1, keepdims=True), 1e-24))


@functools.partial(jax.jit, static_argnames="num_neighbors")
def _search(features: Array, queries: Array, num_neighbors: int) -> tuple[Array, Array]:
    similarity = jnp.matmul(_normalise(queries), features.T, precision=lax.Precision.HIGHEST)
    return lax.top_k(similarity, num_neighbors)
