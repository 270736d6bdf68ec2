"""Records decoded by threads, a bounded number ahead of their consumer."""

from collections.abc import Callable
from typing import Generic, TypeVar

Record = TypeVar("Record")


class ReadAhead(Generic[Record]):
    """``read(start)``, ``read(start + 1)``, … in order, computed ahead by threads.

    Args:
        read: a pure function of the position; called from several threads.
        start: first position.
        stop: position after the last.
        num_threads: threads that call ``read``.
        num_ahead: records kept ready, so that memory is bounded whatever the data set's size.
    """

    def __init__(
        self,
        read: Callable[[int], Record],
        *,
        start: int,
        stop: int,
        num_threads: int,
        num_ahead: int,
    ):
        import grain

        dataset = grain.MapDataset.range(start, stop).map(read)
        options = grain.ReadOptions(num_threads=num_threads, prefetch_buffer_size=num_ahead)
        self._records = iter(dataset.to_iter_dataset(options))
        self.position = start
        self.stop = stop
        self.closed = False

    def take(self, count: int) -> list[Record]:
        """The next ``count`` records, fewer at the end; closes itself when ``read`` raises."""
        count = min(count, self.stop - self.position)
        try:
            taken = [next(self._records) for _ in range(count)]
        except BaseException:
            # After an exception Grain's iterator is one record out of step: never use it again.
            self.close()
            raise
        self.position += count
        return taken

    def close(self) -> None:
        """Cancels what is not yet read and ends the threads."""
        self.closed = True
        self._records.close()
