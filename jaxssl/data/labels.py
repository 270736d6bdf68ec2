"""Class labels as data sets bring them: any integers, which become 0 … K − 1.

The number that a class has in the data set stays its name where it has no other. −1 marks an
example whose class is not known: pretraining needs none, evaluation does.
"""

from collections.abc import Iterable

import numpy as np

UNKNOWN = -1
MAX_CLASSES = 1_000_000  # that are numbered by their labels, each with a name


def check(labels: np.ndarray, what: str, num_examples: int) -> np.ndarray:
    """Labels as they are, [N] integers of any width.

    Args:
        labels: [N] or [N, 1].
        what: opens the messages.
        num_examples: N.

    Raises:
        ValueError: other shapes or types, another number of them, or a label below −1.
    """
    if labels.ndim == 2 and labels.shape[1] == 1:  # as CIFAR and MedMNIST archives have them
        labels = labels[:, 0]
    if labels.ndim != 1 or not np.issubdtype(labels.dtype, np.integer):
        fix = " Take labels.argmax(-1) of one-hot labels." if labels.ndim == 2 else ""
        raise ValueError(
            f"{what} must be integers [N]; got {labels.dtype.name} {list(labels.shape)}.{fix}"
        )
    if len(labels) != num_examples:
        raise ValueError(
            f"{what} must be one per example; got {num_examples} examples and {len(labels)} labels."
        )
    if labels.min() < UNKNOWN:
        raise ValueError(
            f"{what} must be at least 0, or -1 where the class is unknown; got {labels.min()}. "
            "Leave the labels out where there are none."
        )
    return labels


def find_values(labels: Iterable[np.ndarray]) -> np.ndarray | None:
    """The labels that some splits have, ascending and without −1: their places are the classes.

    Args:
        labels: of every split, so that all number the classes alike.

    Returns:
        Integers [K]; None where some are no integers, which ``check`` refuses.
    """
    labels = [np.ravel(each) for each in labels]
    if any(each.dtype.kind not in "iu" for each in labels):
        return None
    # NumPy would make float64 of int64 and uint64 together.
    values = {value for each in labels for value in np.unique(each).tolist()} - {UNKNOWN}
    return np.array(sorted(values), np.uint64 if max(values, default=0) >= 2**63 else np.int64)


def number(
    labels: np.ndarray,
    what: str,
    *,
    class_names: tuple[str, ...] | None,
    class_values: np.ndarray | None,
) -> tuple[np.ndarray, tuple[str, ...]]:
    """Classes 0 … K − 1 and their names.

    Args:
        labels: [N] integers that ``check`` gave.
        what: opens the messages.
        class_names: one name per class; labels are their places then.
        class_values: the label of each class, ascending; None where labels are the classes.

    Returns:
        int32 [N] in [−1, K), and K names.

    Raises:
        ValueError: a label without a name, or not among the values, or so large a one that there
            cannot be as many classes.
    """
    largest = int(labels.max())
    if class_names is not None:
        if largest >= len(class_names):
            raise ValueError(
                f"{what} must be below the number of class names, {len(class_names)}; got "
                f"{largest}."
            )
    elif class_values is not None:
        labels = _places(labels, what, class_values)
        class_names = tuple(map(str, class_values.tolist()))
    elif largest >= MAX_CLASSES:
        raise ValueError(
            f"{what} must be below {MAX_CLASSES:,} where they number the classes; got {largest}. "
            "Give class_values, np.unique of the labels of all splits."
        )
    else:
        class_names = tuple(map(str, range(largest + 1)))
    return np.ascontiguousarray(labels, np.int32), class_names


def _places(labels: np.ndarray, what: str, class_values: np.ndarray) -> np.ndarray:
    """The places of labels among the values of all classes; -1 stays."""
    places = np.full(len(labels), UNKNOWN, np.int32)
    is_known = labels != UNKNOWN
    known = labels[is_known].astype(class_values.dtype)
    places[is_known] = np.searchsorted(class_values, known)
    if not np.isin(known, class_values).all():
        strange = known[~np.isin(known, class_values)][0]
        raise ValueError(
            f"{what} must be among class_values; got {strange}. Take the labels of all splits: "
            "np.unique(np.concatenate([train_labels, test_labels]))."
        )
    return places


def content(labels: np.ndarray) -> np.ndarray:
    """What a fingerprint holds of labels: int32 where they fit, as they are else."""
    fits = labels.max() <= np.iinfo(np.int32).max
    return np.ascontiguousarray(labels, np.int32 if fits else labels.dtype)
