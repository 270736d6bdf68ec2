"""The two splits of a probe: labelled, and without an image in common."""

from typing import NamedTuple

import numpy as np

from jaxssl import data, inputs
from jaxssl import meta as meta_lib
from jaxssl.types import DataConfig

MAX_SHARED = 0.01  # of the test images: data sets hold a few images twice
_READ_AT_A_TIME = 256
_NUM_CHECKED = 32  # records whose labels are read before anything is encoded


class Splits(NamedTuple):
    """Two splits and their names.

    Attributes:
        train: what probes are fitted to.
        test: what is predicted.
        train_name: as the data set calls it.
        test_name: as the data set calls it.
    """

    train: data.Source
    test: data.Source
    train_name: str
    test_name: str


def open_splits(
    meta: dict,
    data_path: str | None = None,
    *,
    train_split: str | None = None,
    test_split: str | None = None,
) -> Splits:
    """Training and test split of a run's data set, in the shape that its encoder is fed.

    Videos are read as single frames, whatever clips pretraining saw.

    Args:
        meta: what the checkpoint recorded (``RestoredEncoder.meta``).
        data_path: where the data set is, if not where pretraining found it.
        train_split: what probes are fitted to.
        test_split: what is predicted.

    Returns:
        See ``choose``.
    """
    config = config_of(meta, data_path)
    return choose(config, train_split=train_split, test_split=test_split)


def config_of(meta: dict, data_path: str | None = None) -> DataConfig:
    """The config of a run's data set, in the shape that its encoder is fed; see ``open_splits``.

    Raises:
        ValueError: no ``data_path`` for an encoder that was imported, which has no data set.
    """
    if not meta_lib.is_imported(meta):
        config = data.elsewhere(data.from_json(meta["config"]["data"]), data_path)
    elif data_path is not None:
        config = data.ImageData(data_path, *inputs.square_side(inputs.of_meta(meta)))
    else:
        raise ValueError(
            "data: must be named for an encoder that was imported, which came without; got none. "
            "Add --data-path PATH, of finetune --data.path PATH."
        )
    return config.matching(inputs.of_meta(meta))


def choose(
    config: DataConfig, *, train_split: str | None = None, test_split: str | None = None
) -> Splits:
    """Opens the splits that probes are fitted to and judged on.

    A probe's splits are its own. They are those of the config unless others are named; but what
    pretraining learned from, without labels, may hold the test images ("all"), and then probes are
    fitted to "train".

    Args:
        config: the data set.
        train_split: what probes are fitted to.
        test_split: what is predicted.

    Raises:
        ValueError: no such split.
    """
    train_name, test_name = train_split or config.train_split, test_split or config.test_split
    train, test = (config.open(name) for name in (train_name, test_name))
    if train_split is None and train_name != "train" and shared_part(train, test) > MAX_SHARED:
        train_name = "train"
        train = config.open(train_name)
    return Splits(train, test, train_name, test_name)


def check(splits: Splits) -> None:
    """Refuses splits that no accuracy may be measured on, before anything is encoded.

    Raises:
        ValueError: a split without labels, or see ``check_disjoint``; or labels below 0, as TFDS
            marks those that are kept back.
    """
    check_labelled(splits.train, splits.train_name, "--train-split")
    check_labelled(splits.test, splits.test_name, "--test-split")
    check_disjoint(splits)


def check_labelled(source: data.Source, name: str, option: str) -> None:
    """Refuses a split without the classes of its examples.

    Args:
        source: the split.
        name: what it is called.
        option: that names another one.

    Raises:
        ValueError: no labels, or some below 0.
    """
    if not source.labelled:
        reason = data.account_of(source).unlabelled
        why = f", since {reason}" if reason else ""
        raise ValueError(
            f'evaluation: the data set must be labelled; got the split "{name}" of '
            f"{source.name} without labels{why}. Name a labelled split with {option}, or "
            "a labelled data set with --data-path."
        )
    lowest = _lowest_label(source)
    if lowest < 0:
        raise ValueError(
            f'evaluation: labels must be at least 0; got {lowest} in the split "{name}" of '
            f"{source.name}, which marks unknown classes: they may not be public. Name "
            f"another with {option}, such as validation, or leave those examples out."
        )


def check_disjoint(splits: Splits) -> None:
    """Refuses splits with images in common.

    Raises:
        ValueError: more than one test image in a hundred is in the training split.
    """
    part = shared_part(splits.train, splits.test)
    if part > MAX_SHARED:
        raise ValueError(
            f"evaluation: the splits must share no image; got {100 * part:.0f} % of "
            f'"{splits.test_name}" of {splits.test.name} in "{splits.train_name}". Name disjoint '
            "ones with --train-split and --test-split, such as train and test, or fit and "
            "validation."
        )


def shared_part(train: data.Source, test: data.Source) -> float:
    """The part of the test images that are in the training split, in [0, 1].

    Images in memory are compared by their content, files and records by where they are.
    """
    known = set(train.identities())
    found = test.identities()
    return sum(each in known for each in found) / len(found)


def labels_of(source: data.Source) -> np.ndarray:
    """The labels of all examples, int32 [N]; where they are not known, every example is read.

    Args:
        source: with labels.
    """
    known = getattr(source, "labels", None)
    if known is not None:
        return known
    return np.concatenate([batch["label"] for batch in data.batches(source, _READ_AT_A_TIME)])


def knows_classes(source: data.Source) -> bool:
    """Whether every example has a class, as far as labels are read before all are encoded."""
    return source.labelled and _lowest_label(source) >= 0


def _lowest_label(source: data.Source) -> int:
    if isinstance(source, data.ArraySource) and source.labels is not None:
        return int(source.labels.min())
    rows = np.linspace(0, len(source) - 1, min(_NUM_CHECKED, len(source))).astype(int)
    return min(source[row]["label"] for row in rows.tolist())
