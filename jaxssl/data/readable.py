"""A split of which a few images cannot be read: others stand in for them, always the same ones."""

import dataclasses
import logging
import math
import threading
from collections.abc import Callable, Hashable, Mapping, Sequence

from jaxssl.data import crops
from jaxssl.data import source as source_lib

_LOGGER = logging.getLogger(__name__)


@dataclasses.dataclass(frozen=True, eq=False)
class Readable(source_lib.Wrapped):
    """A source that never raises for a single image that cannot be read.

    In its place comes the whole record, with its label, of the next row that can be read; after the
    last row comes the first. That depends on the files alone: every process, every resumed run and
    every evaluation reads the same. Each such image is logged once, and too many of them are an
    error.

    Attributes:
        source: the whole, which raises ``source.UnreadableError``.
        max_unreadable: share of the rows that may be unreadable, in [0, 1]; rounded up.
    """

    max_unreadable: float
    _unreadable: dict[int, source_lib.UnreadableError] = dataclasses.field(
        default_factory=dict, init=False, repr=False
    )
    _lock: threading.Lock = dataclasses.field(
        default_factory=threading.Lock, init=False, repr=False
    )

    @property
    def fingerprint(self) -> str:
        """The whole's."""
        return self.source.fingerprint

    @property
    def account(self) -> source_lib.Account:
        """The whole's, with what was found unreadable so far."""
        found = tuple(self._unreadable[row].example for row in sorted(self._unreadable))
        return source_lib.account_of(self.source)._replace(unreadable=found)

    def identities(self) -> Sequence[Hashable]:
        """The whole's."""
        return self.source.identities()

    def __reduce__(self) -> tuple[type, tuple[source_lib.Source, float]]:
        """To another process, where nothing is known to be unreadable yet."""
        return type(self), (self.source, self.max_unreadable)

    def __len__(self) -> int:
        return len(self.source)

    def __getitem__(self, index: int) -> source_lib.Record:
        """The record of a row, or of the next one that can be read.

        Raises:
            IndexError: no such row.
            ValueError: more rows cannot be read than may.
        """
        return self._first_readable(index, self.source.__getitem__)

    def cropped(self, index: int, cut: crops.Cut) -> source_lib.Record:
        """The same with crops of the whole image in its place."""
        whole = source_lib.whole_images(self.source)
        return self._first_readable(index, lambda row: whole.cropped(row, cut))

    @property
    def found(self) -> dict[int, source_lib.UnreadableError]:
        """What was found unreadable so far, by row."""
        return dict(self._unreadable)

    def adopt(self, found: Mapping[int, source_lib.UnreadableError]) -> None:
        """Counts and logs what was ``found`` by a copy in another process.

        Raises:
            ValueError: with it, more rows cannot be read than may.
        """
        for row, error in found.items():
            self._remember(row, error)

    def _first_readable(
        self, index: int, read: Callable[[int], source_lib.Record]
    ) -> source_lib.Record:
        num_rows = len(self)
        if not -num_rows <= index < num_rows:
            raise IndexError(f"row {index} of {num_rows}")
        for row in range(index, index + num_rows):
            row %= num_rows
            if row in self._unreadable:
                continue
            try:
                return read(row)
            except source_lib.UnreadableError as error:
                self._remember(row, error)
        raise ValueError(f"data: {self.name} must hold a readable image; got none.")

    def _remember(self, row: int, error: source_lib.UnreadableError) -> None:
        """Logs a row that cannot be read, once; ValueError where there are too many by now."""
        num_allowed = math.ceil(self.max_unreadable * len(self))
        with self._lock:
            if row in self._unreadable:  # another thread was faster
                return
            count = len(self._unreadable) + 1
            if is_allowed := count <= num_allowed:
                self._unreadable[row] = error
        if not is_allowed:
            raise ValueError(
                f"data: of the {len(self):,} images of {self.name} at most {num_allowed:,} "
                f"({100 * self.max_unreadable:g} %) may be unreadable; got {count:,}, the last "
                f"{error.example}: {error.reason}. Repair or remove them, let jaxssl prepare leave "
                "them out, or allow more with --data.max-unreadable."
            ) from error
        with_label = ", with its label" if self.labelled else ""
        _LOGGER.warning(
            "%s cannot be read (%s); the next image of its split stands in for it%s",
            error.example,
            error.reason,
            with_label,
        )


def inside(source: source_lib.Source) -> Readable | None:
    """The ``Readable`` that a source is, or reads from."""
    while isinstance(source, source_lib.Wrapped):
        if isinstance(source, Readable):
            return source
        source = source.source
    return None
