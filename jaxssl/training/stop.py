"""Stopping a run from outside, at a step that all processes agree on."""

import signal

import jax
from jax.experimental import multihost_utils


class Signals:
    """Turns SIGTERM and SIGINT into a request to stop after the step in flight."""

    def __init__(self):
        self._asked = False

    def __enter__(self) -> "Signals":
        # With several processes JAX catches SIGTERM and agrees on a step at which all stop.
        caught = () if jax.process_count() > 1 else (signal.SIGINT, signal.SIGTERM)
        self._previous = {number: signal.signal(number, self._ask) for number in caught}
        return self

    def __exit__(self, *exception) -> None:
        for number, handler in self._previous.items():
            signal.signal(number, handler)

    def requested(self, step: int) -> bool:
        """Whether to stop now, the same answer on every process."""
        if jax.process_count() > 1:
            return multihost_utils.reached_preemption_sync_point(step)
        return self._asked

    def _ask(self, number: int, frame) -> None:
        if self._asked:
            raise KeyboardInterrupt  # asked twice: the user will not wait for a save
        self._asked = True
