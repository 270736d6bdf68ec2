"""L2-regularised multinomial logistic regression, solved to a stated optimality.

With N examples x, labels y, weights W [D, K] and bias b [K] the objective is

    f(W, b) = 1/N Σ −log softmax(x W + b)[y] + (l2 / 2) ‖W‖²,

convex, so that a vanishing gradient proves the solution: no learning rate, no number of epochs
and no luck is left in the accuracy that follows. The solver works in float32 on the accelerator;
its :class:`Certificate` is computed afterwards by other code, in float64.
"""

import functools
from collections.abc import Callable
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxssl.types import Array

_FORCING = 0.1  # conjugate gradients stop where the residual fell to this fraction
_INNER_STEPS = 60  # of conjugate gradients within one Newton step, at most
_INNER_STALE = 15  # that many call for a new preconditioner
_LINE_STEPS = 12  # evaluations of one line search at most; two or three are usual
_LINE_SLOPE = 0.1  # a line search ends where the slope fell to this fraction
_SAMPLE_PER_FEATURE, _SAMPLE_MIN = 4, 2048  # rows that the preconditioner is estimated on
_BLOCK_LIMIT = 2**28  # values in all blocks; beyond that, one block shared by the classes
_CERTIFICATE_ROWS = 4096  # rows widened to float64 at a time
_HIGHEST = lax.Precision.HIGHEST  # accelerators would round the factors to 8 or 11 bits


class Certificate(NamedTuple):
    """How near a returned solution is to the optimum; computed in float64.

    Attributes:
        objective: f at the solution, nats.
        gradient_norm: Euclidean norm of the gradient of f over all weights and biases.
        gradient_max: its largest absolute entry.
        excess_bound: ‖∂f/∂W‖² / (2 l2), nats: f minus its minimum is at most this, by strong
            convexity in W, once the bias gradient is zero.
        iterations: Newton steps spent.
        converged: whether gradient_norm ≤ the tolerance asked for.
    """

    objective: float
    gradient_norm: float
    gradient_max: float
    excess_bound: float
    iterations: int
    converged: bool


class Solution(NamedTuple):
    """Weights [D, K] and bias [K], float64, for the standardised features they were fitted on."""

    weights: np.ndarray
    bias: np.ndarray
    certificate: Certificate


def solve(
    features: np.ndarray,
    targets: np.ndarray,
    *,
    num_classes: int,
    l2: float,
    tolerance: float,
    max_iterations: int,
    start: Solution | None = None,
) -> Solution:
    """Minimises f by Newton's method with conjugate gradients, and certifies the result.

    The preconditioner of the conjugate gradients is the inverse of the diagonal blocks of the
    Hessian, one [D + 1, D + 1] block a class. The line search runs on the logits, which are affine
    in the step length, so that it costs no product with the features; it looks for a zero of the
    slope and never compares values of f, of which float32 holds 7 digits.

    Args:
        features: [N, D] float32, standardised.
        targets: [N] integers in [0, num_classes), each class present.
        num_classes: K ≥ 2.
        l2: penalty, > 0.
        tolerance: largest Euclidean norm of the gradient that counts as converged.
        max_iterations: Newton steps at most.
        start: a solution for another l2 to start from; zeros without one.

    Returns:
        The solution; ``certificate.converged`` says whether it is one.

    Source: Nocedal and Wright, Numerical Optimization, 2nd ed. 2006, algorithm 7.1.
    """
    num, dim = features.shape
    device_features = _append_one(jnp.asarray(features))
    device_targets = jnp.asarray(targets, jnp.int32)
    penalty = np.append(np.full(dim, l2, np.float32), np.float32(0.0))
    weights = np.zeros((dim + 1, num_classes), np.float32)
    if start is not None:
        weights = np.vstack([start.weights, start.bias]).astype(np.float32)
    sample = min(num, max(_SAMPLE_MIN, _SAMPLE_PER_FEATURE * dim))
    num_blocks = num_classes if num_classes * (dim + 1) ** 2 <= _BLOCK_LIMIT else 1
    iterations, norm, inner = 0, np.inf, _INNER_STALE
    # Half the tolerance leaves room for the rounding that the certificate will see.
    while iterations < max_iterations and norm > 0.5 * tolerance:
        if inner >= _INNER_STALE:
            blocks = _hessian_blocks(device_features, weights, num_blocks=num_blocks, sample=sample)
            preconditioner = _invert(blocks, penalty)
        weights, norm, inner = _newton_step(
            device_features, device_targets, penalty, preconditioner, weights
        )
        iterations += 1
    weights, bias = np.split(np.asarray(weights, np.float64), [dim])
    return _certify(features, targets, weights, bias[0], l2, tolerance, iterations)


def objective_and_gradient(
    features: np.ndarray, targets: np.ndarray, weights: np.ndarray, bias: np.ndarray, *, l2: float
) -> tuple[float, np.ndarray, np.ndarray]:
    """Value and gradient of f in float64, written apart from the solver to check it.

    Args:
        features: [N, D] real.
        targets: [N] integers in [0, K).
        weights: [D, K] float64.
        bias: [K] float64.
        l2: penalty.

    Returns:
        f in nats, ∂f/∂W [D, K] and ∂f/∂b [K], float64.
    """
    loss = 0.0
    weight_gradient, bias_gradient = np.zeros_like(weights), np.zeros_like(bias)
    for begin in range(0, len(features), _CERTIFICATE_ROWS):
        rows = features[begin : begin + _CERTIFICATE_ROWS].astype(np.float64)
        labels = targets[begin : begin + _CERTIFICATE_ROWS]
        logits = rows @ weights + bias
        logits -= logits.max(axis=1, keepdims=True)
        odds = np.exp(logits)
        total = odds.sum(axis=1, keepdims=True)
        index = np.arange(len(rows))
        loss += float(np.sum(np.log(total[:, 0]) - logits[index, labels]))
        residual = odds / total
        residual[index, labels] -= 1.0
        weight_gradient += rows.T @ residual
        bias_gradient += residual.sum(axis=0)
    num = len(features)
    objective = loss / num + 0.5 * l2 * float(np.sum(weights**2))
    return objective, weight_gradient / num + l2 * weights, bias_gradient / num


def _certify(
    features: np.ndarray,
    targets: np.ndarray,
    weights: np.ndarray,
    bias: np.ndarray,
    l2: float,
    tolerance: float,
    iterations: int,
) -> Solution:
    objective, weight_gradient, bias_gradient = objective_and_gradient(
        features, targets, weights, bias, l2=l2
    )
    gradient = np.vstack([weight_gradient, bias_gradient])
    norm = float(np.linalg.norm(gradient))
    certificate = Certificate(
        objective=objective,
        gradient_norm=norm,
        gradient_max=float(np.abs(gradient).max()),
        excess_bound=float(np.sum(weight_gradient**2) / (2 * l2)),
        iterations=iterations,
        converged=norm <= tolerance,
    )
    return Solution(weights, bias, certificate)


@jax.jit
def _append_one(features: Array) -> Array:
    return jnp.concatenate([features, jnp.ones_like(features[:, :1])], axis=1)


@functools.partial(jax.jit, static_argnames=("num_blocks", "sample"))
def _hessian_blocks(features: Array, weights: Array, *, num_blocks: int, sample: int) -> Array:
    """[K, D + 1, D + 1] unpenalised diagonal blocks; [1, …], their mean, where num_blocks is 1.

    Rows enter a block of the Hessian with weight p (1 − p), which near the solution is large for
    few of them. So each block is estimated on rows drawn in proportion to that weight (systematic
    sampling, nothing random), all then of equal weight.
    """
    prob = jax.nn.softmax(jnp.matmul(features, weights, precision=_HIGHEST))
    importance = prob * (1 - prob) / features.shape[0]
    if num_blocks == 1:
        importance = jnp.mean(importance, axis=1, keepdims=True)

    def block(column: Array) -> Array:
        cumulative = jnp.cumsum(column)
        places = (jnp.arange(sample, dtype=jnp.float32) + 0.5) / sample * cumulative[-1]
        rows = features[jnp.searchsorted(cumulative, places)]
        return jnp.matmul(rows.T, rows, precision=_HIGHEST) * (cumulative[-1] / sample)

    return lax.map(block, importance.T)


def _invert(blocks: Array, penalty: np.ndarray) -> Array:
    blocks = np.asarray(blocks, np.float64)
    # The blocks carry float32 rounding, which must not make them indefinite.
    rounding = 1e-7 * np.trace(blocks, axis1=1, axis2=2)
    ridge = penalty + rounding[:, None] + np.finfo(np.float64).tiny
    blocks = blocks + ridge[:, :, None] * np.eye(len(penalty))
    return jnp.asarray(np.linalg.inv(blocks), jnp.float32)


@jax.jit
def _newton_step(
    features: Array, targets: Array, penalty: Array, preconditioner: Array, weights: Array
) -> tuple[Array, Array, Array]:
    """New weights, the norm of the gradient there, and the conjugate gradient steps it took."""
    num = features.shape[0]
    penalty = penalty[:, None]
    one_hot = jax.nn.one_hot(targets, weights.shape[1], dtype=jnp.float32)
    logits = jnp.matmul(features, weights, precision=_HIGHEST)
    prob = jax.nn.softmax(logits)

    def gradient_at(prob: Array, weights: Array) -> Array:
        product = jnp.matmul(features.T, prob - one_hot, precision=_HIGHEST)
        return product / num + penalty * weights

    def hessian_product(vector: Array) -> Array:
        change = jnp.matmul(features, vector, precision=_HIGHEST)
        change = prob * (change - jnp.sum(prob * change, axis=1, keepdims=True))
        return jnp.matmul(features.T, change, precision=_HIGHEST) / num + penalty * vector

    def precondition(vector: Array) -> Array:
        vector = jnp.einsum("kde,ek->dk", preconditioner, vector, precision=_HIGHEST)
        # Adding one number to all logits of an example changes nothing: keep out of that
        # direction, along which the blocks of single classes would move.
        return vector - jnp.mean(vector, axis=1, keepdims=True)

    gradient = gradient_at(prob, weights)
    direction, inner = _conjugate_gradients(hessian_product, precondition, -gradient)
    change = jnp.matmul(features, direction, precision=_HIGHEST)
    length = _line_search(weights, logits, direction, change, one_hot, penalty)
    weights = weights + length * direction
    gradient = gradient_at(jax.nn.softmax(logits + length * change), weights)
    return weights, jnp.linalg.norm(gradient), inner


def _conjugate_gradients(
    product: Callable[[Array], Array], precondition: Callable[[Array], Array], target: Array
) -> tuple[Array, Array]:
    """x with ‖target − product(x)‖ ≤ _FORCING ‖target‖, from zero, and the steps it took."""
    goal = _FORCING * jnp.linalg.norm(target)

    def unfinished(carry: tuple[Array, ...]) -> Array:
        _, residual, _, _, count = carry
        return (jnp.linalg.norm(residual) > goal) & (count < _INNER_STEPS)

    def iterate(carry: tuple[Array, ...]) -> tuple[Array, ...]:
        solution, residual, direction, energy, count = carry
        image = product(direction)
        length = energy / jnp.sum(direction * image)
        residual = residual - length * image
        conditioned = precondition(residual)
        new_energy = jnp.sum(residual * conditioned)
        new_direction = conditioned + new_energy / energy * direction
        return solution + length * direction, residual, new_direction, new_energy, count + 1

    first = precondition(target)
    carry = (jnp.zeros_like(target), target, first, jnp.sum(target * first), jnp.int32(0))
    solution, _, _, _, count = lax.while_loop(unfinished, iterate, carry)
    return solution, count


def _line_search(
    weights: Array, logits: Array, direction: Array, change: Array, one_hot: Array, penalty: Array
) -> Array:
    """Newton's method, kept inside a bracket, for the zero of the slope along ``direction``."""
    num = change.shape[0]

    def slope_and_curvature(length: Array) -> tuple[Array, Array]:
        prob = jax.nn.softmax(logits + length * change)
        mean = jnp.sum(prob * change, axis=1, keepdims=True)
        shrink = penalty * direction
        slope = jnp.sum((prob - one_hot) * change) / num
        slope += jnp.sum(shrink * (weights + length * direction))
        curvature = jnp.sum(prob * jnp.square(change - mean)) / num + jnp.sum(shrink * direction)
        return slope, curvature

    slope_0, _ = slope_and_curvature(jnp.float32(0.0))

    def unfinished(carry: tuple[Array, ...]) -> Array:
        _, _, _, slope, _, count = carry
        return (jnp.abs(slope) > _LINE_SLOPE * jnp.abs(slope_0)) & (count < _LINE_STEPS)

    def narrow(carry: tuple[Array, ...]) -> tuple[Array, ...]:
        low, high, length, slope, curvature, count = carry
        low = jnp.where(slope < 0, length, low)
        high = jnp.where(slope < 0, high, length)
        newton = length - slope / curvature
        middle = jnp.where(jnp.isinf(high), 2.0 * length, 0.5 * (low + high))
        length = jnp.where(
            (newton > low) & (newton < jnp.minimum(high, 10 * length)), newton, middle
        )
        return low, high, length, *slope_and_curvature(length), count + 1

    first = jnp.float32(1.0)
    carry = (
        jnp.float32(0.0),
        jnp.float32(jnp.inf),
        first,
        *slope_and_curvature(first),
        jnp.int32(0),
    )
    return lax.while_loop(unfinished, narrow, carry)[2]
