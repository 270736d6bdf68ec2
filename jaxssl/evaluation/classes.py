"""Classes that only one of two splits has: they cannot be predicted, or nothing asks for them."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

MAX_NAMED = 10  # of a message


class OneSided(NamedTuple):
    """What two splits do not share.

    Attributes:
        unseen: labels of the test split that the training split lacks, ascending: every example of
            them counts as an error.
        untested: labels of the training split that the test split lacks, ascending.
        num_unseen: test examples whose class is unseen.
    """

    unseen: tuple[int, ...]
    untested: tuple[int, ...]
    num_unseen: int

    def to_json(self, class_names: Sequence[str] | None = None) -> dict:
        """For a result file, with names for labels; empty where both splits have the same classes.

        Args:
            class_names: of all classes; None where labels have no names but their numbers.
        """
        found: dict[str, Any] = {}
        if self.unseen:
            found["unseen_classes"] = _named(self.unseen, class_names)
            found["num_unseen"] = self.num_unseen
        if self.untested:
            found["untested_classes"] = _named(self.untested, class_names)
        return found


def compare(
    train_labels: np.ndarray, test_labels: np.ndarray, class_names: Sequence[str] | None = None
) -> OneSided:
    """The classes that only one of two splits has.

    Args:
        train_labels: integers [N].
        test_labels: integers [N'].
        class_names: of all classes, for the message.

    Raises:
        ValueError: the splits have no class in common, so that every prediction is wrong.
    """
    train, (test, counts) = np.unique(train_labels), np.unique(test_labels, return_counts=True)
    is_unseen = ~np.isin(test, train)
    if is_unseen.all():
        raise ValueError(
            "evaluation: the splits must share a class; got "
            f"{listed(_named(train, class_names))} in training and "
            f"{listed(_named(test, class_names))} in the test split. Give both splits the same "
            "class names."
        )
    return OneSided(
        unseen=tuple(test[is_unseen].tolist()),
        untested=tuple(train[~np.isin(train, test)].tolist()),
        num_unseen=int(counts[is_unseen].sum()),
    )


def sentences(record: Mapping) -> list[str]:
    """What a reader of accuracies must know of the classes behind them; empty mostly.

    Args:
        record: a result file, whose results hold what ``OneSided.to_json`` gave.
    """
    results, found = record["results"], []
    if names := results.get("unseen_classes"):
        found.append(
            f"training lacks {_counted(names)} of the test split, {listed(names)}: "
            f"{results['num_unseen']:,} of {record['protocol']['test_size']:,} test images count "
            "as errors, whatever is predicted; the accuracy over known classes stands beside"
        )
    if names := results.get("untested_classes"):
        found.append(
            f"the test split lacks {_counted(names)} of training, {listed(names)}: the accuracy "
            "says nothing of them"
        )
    return found


def listed(names: Sequence[str]) -> str:
    """Names with commas, the first ten and how many more."""
    more = f" and {len(names) - MAX_NAMED:,} more" if len(names) > MAX_NAMED else ""
    return ", ".join(names[:MAX_NAMED]) + more


def _counted(names: Sequence[str]) -> str:
    return "a class" if len(names) == 1 else f"{len(names):,} classes"


def _named(labels: Iterable[int], class_names: Sequence[str] | None) -> list[str]:
    return [str(label) if class_names is None else class_names[label] for label in labels]
