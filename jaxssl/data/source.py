"""What a source of images is, and how one without splits is divided."""

import dataclasses
import hashlib
from collections.abc import Hashable, Mapping, Sequence
from typing import Any, NamedTuple, Protocol, TypeGuard, cast

import numpy as np

from jaxssl import words
from jaxssl.data import crops, order

Record = Mapping[str, Any]  # np.ndarray, int as "label" or "index", cropping.Crops as "image"
SINGLE_SET_SPLITS = ("train", "test", "all")
TEST_SHARE = 5  # one image in five is held out where a data set brings no split of its own
VALIDATION_SHARE = 10  # one image in ten of "train" is "validation" where no other one is
PARTS_OF_TRAIN = ("fit", "validation")


class Account(NamedTuple):
    """What is to be said of how a split was read.

    Attributes:
        divided: where "train" is part of a single set: how much of it, and what is kept back.
        unlabelled: why records carry no label.
        notes: lines of their own: what was left out, and what may be meant otherwise.
        unreadable: the images for which others stood in, as far as it was read.
    """

    divided: str = ""
    unlabelled: str = ""
    notes: tuple[str, ...] = ()
    unreadable: tuple[str, ...] = ()


class Rows(Protocol):
    """Random access to some examples, of which nothing else is known."""

    def __len__(self) -> int: ...

    def __getitem__(self, index: int) -> Record: ...


class Source(Rows, Protocol):
    """Random access to the examples of one split, in a fixed order.

    Sources that are in memory are ``ArraySource``, with ``columns`` of whole arrays; all others
    decode on demand.

    Attributes:
        name: where the examples come from, for messages and reports.
        labelled: whether records carry a label.
        num_classes: number of classes of the whole data set; None without labels.
        class_names: one name per class; None without labels.
        fingerprint: hexadecimal sha256 that changes with the content, whatever the image size
            asked for.

    A source may have an ``account`` too (``account_of``), and one of images of more than 8 bits a
    channel has ``value_range``, what of them became 0 and 255. One of whole images that it decodes
    on demand is a ``Croppable``.
    """

    @property
    def name(self) -> str:
        """Where the examples come from."""

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

    def identities(self) -> Sequence[Hashable]:
        """What tells each example from others of the data set, equal where the example is."""


class Croppable(Source, Protocol):
    """A source of whole images that it decodes on demand."""

    def cropped(self, index: int, cut: crops.Cut) -> Record:
        """The record of a row whose "image" is ``cropping.Crops`` of the whole one."""


class UnreadableError(ValueError):
    """One image of a split cannot be read.

    Attributes:
        example: which one, such as its path.
        reason: why, in a few words.
    """

    def __init__(self, example: str, reason: object):
        super().__init__(f"data: {example} must be a readable image; got {reason}.")
        self.example = example
        self.reason = reason

    def __reduce__(self) -> tuple[type, tuple[str, str]]:
        """To and from another process."""
        return type(self), (self.example, str(self.reason))


@dataclasses.dataclass(frozen=True, eq=False)
class Wrapped:
    """What a source is called that reads from another one.

    Attributes:
        source: the other one.
    """

    source: Source

    @property
    def name(self) -> str:
        """The whole's."""
        return self.source.name

    @property
    def labelled(self) -> bool:
        """Whether records carry a label."""
        return self.source.labelled

    @property
    def num_classes(self) -> int | None:
        """Number of classes of the whole data set; None without labels."""
        return self.source.num_classes

    @property
    def class_names(self) -> tuple[str, ...] | None:
        """One name per class; None without labels."""
        return self.source.class_names

    @property
    def labels(self) -> np.ndarray | None:
        """Those of all examples, int32 [N], where they are known before any is decoded."""
        return getattr(self.source, "labels", None)

    @property
    def value_range(self) -> tuple[float, float] | None:
        """The whole's; None of one that has none."""
        return getattr(self.source, "value_range", None)


@dataclasses.dataclass(frozen=True, eq=False)
class Subset(Wrapped):
    """Some rows of a source that decodes on demand.

    Attributes:
        source: the whole.
        rows: int64 [N], ascending.
    """

    rows: np.ndarray = dataclasses.field(repr=False)

    @property
    def labels(self) -> np.ndarray | None:
        """Those of the rows, where they are known."""
        whole = super().labels
        return None if whole is None else whole[self.rows]

    @property
    def fingerprint(self) -> str:
        """sha256 of the whole's and of the rows."""
        return subset_fingerprint(self.source.fingerprint, self.rows)

    @property
    def account(self) -> Account:
        """What is to be said of how the whole was read."""
        return account_of(self.source)._replace(divided="")

    def identities(self) -> Sequence[Hashable]:
        """Those of the rows."""
        whole = self.source.identities()
        return [whole[row] for row in self.rows.tolist()]

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, index: int) -> Record:
        return self.source[int(self.rows[index])]

    def cropped(self, index: int, cut: crops.Cut) -> Record:
        """The whole's, of a row."""
        return whole_images(self.source).cropped(int(self.rows[index]), cut)


def account_of(source: Source) -> Account:
    """What is to be said of how a source was read; nothing of a source that says nothing."""
    return getattr(source, "account", Account())


def can_crop(source: Source) -> TypeGuard[Croppable]:
    """Whether the host can cut crops out of the whole images of a source, ``cropped``."""
    while isinstance(source, Wrapped):
        source = source.source
    return hasattr(source, "cropped")


def whole_images(source: Source) -> Croppable:
    """The source itself, of which ``can_crop`` is known."""
    return cast(Croppable, source)


def subset_fingerprint(fingerprint: str, rows: np.ndarray) -> str:
    """The fingerprint of some rows of a source with a fingerprint."""
    digest = hashlib.sha256(fingerprint.encode())
    digest.update(np.ascontiguousarray(rows, np.int64))  # type: ignore[arg-type]
    return digest.hexdigest()


def part_of_train(num_rows: int, part: str, *, name: str) -> np.ndarray:
    """Rows of "fit" or "validation" among those of "train".

    The first tenth (rounded down, at least one row) of a permutation that depends on nothing but
    the number of rows is "validation", the rest is "fit": what a choice is made on must be neither
    fitted nor the test split.

    Args:
        num_rows: rows of "train".
        part: "fit" or "validation".
        name: the data set, for the message.

    Returns:
        int64 row numbers, ascending.

    Raises:
        ValueError: fewer than two rows.
    """
    if num_rows < 2:
        raise ValueError(
            f'data: the split "train" of {name} must hold at least 2 images to be divided '
            f'into fit and validation; got {num_rows}. Ask for "train".'
        )
    shuffled = order.permutation(num_rows, key=(0, 1))
    num_held_out = max(1, num_rows // VALIDATION_SHARE)
    validation = part == "validation"
    return np.sort(shuffled[:num_held_out] if validation else shuffled[num_held_out:])


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
            f"data: {name} must hold at least 2 images to be divided into train and test; "
            f'got {num_rows}. Ask for the split "all".'
        )
    shuffled = order.permutation(num_rows, key=(0, 0))
    num_test = max(1, num_rows // TEST_SHARE)
    return np.sort(shuffled[:num_test] if split == "test" else shuffled[num_test:])


def divided(num_rows: int, split: str, *, unit: str = "images") -> str:
    """How much of a single set "train" is, for the user; nothing of other splits."""
    if split != "train":
        return ""
    num_test = max(1, num_rows // TEST_SHARE)
    return f"{num_rows - num_test:,} of {num_rows:,} {unit}; {num_test:,} kept for evaluation"


def chosen_split(name: str, split: str, splits: Sequence[str], *, has_parts: bool = True) -> str:
    """The one of ``splits`` that ``split`` means: "test" is the validation set where none other is.

    "validation" and "val" mean each other. Where "train" ``has_parts``, the message names them
    among the splits, since a caller divides it before it asks here.

    Raises:
        ValueError: where it is none of them, with the list and the nearest.
    """
    if split in splits:
        return split
    stand_ins = [each for each in ("validation", "val") if each in splits]
    if split in ("test", "validation", "val") and stand_ins:
        return stand_ins[0]
    known = [*splits, *(PARTS_OF_TRAIN if has_parts and "train" in splits else ())]
    raise ValueError(
        f"data: the split of {name} must be one of {', '.join(dict.fromkeys(known))}; "
        f'got "{split}".{words.nearest(split, known)}'
    )
