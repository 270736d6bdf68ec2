"""What a source of images is, and how one without splits is divided."""

import difflib
from collections.abc import Mapping, Sequence
from typing import Protocol

import numpy as np

from jaxssl.data import order

SINGLE_SET_SPLITS = ("train", "test", "all")
TEST_SHARE = 5  # one image in five is held out where a data set brings no split of its own


class Source(Protocol):
    """Random access to the images of one split, in a fixed order.

    Sources that are in memory are ``ArraySource``, with ``images`` and ``labels`` as arrays;
    all others decode on demand.

    Attributes:
        name: where the images come from, for messages and reports.
        labelled: whether records carry a label.
        num_classes: number of classes of the whole data set; None without labels.
        class_names: one name per class; None without labels.
        fingerprint: hexadecimal sha256 that changes with the content, whatever the image size
            asked for.
    """

    name: str

    @property
    def labelled(self) -> bool:
        """Whether records carry a label."""

    @property
    def num_classes(self) -> int | None:
        """Number of classes of the whole data set."""

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """One name per class."""

    @property
    def fingerprint(self) -> str:
        """Changes with the content."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Mapping[str, np.ndarray | int]: ...


def single_set_rows(num_rows: int, split: str, *, name: str) -> np.ndarray:
    """Rows of one split of a data set that comes as a single set.

    The first fifth (rounded down, at least one row) of a permutation that depends on nothing but
    the number of rows is "test", the rest is "train", and "all" is everything. Rows keep the order
    of the file, which may be sorted by class: hence a permutation and not a cut.

    Args:
        num_rows: rows of the whole set.
        split: "train", "test" or "all".
        name: the data set, for the messages.

    Returns:
        int64 row numbers, ascending.

    Raises:
        ValueError: for another split, or fewer than two rows to divide.
    """
    if chosen_split(name, split, SINGLE_SET_SPLITS) == "all":
        return np.arange(num_rows)
    if num_rows < 2:
        raise ValueError(
            f"open_source: {name} must hold at least 2 images to be divided into train and test; "
            f'got {num_rows}. Ask for the split "all".'
        )
    shuffled = order.permutation(num_rows, key=(0, 0))
    num_test = max(1, num_rows // TEST_SHARE)
    return np.sort(shuffled[:num_test] if split == "test" else shuffled[num_test:])


def chosen_split(name: str, split: str, splits: Sequence[str]) -> str:
    """The one of ``splits`` that ``split`` means: "test" is the validation set where none other is.

    Raises:
        ValueError: where it is none of them, with the list and the nearest.
    """
    if split in splits:
        return split
    stand_ins = [each for each in ("validation", "val") if each in splits]
    if split == "test" and stand_ins:
        return stand_ins[0]
    raise ValueError(
        f"open_source: the split of {name} must be one of {', '.join(splits)}; "
        f'got "{split}".{nearest(split, splits)}'
    )


def nearest(word: str, words: Sequence[str]) -> str:
    """`` Did you mean "x"?`` with the nearest of ``words``; nothing where none is near."""
    close = difflib.get_close_matches(word, words, n=1)
    return f' Did you mean "{close[0]}"?' if close else ""
