"""L2-regularised multinomial logistic regression, solved to a stated optimality.

With N examples x, labels y, weights W [D, K] and bias b [K] the objective is

    f(W, b) = 1/N Σ −log softmax(x W + b)[y] + (l2 / 2) ‖W‖²,

convex, so that a vanishing gradient proves the solution: no learning rate, no number of epochs
and no luck is left in the accuracy that follows. The solver works in float32 on the accelerator;
its :class:`Certificate` is computed afterwards by other code, in float64.
"""

from typing import NamedTuple

import numpy as np

from jaxssl.evaluation import quasi_newton
from jaxssl.evaluation.standardised import Standardised

_RANK_LIMIT = 1e-13  # of the largest eigenvalue; smaller ones are rounding


class Certificate(NamedTuple):
    """How near a returned solution is to the optimum; computed in float64.

    Attributes:
        objective: f at the solution, nats.
        gradient_norm: Euclidean norm of the gradient of f over all weights and biases.
        gradient_max: its largest absolute entry.
        excess_bound: ‖∂f/∂W‖² / (2 l2), nats: f minus its minimum is at most this, by strong
            convexity in W, once the bias gradient is zero.
        iterations: quasi-Newton steps spent.
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


class Problem:
    """The data of a regression, prepared once for any number of penalties.

    Where there are fewer examples than features, the weights of the solution lie in the span of the
    examples (representer theorem). They are then sought in an orthonormal basis of it, which
    changes neither logits nor penalty: N numbers a class instead of D.
    """

    def __init__(self, rows: Standardised, targets: np.ndarray, *, num_classes: int):
        """Keeps references to features and targets; what is copied is in blocks.

        Args:
            rows: [N, D].
            targets: [N] integers in [0, num_classes), each class present.
            num_classes: K ≥ 2.
        """
        self._rows, self._targets, self._num_classes = rows, targets, num_classes
        self._basis = None
        sought = rows
        if rows.num < rows.dim:
            self._basis, coordinates = _span(rows)
            sought = Standardised(coordinates)
        self._objective = quasi_newton.Objective(sought, targets, num_classes)

    def solve(
        self, *, l2: float, tolerance: float, max_iterations: int, start: Solution | None = None
    ) -> Solution:
        """Minimises f and certifies the result; see :func:`solve`."""
        weights = np.zeros((self._num_classes, self._objective.rows.dim + 1))
        if start is not None:
            inner = start.weights if self._basis is None else self._basis.T @ start.weights
            weights = np.vstack([inner, start.bias]).T
        # Half the tolerance leaves room for the rounding that the certificate will see.
        found = quasi_newton.minimise(
            self._objective, weights, l2=l2, goal=0.5 * tolerance, max_iterations=max_iterations
        )
        inner, bias = found.weights[:, :-1].T, found.weights[:, -1]
        weights = np.ascontiguousarray(inner) if self._basis is None else self._basis @ inner
        return _certify(self._rows, self._targets, weights, bias, l2, tolerance, found.iterations)


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
    """Minimises f by preconditioned L-BFGS, and certifies the result.

    Args:
        features: [N, D] float32, standardised. Neither changed nor copied as a whole where they
            exceed 1 GiB on a CPU.
        targets: [N] integers in [0, num_classes), each class present.
        num_classes: K ≥ 2.
        l2: penalty, > 0.
        tolerance: largest Euclidean norm of the gradient that counts as converged.
        max_iterations: quasi-Newton steps at most.
        start: a solution for another l2 to start from; zeros without one.

    Returns:
        The solution; ``certificate.converged`` says whether it is one.

    Source: Nocedal and Wright, Numerical Optimization, 2nd ed. 2006, algorithm 7.4.
    """
    problem = Problem(Standardised(features), targets, num_classes=num_classes)
    return problem.solve(l2=l2, tolerance=tolerance, max_iterations=max_iterations, start=start)


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
    return _objective_and_gradient(Standardised(features), targets, weights, bias, l2)


def _objective_and_gradient(
    rows: Standardised, targets: np.ndarray, weights: np.ndarray, bias: np.ndarray, l2: float
) -> tuple[float, np.ndarray, np.ndarray]:
    loss = 0.0
    weight_gradient, bias_gradient = np.zeros_like(weights), np.zeros_like(bias)
    for first, block in rows.wide_blocks():
        labels = targets[first : first + len(block)]
        logits = block @ weights + bias
        logits -= logits.max(axis=1, keepdims=True)
        odds = np.exp(logits)
        total = odds.sum(axis=1, keepdims=True)
        index = np.arange(len(block))
        loss += float(np.sum(np.log(total[:, 0]) - logits[index, labels]))
        residual = odds / total
        residual[index, labels] -= 1.0
        weight_gradient += block.T @ residual
        bias_gradient += residual.sum(axis=0)
    objective = loss / rows.num + 0.5 * l2 * float(np.sum(weights**2))
    return objective, weight_gradient / rows.num + l2 * weights, bias_gradient / rows.num


def _certify(
    rows: Standardised,
    targets: np.ndarray,
    weights: np.ndarray,
    bias: np.ndarray,
    l2: float,
    tolerance: float,
    iterations: int,
) -> Solution:
    objective, weight_gradient, bias_gradient = _objective_and_gradient(
        rows, targets, weights, bias, l2
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


def _span(rows: Standardised) -> tuple[np.ndarray, np.ndarray]:
    """Orthonormal basis [D, R] of the span of the rows, and their coordinates float32 [N, R]."""
    features = rows.wide(0, rows.num)
    values, vectors = np.linalg.eigh(features @ features.T)
    kept = values > _RANK_LIMIT * values[-1]
    kept[-1] = True  # one direction at least, where all features are constant
    lengths = np.sqrt(np.maximum(values[kept], np.finfo(np.float64).tiny))
    vectors = vectors[:, kept]
    return features.T @ (vectors / lengths), (vectors * lengths).astype(np.float32)
