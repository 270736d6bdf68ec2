"""Many small logistic regressions that share their rows, solved at once in the space of the rows.

With N rows of D features, N few, the weights that minimise an L2-penalised loss are combinations
of the rows. In an orthonormal basis V of what the centred rows X = U S Vᵀ span, W = V A and
‖W‖ = ‖A‖, so that the problem keeps its form with the coordinates Z = U S, [N, R], R ≤ min(N, D),
in the place of X: 9,000 features cost what N do. Folds are weights on the rows and strengths are
more columns, so that one product with Z serves them all.

This is for hundreds of problems of a hundred rows, where compiling ``quasi_newton``, which takes
one problem of any size to an accelerator, would cost more than all the solutions.
"""

from typing import NamedTuple

import numpy as np

# Directions of less than this part of the largest spread are rounding of the Gram matrix.
_RANK_TOLERANCE = 1e-7
_CURVATURE = 0.1  # of the softmax, p (1 - p), as the scales of the coordinates take it
_MEMORY = 10  # steps that L-BFGS remembers
_COMPACT_AT = 8  # solved problems leave once they are one in so many
_LINE_STEPS = 10
_FALLING, _RISING = 0.9, 0.3  # a slope between these parts of the first ends a line search


class Basis(NamedTuple):
    """The span of a few centred rows.

    Attributes:
        coordinates: Z = U S, float64 [N, R]; its columns are orthogonal and have mean zero.
        spread: S² / N, float64 [R], > 0.
        mixing: U S⁻¹, float64 [N, R]: V = Xᵀ U S⁻¹.
    """

    coordinates: np.ndarray
    spread: np.ndarray
    mixing: np.ndarray


class Fits(NamedTuple):
    """One classifier for each fold f and strength s, in the coordinates of a Basis.

    Attributes:
        weights: A, float64 [F, L, R, K].
        bias: float64 [F, L, K].
        gradient_norm: float64 [F, L], Euclidean norm over A and bias, float32 arithmetic.
    """

    weights: np.ndarray
    bias: np.ndarray
    gradient_norm: np.ndarray


def span(rows: np.ndarray) -> Basis:
    """The basis of centred rows, from the eigenvectors of the smaller of X Xᵀ and Xᵀ X.

    Args:
        rows: X, real [N, D], each column of mean zero.

    Returns:
        The basis; R counts the singular values above 1e-7 of the largest.
    """
    rows = rows.astype(np.float64)
    num, dim = rows.shape
    if num <= dim:
        values, left = np.linalg.eigh(rows @ rows.T)
    else:
        values, right = np.linalg.eigh(rows.T @ rows)
    kept = values > max(_RANK_TOLERANCE**2 * values[-1], np.finfo(np.float64).tiny)
    singular = np.sqrt(values[kept])
    left = left[:, kept] if num <= dim else rows @ right[:, kept] / singular
    return Basis(left * singular, singular**2 / num, left / singular)


def solve(
    basis: Basis,
    targets: np.ndarray,
    row_weights: np.ndarray,
    l2: np.ndarray,
    *,
    num_classes: int,
    tolerance: float,
    max_iterations: int,
) -> Fits:
    """Minimises Σ_i v_i (−log softmax(z_i A + b)[y_i]) + (l2 / 2) ‖A‖² for each fold and strength.

    L-BFGS, all problems in step: one product with Z for the change of all logits and one for all
    gradients; the line search runs on the logits, which are affine in its length. Each coordinate
    is first scaled by the curvature that orthogonality makes known, its spread, and the penalty.

    Args:
        basis: of the N rows.
        targets: [N] integers in [0, K).
        row_weights: v, [F, N] ≥ 0, each fold's sum 1; 0 leaves a row out.
        l2: penalties [L], > 0, of the mean loss.
        num_classes: K.
        tolerance: largest Euclidean norm of a gradient that counts as solved; float32 reaches 1e-5.
        max_iterations: steps at most.

    Returns:
        Fits; a gradient norm above the tolerance tells an unfinished one.

    Source: Nocedal and Wright, Numerical Optimization, 2nd ed. 2006, algorithms 7.4 and 7.5.
    """
    num, rank = basis.coordinates.shape
    folds, strengths = len(row_weights), len(l2)
    rows = np.ones((num, rank + 1), np.float32)  # the last column carries the bias
    rows[:, :-1] = basis.coordinates
    fold, strength = (index.ravel() for index in np.indices((folds, strengths)))
    weight = row_weights.T.astype(np.float32)[:, fold, None]  # [N, P, 1]: P problems, of F · L
    squares = np.outer(np.append(np.ones(rank), 0), np.asarray(l2)[strength])  # [R + 1, P]
    steps = 1 / np.sqrt(_CURVATURE * np.append(basis.spread, 1)[:, None] + squares)
    penalty, scale = squares.astype(np.float32)[:, :, None], steps.astype(np.float32)[:, :, None]
    one_hot = np.eye(num_classes, dtype=np.float32)[targets][:, None]  # [N, 1, K]

    shape = (rank + 1, folds * strengths, num_classes)
    solved, norms = np.zeros(shape, np.float32), np.full(shape[1], np.inf)
    active = np.arange(shape[1])  # the problems that are not solved yet, in all arrays below
    point, logits = np.zeros(shape, np.float32), np.zeros((num, *shape[1:]), np.float32)
    slope = _gradient(rows, _softmax(logits), one_hot, weight, penalty, point)
    history: list[tuple[np.ndarray, np.ndarray, np.ndarray]] = []
    for iteration in range(max_iterations + 1):
        norms[active] = np.linalg.norm(slope, axis=(0, 2))
        done = norms[active] <= tolerance
        if done.all() or iteration == max_iterations:
            solved[:, active] = point
            break
        if done.sum() * _COMPACT_AT >= len(done):
            solved[:, active[done]] = point[:, done]
            keep = np.flatnonzero(~done)
            active, weight, logits = active[keep], weight[:, keep], logits[:, keep]
            point, slope = point[:, keep], slope[:, keep]
            penalty, scale = penalty[:, keep], scale[:, keep]
            history = [(s[:, keep], y[:, keep], r[keep]) for s, y, r in history]
        direction = scale * _two_loops(scale * slope, history)
        change = (rows @ direction.reshape(rank + 1, -1)).reshape(logits.shape)
        length, prob = _line_search(
            logits,
            change,
            one_hot,
            weight,
            _dot(penalty * direction, point),
            _dot(penalty * direction, direction),
        )
        step = length[:, None] * direction
        point, logits = point + step, logits + length[:, None] * change
        following = _gradient(rows, prob, one_hot, weight, penalty, point)
        moved, turned = step / scale, scale * (following - slope)
        energy = _dot(moved, turned)
        # A solved problem that waits for the others may stand still, which teaches nothing.
        energy = np.where(energy > 0, energy, np.inf)
        history = [*history[-_MEMORY + 1 :], (moved, turned, 1 / energy)]
        slope = following
    shaped = solved.astype(np.float64).reshape(rank + 1, folds, strengths, num_classes)
    return Fits(
        weights=shaped[:-1].transpose(1, 2, 0, 3),
        bias=shaped[-1],
        gradient_norm=norms.reshape(folds, strengths),
    )


def _softmax(logits: np.ndarray) -> np.ndarray:
    odds = np.exp(logits - logits.max(axis=2, keepdims=True))
    odds /= odds.sum(axis=2, keepdims=True)
    return odds


def _dot(first: np.ndarray, second: np.ndarray) -> np.ndarray:
    """[P] inner products of two arrays [R + 1, P, K]."""
    return np.einsum("rpk,rpk->p", first, second)


def _gradient(
    rows: np.ndarray,
    prob: np.ndarray,
    one_hot: np.ndarray,
    weight: np.ndarray,
    penalty: np.ndarray,
    point: np.ndarray,
) -> np.ndarray:
    residual = (prob - one_hot) * weight
    return (rows.T @ residual.reshape(len(rows), -1)).reshape(point.shape) + penalty * point


def _two_loops(
    slope: np.ndarray, history: list[tuple[np.ndarray, np.ndarray, np.ndarray]]
) -> np.ndarray:
    """The L-BFGS direction from pairs of moves and turns of the gradient, oldest first."""
    direction, factors = -slope, []
    for moved, turned, inverse in reversed(history):
        factors.append(inverse * _dot(moved, direction))
        direction = direction - factors[-1][:, None] * turned
    if history:
        moved, turned, inverse = history[-1]
        square = inverse * _dot(turned, turned)
        direction = direction / np.where(square > 0, square, 1)[:, None]
    for (moved, turned, inverse), factor in zip(history, reversed(factors)):
        direction = direction + (factor - inverse * _dot(turned, direction))[:, None] * moved
    return direction


def _line_search(
    logits: np.ndarray,
    change: np.ndarray,
    one_hot: np.ndarray,
    weight: np.ndarray,
    linear: np.ndarray,
    quadratic: np.ndarray,
) -> tuple[np.ndarray, np.ndarray]:
    """Lengths [P] at which the slope is small, by a bracketed secant, and the softmax there.

    ``linear`` + length · ``quadratic`` is the penalty's part of the slope. It never compares values
    of the loss, of which float32 holds 7 digits.
    """
    weighted = weight * change
    gained = np.einsum("npk,npk->p", weighted, np.broadcast_to(one_hot, change.shape))

    def slope_at(length: np.ndarray, which: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        prob = _softmax(logits[:, which] + length[:, None] * change[:, which])
        loss = np.einsum("npk,npk->p", weighted[:, which], prob) - gained[which]
        return loss + linear[which] + length * quadratic[which], prob

    everything = np.arange(logits.shape[1])
    length = np.ones(len(everything), np.float32)
    low, high = np.zeros_like(length), np.full_like(length, np.inf)
    low_slope, high_slope = slope_at(low, everything)[0], np.full_like(length, np.inf)
    steepest = np.abs(low_slope)
    slope, prob = slope_at(length, everything)
    for _ in range(_LINE_STEPS):
        wrong = np.flatnonzero((slope < -_FALLING * steepest) | (slope > _RISING * steepest))
        if not len(wrong):
            break
        falls = slope < 0
        low, low_slope = np.where(falls, length, low), np.where(falls, slope, low_slope)
        high, high_slope = np.where(falls, high, length), np.where(falls, high_slope, slope)
        bounded = np.isfinite(high[wrong])
        width = np.where(bounded, high[wrong] - low[wrong], low[wrong])
        rise = np.where(bounded, high_slope[wrong] - low_slope[wrong], np.inf)
        rise = np.maximum(rise, np.finfo(np.float32).tiny)
        part = np.where(bounded, np.clip(-low_slope[wrong] / rise, 0.1, 0.9), 2)
        length[wrong] = low[wrong] + part * width
        slope[wrong], prob[:, wrong] = slope_at(length[wrong], wrong)
    return length, prob
