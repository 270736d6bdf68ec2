"""L-BFGS for logistic regression, made so that one iteration reads the features once.

The logits are affine in the step length. So one sweep over the blocks of the features multiplies
them with the step, moves the logits by all of it, and multiplies the residuals with the same block
while it is still in the cache: that is the next gradient, if the step turns out to be good. If not,
the line search runs on the logits alone. Large arrays, [N, D] and [K, N], stay on the device in
float32; the weights and what L-BFGS remembers are float64 on the host.
"""

import collections
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxssl.evaluation import preconditioner
from jaxssl.evaluation.standardised import DeviceBlocks, Standardised
from jaxssl.types import Array

_MEMORY = 20  # steps and changes of the gradient that are remembered
_REBUILD_STEPS = 40  # after that many the preconditioner belongs to a point too far away
_COLD_FALL = 0.1  # of the gradient since zero weights: by then the classes differ
_FULL_STEP_SLOPE = 0.7  # a whole step is taken where the slope fell to this fraction
_LINE_SLOPE = 0.1  # a line search ends where it fell to this one
_LINE_STEPS = 12  # evaluations of one line search at most; two or three are usual
_STALE_STEPS = 100  # without a smaller gradient: float32 has no more to give
_NO_ROW = -1  # target of the rows that fill up the last block
_HIGHEST = lax.Precision.HIGHEST  # accelerators would round the factors to 8 or 11 bits


class Minimum(NamedTuple):
    """Weights and biases [K, D + 1] float64, biases last, and the steps that led there."""

    weights: np.ndarray
    iterations: int


class Objective:
    """The unpenalised objective on the device: logits at a point, and the gradient a step away.

    Attributes:
        rows: [N, D].
        num_classes: K.
    """

    def __init__(self, rows: Standardised, targets: np.ndarray, num_classes: int):
        self.rows, self.num_classes = rows, num_classes
        self._blocks = DeviceBlocks(rows)
        self._targets = self._blocks.split(targets.astype(np.int32), fill=_NO_ROW)
        self._logits: list[Array] = []
        self._ahead: list[Array] = []  # logits after the step last tried
        self._changes: list[Array] = []  # of the logits, by a step of length 1

    def start(self, weights: np.ndarray) -> np.ndarray:
        """Moves to these weights [K, D + 1]; the gradient there, as float64 of the same shape."""
        zeros = jnp.zeros((self.num_classes, self._blocks.size), jnp.float32)
        self._logits = [zeros] * self._blocks.count
        gradient = self.try_step(weights, 1.0)
        self.accept()
        return gradient

    def try_step(self, direction: np.ndarray, length: float) -> np.ndarray:
        """The gradient at a step from the present point, in one sweep over the features."""
        along = jnp.asarray(direction, jnp.float32)
        gradient = jnp.zeros_like(along)
        self._ahead, self._changes = [], []
        for block, targets, logits in zip(self._blocks, self._targets, self._logits):
            gradient, ahead, change = _sweep(
                gradient, block, targets, logits, direction, jnp.float32(length)
            )
            self._ahead.append(ahead)
            self._changes.append(change)
        return np.asarray(gradient, np.float64) / self.rows.num

    def accept(self) -> None:
        """Makes the step last tried the present point."""
        self._logits = self._ahead

    def slope_and_curvature(self, length: float) -> tuple[float, float]:
        """First and second derivative along the step last tried, at another length of it."""
        total = jnp.zeros(2, jnp.float32)
        for targets, logits, change in zip(self._targets, self._logits, self._changes):
            total = _add_slope(total, targets, logits, change, jnp.float32(length))
        slope, curvature = np.asarray(total, np.float64) / self.rows.num
        return float(slope), float(curvature)

    def prob(self) -> np.ndarray:
        """[K, N] float32, probabilities at the present point."""
        blocks = [np.asarray(jax.nn.softmax(logits, axis=0)) for logits in self._logits]
        return np.concatenate(blocks, axis=1)[:, : self.rows.num]


def minimise(
    objective: Objective,
    weights: np.ndarray,
    *,
    l2: float,
    goal: float,
    max_iterations: int,
) -> Minimum:
    """Minimises the penalised objective by L-BFGS, preconditioned by blocks of the Hessian.

    The line search looks for a zero of the slope and never compares values of the objective, of
    which float32 holds 7 digits.

    Args:
        objective: of the data.
        weights: [K, D + 1] float64 to start from.
        l2: penalty of all weights but the biases.
        goal: Euclidean norm of the gradient at which to stop.
        max_iterations: steps at most.

    Returns:
        The last point; whether it is a minimum is for the caller to certify.

    Source: Nocedal and Wright, Numerical Optimization, 2nd ed. 2006, algorithm 7.4, its initial
        matrix being the preconditioner.
    """
    penalty = np.append(np.full(objective.rows.dim, l2), 0.0)
    pairs: collections.deque = collections.deque(maxlen=_MEMORY)
    cold = not weights.any()  # there all rows are equally in doubt about all classes
    gradient = objective.start(weights) + penalty * weights
    norm = lowest = built_at = np.linalg.norm(gradient)
    iterations, built, improved = 0, 0, 0
    inverse = None
    while norm > goal and iterations < max_iterations and iterations - improved < _STALE_STEPS:
        worn = iterations - built >= _REBUILD_STEPS or (cold and norm < _COLD_FALL * built_at)
        if inverse is None or worn:
            if worn:  # sums of many steps have rounded the logits
                gradient = objective.start(weights) + penalty * weights
                cold = False
            inverse = preconditioner.BlockInverse(objective.rows, objective.prob(), l2, shared=cold)
            built, built_at = iterations, norm
        direction = -_two_loops(gradient, pairs, inverse)
        if np.vdot(direction, gradient) >= 0:  # rounding has spoilt the memory
            pairs.clear()
            direction = -inverse(gradient)
        length, ahead = _search(objective, weights, gradient, direction, penalty)
        step, change = length * direction, ahead - gradient
        if np.vdot(step, change) > 0:
            pairs.append((step, change))
        weights, gradient = weights + step, ahead
        norm = np.linalg.norm(gradient)
        iterations += 1
        if norm < lowest:
            lowest, improved = norm, iterations
    return Minimum(weights, iterations)


def _two_loops(
    gradient: np.ndarray,
    pairs: collections.deque[tuple[np.ndarray, np.ndarray]],
    inverse: preconditioner.BlockInverse,
) -> np.ndarray:
    """The product of L-BFGS's inverse Hessian with the gradient."""
    vector, remembered = gradient, []
    for step, change in reversed(pairs):
        density = 1 / np.vdot(step, change)
        share = density * np.vdot(step, vector)
        vector = vector - share * change
        remembered.append((step, change, density, share))
    vector = inverse(vector)
    for step, change, density, share in reversed(remembered):
        vector = vector + (share - density * np.vdot(change, vector)) * step
    return vector


def _search(
    objective: Objective,
    weights: np.ndarray,
    gradient: np.ndarray,
    direction: np.ndarray,
    penalty: np.ndarray,
) -> tuple[float, np.ndarray]:
    """The length of the step, and the gradient after it; the objective moves there."""

    def gradient_at(length: float) -> np.ndarray:
        data = objective.try_step(direction, length)
        return data + penalty * (weights + length * direction)

    ahead = gradient_at(1.0)
    slope_0, slope = np.vdot(gradient, direction), np.vdot(ahead, direction)
    length = 1.0
    if abs(slope) > _FULL_STEP_SLOPE * abs(slope_0):
        length = _zero_of_slope(objective, weights, direction, penalty, slope_0)
        ahead = gradient_at(length)
    objective.accept()
    return length, ahead


def _zero_of_slope(
    objective: Objective,
    weights: np.ndarray,
    direction: np.ndarray,
    penalty: np.ndarray,
    slope_0: float,
) -> float:
    """Newton's method, kept inside a bracket, on the logits that the step last tried moves."""
    shrink = penalty * direction
    low, high, length = 0.0, np.inf, 1.0
    for _ in range(_LINE_STEPS):
        slope, curvature = objective.slope_and_curvature(length)
        slope += np.vdot(shrink, weights + length * direction)
        curvature += np.vdot(shrink, direction)
        if abs(slope) <= _LINE_SLOPE * abs(slope_0):
            break
        low, high = (length, high) if slope < 0 else (low, length)
        newton = length - slope / curvature if curvature > 0 else np.inf
        middle = 2.0 * length if np.isinf(high) else 0.5 * (low + high)
        length = newton if low < newton < min(high, 10 * length) else middle
    return float(length)


@jax.jit
def _sweep(
    gradient: Array,
    block: Array,
    targets: Array,
    logits: Array,
    direction: Array,
    length: Array,
) -> tuple[Array, Array, Array]:
    """Adds one block to the gradient [K, D + 1]; logits and their change are [K, B]."""
    # This order of the factors is the fast one on CPUs, by a factor of four in the second product.
    change = jnp.matmul(block, direction[:, :-1].T, precision=_HIGHEST).T + direction[:, -1:]
    logits = logits + length * change
    residual = _residual(targets, logits)
    product = jnp.matmul(residual, block, precision=_HIGHEST)
    sums = jnp.sum(residual, axis=1, keepdims=True)
    return gradient + jnp.concatenate([product, sums], axis=1), logits, change


@jax.jit
def _add_slope(total: Array, targets: Array, logits: Array, change: Array, length: Array) -> Array:
    logits = logits + length * change
    prob = jax.nn.softmax(logits, axis=0)
    mean = jnp.sum(prob * change, axis=0, keepdims=True)
    slope = jnp.sum(_residual(targets, logits) * change)
    here = (targets != _NO_ROW)[None]
    curvature = jnp.sum(jnp.where(here, prob * jnp.square(change - mean), 0.0))
    return total + jnp.stack([slope, curvature])


def _residual(targets: Array, logits: Array) -> Array:
    """Probabilities minus the one-hot targets, [K, B]; zero where there is no row."""
    one_hot = jax.nn.one_hot(targets, len(logits), axis=0, dtype=jnp.float32)
    prob = jax.nn.softmax(logits, axis=0)
    return jnp.where((targets != _NO_ROW)[None], prob - one_hot, 0.0)
