"""Accuracy, its uncertainty and its breakdown by class, shared by every evaluator."""

import math
from typing import NamedTuple

import numpy as np

Z95 = 1.959963984540054  # two-sided 95 % quantile of the normal distribution


class Known(NamedTuple):
    """Accuracy over the test examples whose class the training split has.

    Attributes:
        accuracy: fraction of them, in [0, 1].
        half_width: of its 95 % interval; None of a single draw of few labels.
        num_test: how many they are.
    """

    accuracy: float
    half_width: float | None
    num_test: int


def over_known(predictions: np.ndarray, labels: np.ndarray, classes: np.ndarray) -> Known | None:
    """The accuracy over known classes; None where every class of the test split is known.

    Args:
        predictions: [N] integer labels.
        labels: [N] integer labels, of which some are in ``classes``.
        classes: [K] labels of the training split.
    """
    is_known = np.isin(labels, classes)
    if is_known.all():
        return None
    num_test = int(is_known.sum())
    right = float(np.mean(predictions[is_known] == labels[is_known]))
    return Known(right, half_width(right, num_test), num_test)


def half_width(accuracy: float, num_examples: int) -> float:
    """Half the length of the 95 % Wilson interval of an accuracy.

    z / (1 + z²/n) · sqrt(a (1 − a) / n + z² / (4 n²)). Unlike the textbook z·sqrt(a (1 − a) / n) it
    stays above zero where every example, or none, is right. It counts only the draw of the test
    examples, not the noise of training.

    Args:
        accuracy: fraction of right predictions, in [0, 1].
        num_examples: n, the test examples behind it, at least 1.

    Returns:
        Half-width as a fraction, in (0, 0.5).

    Source: Wilson, Probable inference, the law of succession, and statistical inference, 1927.
    """
    z2_n = Z95**2 / num_examples
    spread = accuracy * (1 - accuracy) / num_examples + z2_n / (4 * num_examples)
    return Z95 / (1 + z2_n) * math.sqrt(spread)


def interval(accuracy: float, num_examples: int) -> tuple[float, float]:
    """Both ends of the 95 % Wilson interval of an accuracy, fractions in [0, 1].

    Its middle is (a + z²/(2 n)) / (1 + z²/n), nearer to one half than the accuracy; see
    ``half_width`` for the rest and the arguments.
    """
    z2_n = Z95**2 / num_examples
    middle, half = (accuracy + z2_n / 2) / (1 + z2_n), half_width(accuracy, num_examples)
    return max(0.0, middle - half), min(1.0, middle + half)


def per_class(predictions: np.ndarray, labels: np.ndarray, *, classes: np.ndarray) -> np.ndarray:
    """Fraction of each class's examples that were predicted right (recall).

    Args:
        predictions: [N] integer labels, of ``classes``.
        labels: [N] integer labels; those not in ``classes`` are not counted.
        classes: [K] labels to report, ascending.

    Returns:
        [K] float64 in [0, 1]; NaN for a class without examples.
    """
    counts = confusion(predictions, labels, classes=classes)
    numbers = counts.sum(axis=1)
    return np.where(numbers, np.diagonal(counts) / np.maximum(numbers, 1), np.nan)


def confusion(predictions: np.ndarray, labels: np.ndarray, *, classes: np.ndarray) -> np.ndarray:
    """How many examples of each class were taken for each class.

    Args:
        predictions: [N] integer labels, of ``classes``.
        labels: [N] integer labels; examples whose label is not in ``classes`` are not counted.
        classes: [K] labels, ascending.

    Returns:
        int64 [K, K]: examples of class i that were predicted as class j.
    """
    is_known = np.isin(labels, classes)
    true, taken = (np.searchsorted(classes, each[is_known]) for each in (labels, predictions))
    count = len(classes)
    return np.bincount(true * count + taken, minlength=count**2).reshape(count, count)


def check_pair(
    caller: str, features: np.ndarray, labels: np.ndarray, *, split: str
) -> tuple[np.ndarray, np.ndarray]:
    """Checks one split's features and labels.

    Args:
        caller: name that opens the error messages.
        features: [N, D], real numbers, all finite.
        labels: [N] integers ≥ 0.
        split: what the messages call this split.

    Returns:
        The features as float32 and the labels as int64, NumPy arrays.

    Raises:
        ValueError: wrong rank, unequal lengths, no rows, not finite, or labels that are not
            integers ≥ 0.
    """
    if labels is None:
        raise ValueError(
            f"{caller}: {split} labels must be integers; got None. "
            "Evaluation needs a labelled split."
        )
    features, labels = np.asarray(features), np.asarray(labels)
    if features.ndim != 2 or features.size == 0:
        raise ValueError(
            f"{caller}: {split} features must be [N, D] with N and D at least 1; "
            f"got shape {features.shape}. Pool tokens or flatten images first."
        )
    if labels.shape != features.shape[:1]:
        raise ValueError(
            f"{caller}: {split} labels must be one per row of the features; got labels "
            f"{labels.shape} for features {features.shape}. Extract both from the same batches."
        )
    if labels.dtype.kind not in "iu" or labels.min() < 0:
        raise ValueError(
            f"{caller}: {split} labels must be integers ≥ 0; got {labels.dtype} with minimum "
            f"{labels.min()}. Drop the unlabelled examples."
        )
    features = features.astype(np.float32, copy=False)
    # The largest and the smallest value of a row tell, without N · D booleans.
    finite = np.isfinite(features.max(axis=1)) & np.isfinite(features.min(axis=1))
    bad_rows = np.flatnonzero(~finite)
    if bad_rows.size:
        raise ValueError(
            f"{caller}: {split} features must be finite; got NaN or infinity in {bad_rows.size} of "
            f"{len(features)} rows, first in row {bad_rows[0]}. The encoder probably diverged."
        )
    return features, labels.astype(np.int64)


def check_splits(
    caller: str,
    train_features: np.ndarray,
    train_labels: np.ndarray,
    test_features: np.ndarray,
    test_labels: np.ndarray,
) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Checks both splits by ``check_pair``, and that they have the same features.

    Returns:
        The four arrays in the order of the arguments, as ``check_pair`` returns them.

    Raises:
        ValueError: see ``check_pair``; or another number of columns.
    """
    train_features, train_labels = check_pair(
        caller, train_features, train_labels, split="training"
    )
    test_features, test_labels = check_pair(caller, test_features, test_labels, split="test")
    if test_features.shape[1] != train_features.shape[1]:
        raise ValueError(
            f"{caller}: test features must have the training features' {train_features.shape[1]} "
            f"columns; got {test_features.shape[1]}. Extract both with the same encoder."
        )
    return train_features, train_labels, test_features, test_labels
