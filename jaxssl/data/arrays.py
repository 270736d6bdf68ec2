"""Data sets in memory: columns of examples, such as images and their labels."""

import dataclasses
import functools
import hashlib
from collections.abc import Mapping

import numpy as np

from jaxssl.data import bands, transforms, valuerange
from jaxssl.data import labels as label_lib
from jaxssl.data import source as source_lib

IMAGE, LABEL = "image", "label"
ROW_NUMBERS = "index"  # what batches call them
MAX_BYTES = 4  # a value; devices hold no wider one


@dataclasses.dataclass(frozen=True, eq=False)
class ArraySource:
    """A split in memory. Make one with ``from_arrays`` of images, ``from_columns`` of other data.

    Attributes:
        name: where the examples come from.
        columns: what an example has, by name, each [N, ...]: "image" is uint8 [N, H, W, C], and
            "label", where there is one, int32 [N] in [0, K), or -1 where the class is unknown.
        class_names: K names, or None without labels.
        fingerprint: sha256 of the columns as they were before any resizing.
        value_range: what became 0 and 255, where the images were no uint8.
        account: what is to be said of how they were read.
    """

    name: str
    columns: Mapping[str, np.ndarray] = dataclasses.field(repr=False)
    class_names: tuple[str, ...] | None
    fingerprint: str
    value_range: valuerange.ValueRange | None = dataclasses.field(default=None, kw_only=True)
    account: source_lib.Account = dataclasses.field(default=source_lib.Account(), kw_only=True)

    @property
    def labels(self) -> np.ndarray | None:
        """int32 [N], or None."""
        return self.columns.get(LABEL)

    @property
    def labelled(self) -> bool:
        """Whether records carry a label."""
        return LABEL in self.columns

    @property
    def num_classes(self) -> int | None:
        """Number of classes of the whole data set; None without labels."""
        return None if self.class_names is None else len(self.class_names)

    def identities(self) -> list[bytes]:
        """A hash of the content of each example, without its label."""
        contents = [column for name, column in sorted(self.columns.items()) if name != LABEL]
        found = []
        for row in range(len(self)):
            digest = hashlib.blake2b(digest_size=16)
            for column in contents:
                digest.update(np.ascontiguousarray(column[row]))  # type: ignore[arg-type]
            found.append(digest.digest())
        return found

    def subset(self, rows: np.ndarray) -> "ArraySource":
        """The examples of some rows, a copy."""
        return ArraySource(
            self.name,
            {name: column[rows] for name, column in self.columns.items()},
            self.class_names,
            source_lib.subset_fingerprint(self.fingerprint, rows),
            value_range=self.value_range,
            account=self.account._replace(divided=""),
        )

    def __len__(self) -> int:
        return len(next(iter(self.columns.values())))

    def __getitem__(self, index: int) -> dict[str, np.ndarray | int]:
        record = {name: column[index] for name, column in self.columns.items()}
        return record | {LABEL: int(record[LABEL])} if self.labelled else record

    def find_value_range(self, channels: int = 3) -> valuerange.ValueRange | None:
        """What of the images is black and white; None where they are uint8."""
        del channels  # they are as they are
        return valuerange.of_array(self.columns[IMAGE])

    def fit_images(
        self, *, image_size: int, channels: int, value_range: valuerange.ValueRange | None = None
    ) -> "ArraySource":
        """The same source with images uint8 [N, S, S, C]; its fingerprint stays.

        Args:
            image_size: S, pixels.
            channels: C; grey and RGB become each other, others are as they are.
            value_range: what becomes 0 and 255, of images that are no uint8.

        Raises:
            ValueError: images of other channels.
        """
        whole = self.in_eight_bits(value_range)
        images = whole.columns[IMAGE]
        try:
            images = transforms.fit_array(images, image_size=image_size, channels=channels)
        except ValueError as error:
            raise ValueError(f"data: the images of {self.name} have {error}.") from error
        return whole.with_images(images)

    def in_eight_bits(self, value_range: valuerange.ValueRange | None) -> "ArraySource":
        """The same source with uint8 images, scaled by a range where they were none."""
        images = self.columns[IMAGE]
        if images.dtype == np.uint8:
            return self
        assert value_range is not None  # that of other numbers has been measured
        scaled = self.with_images(valuerange.scaled(images, value_range))
        return dataclasses.replace(scaled, value_range=value_range)

    def with_images(self, images: np.ndarray) -> "ArraySource":
        """The same source with other images of the same examples; its fingerprint stays."""
        return dataclasses.replace(self, columns={**self.columns, IMAGE: images})


def from_arrays(
    images: np.ndarray,
    labels: np.ndarray | None = None,
    *,
    class_names: tuple[str, ...] | None = None,
    class_values: np.ndarray | None = None,
    name: str = "arrays",
    any_depth: bool = False,
) -> ArraySource:
    """A source of your own images.

    Args:
        images: uint8 [N, H, W, C], C from 1 to 32, or [N, H, W] for grey; N at least 1. Of
            numbers of other kinds ``data.scaled`` makes uint8.
        labels: integers [N] or [N, 1], at least 0, or -1 where the class is unknown; or None.
        class_names: one name per class; None makes "0", "1", … up to the largest label.
        class_values: the labels of all splits, ascending, each once, where they do not number the
            classes themselves: the class is the place among them, and its name the label.
        name: for messages and reports.
        any_depth: whether other numbers than uint8 are kept; ``fit_images`` brings them to it.

    Returns:
        The source, its images as given.

    Raises:
        ValueError: for other shapes, dtypes or lengths, with the conversion that is missing; for
            labels that have no name or no value.
    """
    columns = {IMAGE: images} if labels is None else {IMAGE: images, LABEL: labels}
    return _checked(
        columns, class_names, class_values, name, caller="from_arrays", any_depth=any_depth
    )


def from_columns(
    columns: Mapping[str, np.ndarray],
    *,
    class_names: tuple[str, ...] | None = None,
    name: str = "arrays",
) -> ArraySource:
    """A source of your own data of any kind: sequences, images with captions, signals.

    Args:
        columns: what an example has, by name; each [N, ...], numbers of 32 bits or fewer. "image"
            and "label" are what ``from_arrays`` takes as images and labels; sequences are padded
            to one length. Columns other than "label" reach a method's ``view``, without N.
        class_names: one name per class; None makes "0", "1", … up to the largest label.
        name: for messages and reports.

    Returns:
        The source, its columns as given.

    Raises:
        ValueError: for columns that cannot be, with the conversion that is missing.

    Example:
        >>> import numpy as np
        >>> from jaxssl import data
        >>> source = data.from_columns({"tokens": np.zeros((10, 128), np.int32)})
        >>> data.Loader(source, batch_size=4, seed=0).batch(0)["tokens"].shape
        (4, 128)
    """
    return _checked(columns, class_names, None, name, caller="from_columns")


def single_set(
    images: np.ndarray,
    labels: np.ndarray | None,
    split: str,
    *,
    name: str,
    class_names: tuple[str, ...] | None = None,
    any_depth: bool = False,
) -> ArraySource:
    """One split of a set that brings no splits; see ``source.single_set_rows``."""
    values = None if labels is None else label_lib.find_values([labels])
    make = functools.partial(
        from_arrays, class_names=class_names, class_values=values, name=name, any_depth=any_depth
    )
    whole = make(images, labels)
    rows = source_lib.single_set_rows(len(whole), split, name=name)
    labels = None if labels is None else np.asarray(labels)[rows]
    part = make(whole.columns[IMAGE][rows], labels)
    account = source_lib.Account(divided=source_lib.divided(len(whole), split))
    return dataclasses.replace(part, account=account)


def _checked(
    columns: Mapping[str, np.ndarray],
    class_names: tuple[str, ...] | None,
    class_values: np.ndarray | None,
    name: str,
    *,
    caller: str,
    any_depth: bool = False,
) -> ArraySource:
    """A source of columns that are as they must be, or ValueError."""
    found = {
        column: _checked_images(np.asarray(values), f"{caller}: images of {name}", any_depth)
        if column == IMAGE
        else _checked_column(np.asarray(values), f'{caller}: the column "{column}" of {name}')
        for column, values in columns.items()
        if column != LABEL
    }
    if not found or ROW_NUMBERS in found:
        raise ValueError(
            f'{caller}: {name} must have a column other than "{LABEL}", and none named '
            f'"{ROW_NUMBERS}", which batches hold the row numbers under; got '
            f"{', '.join(columns) or 'no column'}."
        )
    (first, values), *others = found.items()
    for column, other in others:
        if len(other) != len(values):
            raise ValueError(
                f"{caller}: the columns of {name} must have a row for each example; got "
                f'{len(values)} of "{first}" and {len(other)} of "{column}".'
            )
    digest = hashlib.sha256()
    for column, values in sorted(found.items()):
        # Of uint8 images the shape alone: records are older than other columns and kinds.
        is_usual = column == IMAGE and values.dtype == np.uint8
        named = "" if is_usual else f"{column} {values.dtype.str} "
        digest.update(f"{named}{values.shape}".encode())
        digest.update(np.ascontiguousarray(values))  # type: ignore[arg-type]
    if LABEL not in columns:
        return ArraySource(name, found, None, digest.hexdigest())
    what = f"{caller}: labels of {name}"
    labels = label_lib.check(np.asarray(columns[LABEL]), what, len(values))
    digest.update(label_lib.content(labels))  # type: ignore[arg-type]
    labels, class_names = label_lib.number(
        labels, what, class_names=class_names, class_values=class_values
    )
    if not class_names:  # not one class is known
        return ArraySource(name, found, None, digest.hexdigest())
    return ArraySource(name, found | {LABEL: labels}, class_names, digest.hexdigest())


def _checked_column(values: np.ndarray, what: str) -> np.ndarray:
    """Numbers [N, ...] that a device can hold, or ValueError."""
    if values.dtype.kind not in "biuf":
        raise ValueError(
            f"{what} must be numbers; got {values.dtype.name}. Pad sequences to one length, and "
            "turn words into the numbers of tokens."
        )
    if values.dtype.itemsize > MAX_BYTES:
        narrow = f"{values.dtype.name.rstrip('0123456789')}32"
        raise ValueError(
            f"{what} must be of 32 bits or fewer; got {values.dtype.name}. Convert it with "
            f"astype(np.{narrow})."
        )
    if not values.ndim or not values.size:
        raise ValueError(f"{what} must be [N, ...] and not empty; got {list(values.shape)}.")
    return values


def _checked_images(images: np.ndarray, what: str, any_depth: bool) -> np.ndarray:
    """Images as uint8 [N, H, W, C], or of any numbers where those may be; or ValueError."""
    if images.dtype.kind not in "biuf":
        raise ValueError(f"{what} must be numbers; got {images.dtype.name}.")
    if images.dtype != np.uint8 and not any_depth:
        raise ValueError(
            f"{what} must be uint8; got {images.dtype.name}. {valuerange.advice(images)}"
        )
    if images.ndim == 3:
        images = images[..., None]
    # Small squares with channels in front would pass for many channels.
    is_turned = images.ndim == 4 and images.shape[1] in bands.COLOURS
    is_turned = is_turned and images.shape[2] == images.shape[3] > max(bands.COLOURS)
    is_image = images.ndim == 4 and images.shape[-1] <= bands.MAX_CHANNELS
    if not is_image or is_turned or 0 in images.shape:
        fix = " Channels come last: images.transpose(0, 2, 3, 1)." if is_turned else ""
        raise ValueError(
            f"{what} must be [N, H, W] or [N, H, W, C] of at most {bands.MAX_CHANNELS} channels "
            f"and not empty; got {list(images.shape)}.{fix}"
        )
    return images
