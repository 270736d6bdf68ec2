"""Records decoded by processes of their own, where threads would wait for each other.

Threads share one Python, and of what a photograph costs it holds about a quarter: beyond some cores
more threads bring no more images. The processes import no JAX, and end with the one that asks.
"""

import collections
import concurrent.futures
import logging
import multiprocessing
import os
import pickle
import signal
import threading
from concurrent.futures.process import BrokenProcessPool

from jaxssl.data import imagefiles, readable, stream
from jaxssl.data import source as source_lib

_SPAN = 8  # records that a process is asked for at once
_Found = dict[int, source_lib.UnreadableError]


class Workers:
    """What ``readahead.ReadAhead`` is, of a training stream, by processes instead of threads.

    Args:
        examples: what is read.
        start: first position.
        num_workers: processes that read, each in one thread.
        num_ahead: records kept ready or asked for.

    Raises:
        ValueError: a source that cannot be sent to another process.
    """

    def __init__(self, examples: stream.Stream, *, start: int, num_workers: int, num_ahead: int):
        try:
            content = pickle.dumps(examples)
        except (pickle.PicklingError, TypeError, AttributeError) as error:
            raise ValueError(
                f"data: num_workers must be 0 for a source that cannot be sent to another process; "
                f"got {num_workers} for {examples.source.name} ({error}). Leave it out."
            ) from error
        self.position = start
        self.closed = False
        self._source = examples.source
        self._next = start  # position that nobody was asked for yet
        self._num_ahead = num_ahead
        self._asked: collections.deque[concurrent.futures.Future] = collections.deque()
        self._ready: collections.deque[source_lib.Record] = collections.deque()
        self._pool = concurrent.futures.ProcessPoolExecutor(
            num_workers,
            # A fork of a process in which JAX runs threads may stand still for ever.
            mp_context=multiprocessing.get_context("spawn"),
            initializer=_begin,
            initargs=(content, imagefiles.allowed_pixels()),
        )

    def take(self, count: int) -> list[source_lib.Record]:
        """The next ``count`` records; closes itself when one of them cannot be had."""
        try:
            self._ask(self.position + count + self._num_ahead)
            while len(self._ready) < count:
                records, found = self._asked.popleft().result()
                if there := readable.inside(self._source):
                    there.adopt(found)
                self._ready.extend(records)
        except BrokenProcessPool as error:
            self.close()
            raise OSError(
                "data: a process that decodes images ended before it had answered. Was it killed "
                "for want of memory? Set fewer --data.num-workers. A script that calls jaxssl must "
                'begin its work below if __name__ == "__main__".'
            ) from error
        except BaseException:
            self.close()
            raise
        self.position += count
        return [self._ready.popleft() for _ in range(count)]

    def close(self) -> None:
        """Forgets what is not yet read and ends the processes."""
        self.closed = True
        self._pool.shutdown(wait=False, cancel_futures=True)

    def _ask(self, stop: int) -> None:
        while self._next < stop:
            span = range(self._next, self._next + _SPAN)
            self._asked.append(self._pool.submit(_read, span))
            self._next = span.stop


# What follows runs in the other processes.
_EXAMPLES: list[stream.Stream] = []
_TOLD: set[int] = set()


def _begin(content: bytes, max_pixels: int | None) -> None:
    """What a process does first."""
    for each in (signal.SIGINT, signal.SIGTERM):  # the one that asks says what is to be done
        signal.signal(each, signal.SIG_IGN)
    logging.disable()  # and says what cannot be read
    threading.Thread(target=_end_with_parent, daemon=True).start()
    if max_pixels is not None:
        imagefiles.allow_pixels(max_pixels)
    _EXAMPLES.append(pickle.loads(content))


def _end_with_parent() -> None:
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _read(span: range) -> tuple[list[source_lib.Record], _Found]:
    """Records, and what was newly found to be unreadable."""
    (examples,) = _EXAMPLES
    records = [examples.record(position) for position in span]
    there = readable.inside(examples.source)
    found = {row: error for row, error in there.found.items() if row not in _TOLD} if there else {}
    _TOLD.update(found)
    return records, found
