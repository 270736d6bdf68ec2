"""What a trained network, and the same one untrained, make of the pretext task."""

import dataclasses
import os
from collections.abc import Iterable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxssl import checkpoints, recipe
from jaxssl.training import optimizers
from jaxssl.training import step as training_step
from jaxssl.types import Array, Batch, Method, PyTree

_Z95 = 1.959963984540054


class Loss(NamedTuple):
    """A mean pretext loss and the ends of its 95 % interval (normal approximation)."""

    value: float
    low: float
    high: float


@dataclasses.dataclass(frozen=True, eq=False)
class Network:
    """A method with weights.

    Attributes:
        config: its recipe.
        module: the encoder, built without an axis name.
        method: built on it.
        params: trainable parameters.
        state: what the method keeps beside them.
        step: optimizer steps behind them.
    """

    config: recipe.Recipe
    module: object
    method: Method
    params: PyTree
    state: PyTree
    step: int

    def right(self, batches: Iterable[tuple[Batch, Array]]) -> np.ndarray:
        """Whether each question about the batches is answered right, [N] booleans."""

        @jax.jit
        def answer(params: PyTree, state: PyTree, batch: Batch, keys: Array) -> Array:
            views = training_step.make_views(self.method, batch, keys)
            _, answers, _ = self.config.method.question(views)
            logits = self.config.method.answer(self.module, params, state, views)
            return logits.argmax(-1) == answers

        parts = [np.asarray(answer(self.params, self.state, *batch)) for batch in batches]
        return np.concatenate(parts)

    def loss(self, batches: Iterable[tuple[Batch, Array]], *, seed: int) -> Loss:
        """The mean pretext loss over the batches, batch norm as in training.

        Methods that give one value a batch instead of one an example are averaged over batches.
        """

        @jax.jit
        def values_of(
            params: PyTree, state: PyTree, batch: Batch, keys: Array, key: Array
        ) -> Array:
            views = training_step.make_views(self.method, batch, keys)
            return self.method.loss(params, state, views, key, jnp.int32(self.step))[0]

        key = jax.random.key(seed)
        parts = [
            np.atleast_1d(
                values_of(self.params, self.state, *batch, jax.random.fold_in(key, place))
            )
            for place, batch in enumerate(batches)
        ]
        values = np.concatenate(parts).astype(np.float64)
        mean = float(values.mean())
        half = _Z95 * float(values.std(ddof=1)) / len(values) ** 0.5 if len(values) > 1 else np.inf
        return Loss(mean, mean - half, mean + half)


def restore(
    run: str | os.PathLike, config: recipe.Recipe, meta: dict, batch: Batch
) -> tuple[Network, Network]:
    """The network of a checkpoint, and the one its run began with.

    Args:
        run: run directory.
        config: its recipe.
        meta: what the checkpoint recorded (``RestoredEncoder.meta``); its step is restored.
        batch: a few examples, which fix the shapes.

    Returns:
        (trained, untrained).
    """
    module = config.encoder.build()
    method = config.method.build(module, axis_name=None)
    optimizer = optimizers.build(config.optimizer, **meta["plan"])

    def begin():
        return training_step.init_state(method, optimizer, batch, seed=config.training.seed)

    first = jax.jit(begin)()
    trained = checkpoints.restore_state(run, jax.eval_shape(begin), meta["step"])
    return tuple(
        Network(config, module, method, state.params, state.state, step)
        for state, step in ((trained, meta["step"]), (first, 0))
    )
