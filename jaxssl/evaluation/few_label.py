"""Few labels: how well a linear classifier does that is told the classes of a few images only.

Labels are what pretraining saves, so this is the question that features are learned for. Budgets
are labels a class or parts of the training split; each is drawn several times, by seeds that are
fixed, and every encoder is given the same draws. The penalty is chosen by cross-validation among
the few labels, never on others and never on the test split, which is read once, at the end. It goes
by the cross-entropy of what was left out: of a hundred labels, the number that are right is too
coarse (on Fashion-MNIST's validation images it costs half a point).
"""

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.optimize
import scipy.special
import scipy.stats

from jaxssl.evaluation import accuracy, logistic, standardised

_MAX_LISTED = 1000  # rows of a draw that a result file lists; of more, their sha256
_ITERATIONS = 500
_CURVATURE = (
    0.05  # of the loss in a logit: p (1 - p) is 0.09 at the start of ten classes, then less
)
_GRADIENT = 1e-5  # largest entry of the scaled gradient at which a fit ends


@dataclasses.dataclass(frozen=True)
class FewLabelConfig:
    """The protocol of few labels.

    Attributes:
        per_class: budgets in labels a class.
        fractions: budgets as parts of every class of the training split, in (0, 1).
        draws: draws of every budget, with seeds 0, 1, ….
        strengths: penalties tried, > 0, in nats per squared weight of features of mean squared norm
            1, beside the sum of the cross-entropies: the l2 of their mean times the labels.
        single_strength: the penalty where a class has one label, of which none can be left out.
        folds: parts that cross-validation makes of a draw, at most; each class is in all.
    """

    per_class: tuple[int, ...] = (1, 5, 10, 100)
    fractions: tuple[float, ...] = (0.01, 0.1)
    draws: int = 5
    strengths: tuple[float, ...] = (10.0, 1.0, 0.1, 0.01, 0.001)
    single_strength: float = 1.0
    folds: int = 5

    def __post_init__(self):
        if not self.per_class and not self.fractions:
            raise ValueError(
                "per_class: must name a budget, or fractions must; got none. 10 labels a class is "
                "the usual one."
            )
        if any(count < 1 for count in self.per_class):
            raise ValueError(f"per_class: must be at least 1 label a class; got {self.per_class}.")
        if any(not 0 < fraction < 1 for fraction in self.fractions):
            raise ValueError(
                f"fractions: must lie between 0 and 1; got {self.fractions}. 0.01 is one per cent."
            )
        if self.draws < 1 or self.folds < 2:
            raise ValueError(
                f"draws, folds: must be at least 1 and 2; got {self.draws} and {self.folds}."
            )
        if not self.strengths or min(*self.strengths, self.single_strength) <= 0:
            raise ValueError(
                f"strengths, single_strength: must be positive; got {self.strengths} and "
                f"{self.single_strength}. 0.001 is almost none."
            )

    @property
    def budgets(self) -> dict[str, int | float]:
        """Names of the budgets and what they are: labels a class (int) or a fraction (float)."""
        return {f"{count} per class": count for count in self.per_class} | {
            f"{100 * fraction:g} %": fraction for fraction in self.fractions
        }


class Draw(NamedTuple):
    """One draw of a budget.

    Attributes:
        seed: of the draw.
        rows: row numbers in the training split, ascending; None where they are many.
        rows_sha256: of the rows as little-endian int64.
        num_labels: rows drawn.
        strength: the penalty chosen.
        cv_loss: cross-entropy of the labels left out in cross-validation at the chosen penalty,
            nats; None where nothing was left out.
        test_accuracy: fraction of the test split predicted right.
    """

    seed: int
    rows: list[int] | None
    rows_sha256: str
    num_labels: int
    strength: float
    cv_loss: float | None
    test_accuracy: float


class Budget(NamedTuple):
    """What a budget of labels is good for.

    Attributes:
        test_accuracy: mean over draws.
        half_width: half of its 95 % interval over draws, by Student's t; None of one draw.
        cv_loss: mean of the draws', None where nothing was left out.
        draws: each draw.
    """

    test_accuracy: float
    half_width: float | None
    cv_loss: float | None
    draws: tuple[Draw, ...]

    def to_json(self) -> dict:
        """As JSON values."""
        return self._asdict() | {"draws": [draw._asdict() for draw in self.draws]}


def evaluate(
    train_features: np.ndarray,
    train_labels: np.ndarray,
    test_features: np.ndarray,
    test_labels: np.ndarray,
    *,
    config: FewLabelConfig = FewLabelConfig(),
) -> dict[str, Budget]:
    """Fits and tests a linear classifier for every budget and draw.

    Features are centred and divided by one number, so that the mean squared norm of the training
    split is 1; that takes no label. (With each divided by its own deviation, small directions would
    weigh as much as large ones, which a few labels cannot sort out: principal components lose 15
    points so.) Each fit minimises Σ cross-entropy + (strength / 2) ‖W‖², bias free, over the rows
    drawn. Its solution lies in the span of those rows (W = Xᵀ A), so that it is found there: with
    X = U S Vᵀ the few rows are U S, as many numbers as rows, however many features there are.

    Args:
        train_features: [N, D] real and finite.
        train_labels: [N] integers ≥ 0, at least two classes; only drawn rows' are looked at.
        test_features: [N', D] real and finite.
        test_labels: [N'] integers ≥ 0; a class that training lacks counts as wrong.
        config: the protocol.

    Returns:
        Budgets by name, "10 per class" or "1 %".

    Raises:
        ValueError: features not finite, shapes that differ, fewer than two classes, or a class with
            fewer images than a budget asks for.
    """
    train_features, train_labels, test_features, test_labels = accuracy.check_splits(
        "few_label.evaluate", train_features, train_labels, test_features, test_labels
    )
    mean, scale = _centre_and_scale(train_features)
    measured = {}
    for name, budget in config.budgets.items():
        draws = []
        for seed in range(config.draws):
            rows = draw_rows(train_labels, budget, seed)
            classes, targets = np.unique(train_labels[rows], return_inverse=True)
            fitted = (train_features[rows] - mean) * scale
            weights, bias, strength, loss = _fit(fitted, targets, len(classes), config)
            # The weights take the scale, so that the test split needs no copy.
            weights = scale * weights
            logits = test_features @ weights.astype(np.float32) + (bias - mean @ weights)
            accurate = float(np.mean(classes[np.argmax(logits, axis=1)] == test_labels))
            draws.append(_draw(seed, rows, strength, loss, accurate))
        measured[name] = _over_draws(draws)
    return measured


def draw_rows(labels: np.ndarray, budget: int | float, seed: int) -> np.ndarray:
    """Rows of a budget: the first of each class in ``numpy.random.default_rng(seed)``'s order.

    The order is that of ``default_rng(seed).permutation(N)``, one for all budgets, so that a
    smaller budget's rows are among a larger one's.

    Args:
        labels: [N] integers.
        budget: labels a class, or as a float the part of each class, rounded, at least one.
        seed: of the draw.

    Returns:
        Row numbers, ascending.

    Raises:
        ValueError: fewer than two classes, or a class with fewer rows than asked for.
    """
    order = np.random.default_rng(seed).permutation(len(labels))
    classes, counts = np.unique(labels, return_counts=True)
    if len(classes) < 2:
        raise ValueError(
            f"few_label.draw_rows: labels must hold at least two classes; got only {classes[0]}."
        )
    if not isinstance(budget, float) and counts.min() < budget:
        short = classes[np.argmin(counts)]
        raise ValueError(
            f"few_label.draw_rows: every class must have {budget} images; class {short} has "
            f"{counts.min()}. Ask for fewer labels a class."
        )
    chosen = []
    for label, count in zip(classes, counts):
        wanted = max(1, round(budget * count)) if isinstance(budget, float) else budget
        chosen.append(order[labels[order] == label][:wanted])
    return np.sort(np.concatenate(chosen))


def _fit(
    features: np.ndarray, targets: np.ndarray, num_classes: int, config: FewLabelConfig
) -> tuple[np.ndarray, np.ndarray, float, float | None]:
    """Weights [D, K], bias [K], the penalty and its cross-validated loss."""
    basis = None
    if features.shape[0] < features.shape[1]:
        left, values, basis = np.linalg.svd(features, full_matrices=False)
        features = left * values
    folds = _folds(targets, config.folds)
    strength, loss = config.single_strength, None
    if folds.max() > 0:
        strength, loss = _choose(features, targets, num_classes, folds, config.strengths)
    weights, bias = _solve(features, targets, num_classes, strength)
    return weights if basis is None else basis.T @ weights, bias, strength, loss


def _choose(
    features: np.ndarray,
    targets: np.ndarray,
    num_classes: int,
    folds: np.ndarray,
    strengths: Sequence[float],
) -> tuple[float, float]:
    """The penalty with the lowest cross-validated loss, the strongest of equals, and that loss."""
    strengths = sorted(strengths, reverse=True)
    losses = np.zeros(len(strengths))
    for fold in range(folds.max() + 1):
        held_out, start = folds == fold, None
        for index, strength in enumerate(strengths):
            start = _solve(features[~held_out], targets[~held_out], num_classes, strength, start)
            logits = features[held_out] @ start[0] + start[1]
            own = np.take_along_axis(logits, targets[held_out][:, None], axis=1)[:, 0]
            losses[index] += np.sum(scipy.special.logsumexp(logits, axis=1) - own)
    best = int(np.argmin(losses))
    return strengths[best], float(losses[best] / len(targets))


def _folds(targets: np.ndarray, most: int) -> np.ndarray:
    """[N] number of the fold of each row: rows of a class are dealt out in turn.

    As many folds as the rarest class has rows, at most ``most``.
    """
    count = min(most, int(np.bincount(targets).min()))
    folds = np.zeros(len(targets), int)
    for target in range(targets.max() + 1):
        members = np.flatnonzero(targets == target)
        folds[members] = np.arange(len(members)) % count
    return folds


def _solve(
    features: np.ndarray,
    targets: np.ndarray,
    num_classes: int,
    strength: float,
    start: tuple[np.ndarray, np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The minimum of ``logistic.objective_and_gradient``, by L-BFGS in float64.

    Weights are scaled by the square root of a guess of their curvature, the mean square of their
    feature and the penalty, which saves most of the iterations.
    """
    dim, l2 = features.shape[1], strength / len(targets)
    curvature = _CURVATURE * np.mean(np.square(features, dtype=np.float64), axis=0) + l2
    scale = np.append(np.sqrt(curvature), np.sqrt(_CURVATURE))[:, None]

    def objective(flat: np.ndarray) -> tuple[float, np.ndarray]:
        weights = flat.reshape(dim + 1, num_classes) / scale
        value, to_weights, to_bias = logistic.objective_and_gradient(
            features, targets, weights[:-1], weights[-1], l2=l2
        )
        return value, (np.vstack([to_weights, to_bias]) / scale).ravel()

    begin = np.zeros((dim + 1, num_classes)) if start is None else np.vstack(start)
    found = scipy.optimize.minimize(
        objective,
        (begin * scale).ravel(),
        jac=True,
        method="L-BFGS-B",
        options={"maxiter": _ITERATIONS, "gtol": _GRADIENT, "ftol": 0.0},
    )
    weights = found.x.reshape(dim + 1, num_classes) / scale
    return weights[:-1], weights[-1]


def _centre_and_scale(features: np.ndarray) -> tuple[np.ndarray, float]:
    """The mean of each feature, and what makes the mean squared norm of centred rows 1."""
    mean, scale = standardised.moments(features)
    variances = np.where(scale > 0, 1.0 / np.where(scale > 0, scale, 1.0) ** 2, 0.0)
    total = float(variances.sum())
    return mean, 1.0 / np.sqrt(total) if total > 0 else 0.0


def _draw(
    seed: int, rows: np.ndarray, strength: float, cv_loss: float | None, test_accuracy: float
) -> Draw:
    return Draw(
        seed=seed,
        rows=rows.tolist() if len(rows) <= _MAX_LISTED else None,
        rows_sha256=hashlib.sha256(rows.astype("<i8").tobytes()).hexdigest(),
        num_labels=len(rows),
        strength=strength,
        cv_loss=cv_loss,
        test_accuracy=test_accuracy,
    )


def _over_draws(draws: Sequence[Draw]) -> Budget:
    accuracies = np.array([draw.test_accuracy for draw in draws])
    validated = [draw.cv_loss for draw in draws]
    half_width = None
    if len(draws) > 1:
        quantile = scipy.stats.t.ppf(0.975, len(draws) - 1)
        half_width = float(quantile * accuracies.std(ddof=1) / np.sqrt(len(draws)))
    return Budget(
        test_accuracy=float(accuracies.mean()),
        half_width=half_width,
        cv_loss=None if None in validated else float(np.mean(validated)),
        draws=tuple(draws),
    )
