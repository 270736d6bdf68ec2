"""What a trained network, and the same one untrained, make of the pretext task."""

import dataclasses
import functools
from collections.abc import Iterable
from typing import NamedTuple

import jax
import numpy as np

from jaxssl import draws
from jaxssl.evaluation import accuracy
from jaxssl.runs.opened import OpenedRun
from jaxssl.types import Array, Batch, Clock, Method, PyTree


class Loss(NamedTuple):
    """A mean pretext loss and the ends of its 95 % interval (normal approximation)."""

    value: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True, eq=False)
class Network:
    """A method with weights.

    Attributes:
        method: built without an axis name.
        params: trainable parameters.
        state: what the method keeps beside them.
        clock: how much of the run is behind them.
    """

    method: Method
    params: PyTree
    state: PyTree
    clock: Clock

    def right(self, batches: Iterable[tuple[Batch, Array]]) -> np.ndarray:
        """Whether each question about the batches is answered right, [N] booleans."""
        parts = [_right(self.method, self.params, self.state, *batch) for batch in batches]
        return np.concatenate([np.asarray(part) for part in parts])

    def loss(self, batches: Iterable[tuple[Batch, Array]], *, seed: int) -> Loss:
        """The mean pretext loss over the batches, batch norm as in training.

        Methods that give one value a batch instead of one an example are averaged over batches.
        """
        parts = []
        for place, batch in enumerate(batches):
            key = jax.random.fold_in(jax.random.key(seed), place)
            values = _values(self.method, self.params, self.state, *batch, key, self.clock)
            parts.append(np.atleast_1d(values))
        values = np.concatenate(parts).astype(np.float64)
        mean = float(values.mean())
        half = (
            accuracy.Z95 * float(values.std(ddof=1)) / len(values) ** 0.5
            if len(values) > 1
            else np.inf
        )
        return Loss(mean, mean - half, mean + half)


def networks_of(run: OpenedRun) -> tuple[Network, Network]:
    """The network of a checkpoint, and the one its run began with.

    Returns:
        (trained, untrained).
    """
    trained, untrained = (
        Network(run.method, state.params, state.state, run.clock_at(step))
        for state, step in ((run.state, run.step), (run.beginning(), 0))
    )
    return trained, untrained


# One compilation for the trained and the untrained network and for every control.
@functools.partial(jax.jit, static_argnums=0)
def _right(method: Method, params: PyTree, state: PyTree, batch: Batch, keys: Array) -> Array:
    assert method.ask is not None and method.answer is not None
    views = draws.make_views(method, batch, keys)
    return method.answer(params, state, views).argmax(-1) == method.ask(views).answers


@functools.partial(jax.jit, static_argnums=0)
def _values(
    method: Method,
    params: PyTree,
    state: PyTree,
    batch: Batch,
    keys: Array,
    key: Array,
    clock: Clock,
) -> Array:
    views = draws.make_views(method, batch, keys)
    return method.loss(params, state, views, key, clock)[0]
