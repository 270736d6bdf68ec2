"""Batches on the host: random access by step for training, in order for evaluation."""

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from jaxssl import checks, cropping
from jaxssl.data import arrays, readahead, stream, workers
from jaxssl.data import source as source_lib

AHEAD_BATCHES = 2  # the batch being asked for and the one after it
ENDLESS = 2**62
Batch = dict[str, Any]  # np.ndarray, or cropping.Crops as "image"


class Loader:
    """Training batches, a pure function of (seed, step): nothing to save, nothing to restore.

    The global batch of a step is the next ``batch_size`` rows of a permutation of (seed, epoch);
    an epoch's last rows that fill no batch are dropped. Process p holds rows [p B, (p + 1) B) of
    it, B = batch_size / processes, so the examples of a step do not depend on how many
    processes share them.

    Args:
        source: from ``config.open``, ``from_arrays`` or ``from_columns``.
        batch_size: examples of the global batch, over all processes.
        seed: of the order, in [0, 2^64).
        process: the index of this process, from 0, and how many of them share each batch.
        num_threads: threads that decode; unused for a source in memory.
        num_workers: processes that decode in place of the threads; 0: none.
        labels: whether batches hold "label", for the method that reads it.
        crops: that batches hold of each whole image in its place, ``cropping.Crops``, drawn for
            (seed, step, position in the global batch); none by default.

    Raises:
        ValueError: where the source is smaller than a batch, or a batch cannot be divided; crops of
            a source that has no whole images to cut them from.

    Example:
        >>> import numpy as np
        >>> from jaxssl import data
        >>> source = data.from_arrays(np.zeros((10, 8, 8, 3), np.uint8))
        >>> loader = data.Loader(source, batch_size=4, seed=0)
        >>> loader.steps_per_epoch, loader.batch(7)["image"].shape
        (2, (4, 8, 8, 3))
    """

    def __init__(
        self,
        source: source_lib.Source,
        *,
        batch_size: int,
        seed: int,
        process: tuple[int, int] = (0, 1),
        num_threads: int = 8,
        num_workers: int = 0,
        labels: bool = False,
        crops: Sequence[cropping.Crop] = (),
    ):
        process_index, process_count = process
        _check_division(batch_size, process_index, process_count)
        if len(source) < batch_size:
            raise ValueError(
                f"Loader: {source.name} must hold at least one batch of {batch_size} examples; "
                f"got {len(source)}. Set a batch size of at most {len(source)}."
            )
        if crops and not source_lib.can_crop(source):
            raise ValueError(
                f"Loader: crops must be of a source that decodes whole images on demand; got "
                f"{source.name}, which does not. Let the device make them."
            )
        checks.at_least("Loader", 1, num_threads=num_threads)
        checks.at_least("Loader", 0, num_workers=num_workers)
        checks.in_range("Loader", 0, 2**64, seed=seed, open_right=True)
        self.source = source
        self.batch_size = batch_size
        self.steps_per_epoch = len(source) // batch_size
        self._num_threads = num_threads
        self._num_workers = num_workers
        self._labels = labels
        local_size = batch_size // process_count
        self._stream = stream.Stream(
            source,
            batch_size=batch_size,
            seed=seed,
            first=process_index * local_size,
            local_size=local_size,
            labels=labels,
            crops=tuple(crops),
        )
        self._ahead: readahead.ReadAhead[source_lib.Record] | workers.Workers | None = None

    def batch(self, step: int) -> Batch:
        """This process's part of the batch of one step, without labels unless they are asked for.

        Args:
            step: optimizer steps completed, from 0, in any order.

        Returns:
            Every entry of the source's records, "label" only if it is asked for, stacked, B local,
            and their row numbers in the source: ``{"image": uint8 [B, S, S, C], "index": int32
            [B]}``, or of a video ``"video"``, uint8 [B, T, S, S, C], or the columns of
            ``from_columns``; with ``crops`` these as "image".
        """
        checks.at_least("Loader.batch", 0, step=step)
        if isinstance(self.source, arrays.ArraySource):
            return self._taken(self.source, self.rows(step))
        local_size = self._stream.local_size
        position = step * local_size
        if self._ahead is None or self._ahead.closed or self._ahead.position != position:
            self.close()
            self._ahead = self._begin(position, AHEAD_BATCHES * local_size)
        return _stacked(self._ahead.take(local_size))

    def example(self, *, whole: bool = False) -> Batch:
        """The first example of this process's first batch as a batch of its own, B = 1.

        For shapes; nothing else is decoded.

        Args:
            whole: with the image as evaluation reads it, where batches hold crops.
        """
        if isinstance(self.source, arrays.ArraySource):
            return self._taken(self.source, self.rows(0)[:1])
        return _stacked([self._stream.record(0, whole=whole)])

    def rows(self, step: int) -> np.ndarray:
        """Rows of the source in this process's batch of one step; int64 [B]."""
        return self._stream.rows(step)

    def close(self) -> None:
        """Ends the threads or processes that read ahead; the loader may be used again."""
        if self._ahead is not None:
            self._ahead.close()

    def __enter__(self) -> "Loader":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _taken(self, source: arrays.ArraySource, rows: np.ndarray) -> Batch:
        """Rows of a source in memory as a batch."""
        taken = {
            name: np.take(column, rows, axis=0)
            for name, column in source.columns.items()
            if self._labels or name != arrays.LABEL
        }
        return taken | {arrays.ROW_NUMBERS: rows.astype(np.int32)}

    def _begin(
        self, position: int, num_ahead: int
    ) -> readahead.ReadAhead[source_lib.Record] | workers.Workers:
        """Begins to read ahead."""
        if self._num_workers:
            return workers.Workers(
                self._stream, start=position, num_workers=self._num_workers, num_ahead=num_ahead
            )
        return readahead.ReadAhead(
            self._stream.record,
            start=position,
            stop=ENDLESS,
            num_threads=self._num_threads,
            num_ahead=num_ahead,
        )


def batches(source: source_lib.Rows, batch_size: int, *, num_threads: int = 8) -> Iterator[Batch]:
    """All examples of a source once, in its order, for evaluation.

    Args:
        source: from ``config.open``, ``from_arrays`` or ``from_columns``.
        batch_size: examples per batch.
        num_threads: threads that decode; unused for a source in memory.

    Yields:
        ``{"image": uint8 [B, S, S, C], "label": int32 [B]}``, without "label" where there are
        none; of a video "video", or the columns of ``from_columns``, instead of "image". The last
        batch holds what is left and may be shorter: pad it where shapes must not change.
    """
    checks.at_least("batches", 1, batch_size=batch_size)
    if isinstance(source, arrays.ArraySource):
        for start in range(0, len(source), batch_size):
            part = slice(start, start + batch_size)
            yield {name: column[part] for name, column in source.columns.items()}
        return
    ahead = readahead.ReadAhead(
        source.__getitem__,
        start=0,
        stop=len(source),
        num_threads=num_threads,
        num_ahead=AHEAD_BATCHES * batch_size,
    )
    try:
        while records := ahead.take(batch_size):
            yield _stacked(records)
    finally:
        ahead.close()


def _stacked(records: Sequence[source_lib.Record]) -> Batch:
    """Records as one batch; labels and row numbers become int32 [B]."""
    return {name: _column(name, [record[name] for record in records]) for name in records[0]}


def _column(name: str, values: list) -> np.ndarray | cropping.Crops:
    if name in (arrays.LABEL, arrays.ROW_NUMBERS):
        return np.array(values, np.int32)
    return cropping.stack(values) if isinstance(values[0], cropping.Crops) else np.stack(values)


def _check_division(batch_size: int, process_index: int, process_count: int) -> None:
    """Raises ValueError where a global batch cannot be shared as asked."""
    if batch_size < 1 or batch_size % process_count:
        lower = batch_size // process_count * process_count
        choices = f"{lower} or {lower + process_count}" if lower else f"{process_count}"
        raise ValueError(
            f"Loader: batch_size must be a multiple of the number of processes, {process_count}; "
            f"got {batch_size}. The nearest are {choices}."
        )
    checks.in_range("Loader", 0, process_count, process=process_index, open_right=True)
