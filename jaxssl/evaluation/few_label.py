"""Few labels: how well a linear classifier does that is told the classes of a few images only.

Labels are what pretraining saves, so this is the question that features are learned for. Budgets
are labels a class or parts of the training split; each is drawn several times, by seeds that are
fixed, and every encoder is given the same draws. The penalty is chosen by cross-validation among
the few labels, never on others and never on the test split, which is read once, at the end.
"""

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import scipy.optimize
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
        l2_grid: penalties tried, > 0, in nats per squared weight of standardised features.
        single_l2: the penalty where a class has one label, of which none can be left out.
        folds: parts that cross-validation makes of a draw, at most; each class is in all.
    """

    per_class: tuple[int, ...] = (1, 5, 10, 100)
    fractions: tuple[float, ...] = (0.01, 0.1)
    draws: int = 5
    l2_grid: tuple[float, ...] = (10.0, 1.0, 0.1, 0.01)
    single_l2: float = 10.0
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
        if not self.l2_grid or min(*self.l2_grid, self.single_l2) <= 0:
            raise ValueError(
                f"l2_grid, single_l2: must be positive strengths; got {self.l2_grid} and "
                f"{self.single_l2}."
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
        l2: the penalty chosen.
        cv_accuracy: of the chosen penalty in cross-validation; None where nothing was left out.
        test_accuracy: fraction of the test split predicted right.
    """

    seed: int
    rows: list[int] | None
    rows_sha256: str
    num_labels: int
    l2: float
    cv_accuracy: float | None
    test_accuracy: float


class Budget(NamedTuple):
    """What a budget of labels is good for.

    Attributes:
        test_accuracy: mean over draws.
        half_width: half of its 95 % interval over draws, by Student's t; None of one draw.
        cv_accuracy: mean of the draws' cross-validated accuracies, None where nothing was left out.
        draws: each draw.
    """

    test_accuracy: float
    half_width: float | None
    cv_accuracy: float | None
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

    Features are standardised by the mean and standard deviation of the whole training split, which
    takes no label. Each fit minimises mean cross-entropy + (l2 / 2) ‖W‖², bias free, over the rows
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
    train_features, train_labels = accuracy.check_pair(
        "few_label.evaluate", train_features, train_labels, split="training"
    )
    test_features, test_labels = accuracy.check_pair(
        "few_label.evaluate", test_features, test_labels, split="test"
    )
    if test_features.shape[1] != train_features.shape[1]:
        raise ValueError(
            f"few_label.evaluate: test features must have the training features' "
            f"{train_features.shape[1]} columns; got {test_features.shape[1]}. "
            "Extract both with the same encoder."
        )
    mean, scale = standardised.moments(train_features)
    measured = {}
    for name, budget in config.budgets.items():
        draws = []
        for seed in range(config.draws):
            rows = draw_rows(train_labels, budget, seed)
            classes, targets = np.unique(train_labels[rows], return_inverse=True)
            fitted = (train_features[rows] - mean) * scale
            weights, bias, l2, right = _fit(fitted, targets, len(classes), config)
            # The weights take the scale, so that the test split needs no standardised copy.
            weights = scale[:, None] * weights
            logits = test_features @ weights.astype(np.float32) + (bias - mean @ weights)
            accurate = float(np.mean(classes[np.argmax(logits, axis=1)] == test_labels))
            draws.append(_draw(seed, rows, l2, right, accurate))
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
    """Weights [D, K], bias [K], the penalty and its cross-validated accuracy."""
    basis = None
    if features.shape[0] < features.shape[1]:
        left, values, basis = np.linalg.svd(features, full_matrices=False)
        features = left * values
    folds = _folds(targets, config.folds)
    l2, right = config.single_l2, None
    if folds.max() > 0:
        l2, right = _choose(features, targets, num_classes, folds, config.l2_grid)
    weights, bias = _solve(features, targets, num_classes, l2)
    return weights if basis is None else basis.T @ weights, bias, l2, right


def _choose(
    features: np.ndarray,
    targets: np.ndarray,
    num_classes: int,
    folds: np.ndarray,
    l2_grid: Sequence[float],
) -> tuple[float, float]:
    """The penalty with the highest cross-validated accuracy, the strongest of equals."""
    strengths = sorted(l2_grid, reverse=True)
    right = np.zeros(len(strengths))
    for fold in range(folds.max() + 1):
        held_out, start = folds == fold, None
        for index, l2 in enumerate(strengths):
            start = _solve(features[~held_out], targets[~held_out], num_classes, l2, start)
            logits = features[held_out] @ start[0] + start[1]
            right[index] += np.sum(np.argmax(logits, axis=1) == targets[held_out])
    best = int(np.argmax(right))
    return strengths[best], float(right[best] / len(targets))


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
    l2: float,
    start: tuple[np.ndarray, np.ndarray] | None = None,
) -> tuple[np.ndarray, np.ndarray]:
    """The minimum of ``logistic.objective_and_gradient``, by L-BFGS in float64.

    Weights are scaled by the square root of a guess of their curvature, the mean square of their
    feature and the penalty, which saves most of the iterations.
    """
    dim = features.shape[1]
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


def _draw(
    seed: int, rows: np.ndarray, l2: float, cv_accuracy: float | None, test_accuracy: float
) -> Draw:
    return Draw(
        seed=seed,
        rows=rows.tolist() if len(rows) <= _MAX_LISTED else None,
        rows_sha256=hashlib.sha256(rows.astype("<i8").tobytes()).hexdigest(),
        num_labels=len(rows),
        l2=l2,
        cv_accuracy=cv_accuracy,
        test_accuracy=test_accuracy,
    )


def _over_draws(draws: Sequence[Draw]) -> Budget:
    accuracies = np.array([draw.test_accuracy for draw in draws])
    validated = [draw.cv_accuracy for draw in draws]
    half_width = None
    if len(draws) > 1:
        quantile = scipy.stats.t.ppf(0.975, len(draws) - 1)
        half_width = float(quantile * accuracies.std(ddof=1) / np.sqrt(len(draws)))
    return Budget(
        test_accuracy=float(accuracies.mean()),
        half_width=half_width,
        cv_accuracy=None if None in validated else float(np.mean(validated)),
        draws=tuple(draws),
    )
