"""A linear classifier of a few labelled rows, its penalty chosen among the rows themselves.

Rows are centred and divided by one number, so that their mean squared norm is 1; a feature on its
own is not standardised. With 5 or 10 rows a class a deviation is a poor estimate, and with that of
other, unlabelled images the directions without information still grow as large as the others. On
held-out training images of Fashion-MNIST one number is the better choice, most of all for the
baselines. Mean of five draws, %, one number beside the deviations of the whole training split:

    labels a class                      1               5               10
    pixels                         45.9  44.7      65.9  64.6      70.9  70.5
    128 principal components       46.2  26.2      66.1  43.5      70.7  55.4
    SimCLR, pooled                 53.0  52.7      65.6  65.5      68.8  68.7
    SimCLR, 4 x 4 grid             50.0  48.2      65.1  65.6      70.8  71.9

The penalty λ stands beside the sum of the cross-entropies, as the precision of a prior does: the
best λ is then about the same for 5 labels a class and for 100, between 0.01 and 1. It is chosen by
log loss: accuracies of a few left-out rows are coarse, and cost up to 1.4 points there.
"""

import math
from typing import NamedTuple

import numpy as np

from jaxssl.evaluation import logistic, row_space

_JUDGED_ROWS = 1000  # folds are left out in turn until so many rows were
_FOLD_TOLERANCE = 3e-4  # of a gradient in cross-validation, which compares hundredths of a nat


class Classifier(NamedTuple):
    """Logits x W + b of features as they are, and how they were found.

    Attributes:
        weights: W, float64 [D, K].
        bias: b, float64 [K].
        strength: λ, of the fit to all rows.
        cv_losses: nats per left-out row for each strength, strongest first; empty where
            none was left out.
        gradient_norm: Euclidean, of the mean loss with its penalty, over weights of the scaled rows
            and biases; computed in float64 apart from the solver.
    """

    weights: np.ndarray
    bias: np.ndarray
    strength: float
    cv_losses: tuple[float, ...]
    gradient_norm: float


def fit(
    features: np.ndarray,
    targets: np.ndarray,
    *,
    num_classes: int,
    strengths: tuple[float, ...],
    single_strength: float,
    num_folds: int,
    tolerance: float,
    max_iterations: int,
) -> Classifier:
    """Minimises Σ −log softmax(x W + b)[y] + (λ / 2) ‖W‖², x scaled rows, λ by cross-validation.

    All folds but one in turn are fitted with every strength; the strength with the smallest mean
    log loss on the left-out rows, the strongest of equals, is fitted to all rows. Of more than
    1,000 rows, only as many folds are left out as hold 1,000.

    Args:
        features: real [N, D].
        targets: [N] integers in [0, K), each class present.
        num_classes: K ≥ 2.
        strengths: λ tried, > 0.
        single_strength: λ where every class has one row and none can be left out.
        num_folds: at least 2.
        tolerance: largest gradient norm that counts as solved.
        max_iterations: of one fit.

    Returns:
        The classifier; compare its gradient norm with the tolerance.

    Source: λ divided by the number of rows is the penalty of the low-shot evaluation of Assran et
        al. 2022, arXiv:2204.07141 (logistic_eval.py of facebookresearch/msn), fixed there.
    """
    num = len(features)
    mean = features.mean(axis=0, dtype=np.float64)
    rows = features - mean
    squared = float(np.mean(np.sum(rows**2, axis=1)))
    scale = 1 / math.sqrt(squared) if squared > 0 else 1.0
    rows *= scale
    basis = row_space.span(rows)
    strength = single_strength
    losses: tuple[float, ...] = ()
    if np.bincount(targets).max() > 1:
        ordered = np.array(sorted(strengths, reverse=True))
        folds = assign_folds(targets, num_folds)
        losses = _cross_validate(basis, targets, num_classes, folds, ordered, max_iterations)
        strength = float(ordered[np.argmin(losses)])
    solved = row_space.solve(
        basis,
        targets,
        np.full((1, num), 1 / num),
        np.array([strength / num]),
        num_classes=num_classes,
        tolerance=0.5 * tolerance,  # leaves room for the rounding that float64 will see
        max_iterations=max_iterations,
    )
    weights, bias = rows.T @ (basis.mixing @ solved.weights[0, 0]), solved.bias[0, 0]
    _, *gradient = logistic.objective_and_gradient(rows, targets, weights, bias, l2=strength / num)
    weights *= scale
    return Classifier(
        weights=weights,
        bias=bias - mean @ weights,
        strength=strength,
        cv_losses=losses,
        gradient_norm=float(np.linalg.norm(np.vstack(gradient))),
    )


def assign_folds(targets: np.ndarray, num_folds: int) -> np.ndarray:
    """The fold of each row: rows of a class are dealt out in turn.

    A class of one row is in fold −1, which is never left out: a classifier that has not seen a
    class has no finite bias for it.

    Args:
        targets: [N] integers in [0, K).
        num_folds: at most so many; no more than the largest class has rows.

    Returns:
        int64 [N] in [−1, num_folds).
    """
    folds = np.empty(len(targets), np.int64)
    for target in np.unique(targets):
        members = np.flatnonzero(targets == target)
        folds[members] = np.arange(len(members)) % num_folds if len(members) > 1 else -1
    return folds


def log_losses(logits: np.ndarray, targets: np.ndarray) -> np.ndarray:
    """−log softmax(logits)[target], nats.

    Args:
        logits: [..., N, K].
        targets: [N] integers in [0, K).

    Returns:
        [..., N].
    """
    logits = logits - logits.max(axis=-1, keepdims=True)
    own = logits[..., np.arange(len(targets)), targets]
    return np.log(np.exp(logits).sum(axis=-1)) - own


def _cross_validate(
    basis: row_space.Basis,
    targets: np.ndarray,
    num_classes: int,
    folds: np.ndarray,
    strengths: np.ndarray,
    max_iterations: int,
) -> tuple[float, ...]:
    """Nats per left-out row for each strength, in their order."""
    num_folds = folds.max() + 1
    num_judged = min(num_folds, math.ceil(num_folds * _JUDGED_ROWS / len(targets)))
    fitted = folds != np.arange(num_judged)[:, None]  # [F, N]
    counts = fitted.sum(axis=1, keepdims=True)
    solved = row_space.solve(
        basis,
        targets,
        fitted / counts,
        strengths / counts.mean(),  # folds differ by a few rows
        num_classes=num_classes,
        tolerance=_FOLD_TOLERANCE,
        max_iterations=max_iterations,
    )
    total = np.zeros(len(strengths))
    for fold, seen in enumerate(fitted):
        logits = basis.coordinates[~seen] @ solved.weights[fold] + solved.bias[fold][:, None]
        total += log_losses(logits, targets[~seen]).sum(axis=1)
    return tuple((total / np.sum(~fitted)).tolist())
