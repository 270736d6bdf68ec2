"""Few labels: how well a linear classifier does that is told the classes of a few images only.

Labels are what pretraining saves, so this is the question that features are learned for. Budgets
are labels a class or parts of the training split; each is drawn several times, by seeds that are
fixed, and every encoder is given the same draws. The penalty is chosen by cross-validation among
the few labels, never on others and never on the test split, which is read once, at the end. Assran
et al. 2022 (arXiv:2204.07141) measure frozen features so, at a fixed penalty.
"""

import dataclasses
import hashlib
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import special

from jaxssl import checks
from jaxssl.evaluation import accuracy, small_probe, threads

USUAL_PER_CLASS = (1, 5, 10, 100)
USUAL_FRACTIONS = (0.01, 0.1)
_MAX_LISTED = 1000  # rows of a draw that a result file lists; of more, their sha256


@dataclasses.dataclass(frozen=True)
class FewLabelConfig:
    """The protocol of few labels.

    Attributes:
        per_class: budgets in labels a class. None: 1, 5, 10 and 100, as far as every class has
            them.
        fractions: budgets as parts of every class of the training split, in (0, 1). None: 0.01 and
            0.1, as far as they are an image of any class.
        draws: draws of every budget, with seeds 0, 1, ….
        strengths: penalties tried, > 0, in nats per squared weight of rows of mean squared norm 1,
            beside the sum of their cross-entropies (the l2 of their mean, times the labels).
        single_strength: the penalty where classes have one label, of which none can be left out.
        folds: parts that cross-validation makes of a draw, at most.
        tolerance: Euclidean norm of the gradient at which a fit counts as converged.
        max_iterations: of one fit at most.
    """

    per_class: tuple[int, ...] | None = None
    fractions: tuple[float, ...] | None = None
    draws: int = 5
    strengths: tuple[float, ...] = (10.0, 1.0, 0.1, 0.01, 0.001)
    single_strength: float = 1.0
    folds: int = 5
    tolerance: float = 1e-4
    max_iterations: int = 1000

    def __post_init__(self):
        if self.per_class == () == self.fractions:
            raise ValueError(
                "FewLabelConfig: per_class or fractions must name a budget; got none. 10 labels a "
                "class is the usual one."
            )
        checks.at_least(self, 1, "per_class", "draws", "max_iterations")
        checks.at_least(self, 2, "folds")
        fix = "0.01 is one per cent."
        checks.in_range(self, 0, 1, "fractions", open_left=True, open_right=True, fix=fix)
        if not self.strengths:
            raise ValueError(
                "FewLabelConfig: strengths must hold at least one; got (). 0.001 is almost none."
            )
        checks.above(self, 0, "strengths", "single_strength", fix="0.001 is almost none.")
        checks.above(self, 0, "tolerance", fix="float32 reaches 1e-5.")

    def fit_to(self, labels: np.ndarray) -> "FewLabelConfig":
        """The same with budgets: those that were asked for, or the usual ones that fit.

        Args:
            labels: integers [N], of the training split.

        Raises:
            ValueError: no usual fraction fits, and no number of labels a class is asked for.
        """
        _, counts = np.unique(labels, return_counts=True)
        per_class, fractions = self.per_class, self.fractions
        if per_class is None:
            per_class = tuple(each for each in USUAL_PER_CLASS if each <= counts.min())
        if fractions is None:
            fractions = tuple(each for each in USUAL_FRACTIONS if round(each * counts.max()) >= 1)
        return dataclasses.replace(self, per_class=per_class, fractions=fractions)

    @property
    def budgets(self) -> dict[str, int | float]:
        """Names of the budgets and what they are: labels a class (int) or a fraction (float)."""
        per_class = USUAL_PER_CLASS if self.per_class is None else self.per_class
        fractions = USUAL_FRACTIONS if self.fractions is None else self.fractions
        return {f"{count} per class": count for count in per_class} | {
            f"{100 * fraction:g} %": fraction for fraction in fractions
        }


class Draw(NamedTuple):
    """One draw of a budget.

    Attributes:
        seed: of the draw.
        rows: row numbers in the training split, ascending; None where they are many.
        rows_sha256: of the rows as little-endian int64.
        num_labels: rows drawn.
        strength: the penalty chosen.
        cv_losses: nats per left-out row of each strength, strongest first; empty where
            none was left out.
        converged: whether the fit reached the tolerance, by a gradient computed in float64.
        test_accuracy: fraction of the test split predicted right.
    """

    seed: int
    rows: list[int] | None
    rows_sha256: str
    num_labels: int
    strength: float
    cv_losses: tuple[float, ...]
    converged: bool
    test_accuracy: float


class Budget(NamedTuple):
    """What a budget of labels is good for.

    Attributes:
        labels_per_class: mean over classes.
        test_accuracy: mean over draws.
        half_width: half of its 95 % interval over draws, by Student's t; None of one draw.
        known: the same over the classes that training has; None where those are all.
        cv_loss: nats per row that was not fitted, mean over draws, by which layers are
            compared (see ``evaluate``); None where every label was fitted.
        draws: each draw.
        correct: booleans [F, N], whether each draw's classifier is right on each test row.
    """

    labels_per_class: float
    test_accuracy: float
    half_width: float | None
    known: accuracy.Known | None
    cv_loss: float | None
    draws: tuple[Draw, ...]
    correct: np.ndarray

    def to_json(self) -> dict:
        """As JSON values, without the rows, which all layers and encoders share."""
        draws = [draw._asdict() for draw in self.draws]
        for draw in draws:
            del draw["rows"]
        fields = self._asdict()
        known = fields.pop("known")
        del fields["correct"]
        fields |= {} if known is None else {"known": known._asdict()}
        return fields | {"draws": draws}


def evaluate(
    train_features: np.ndarray,
    train_labels: np.ndarray,
    test_features: np.ndarray,
    test_labels: np.ndarray,
    *,
    config: FewLabelConfig = FewLabelConfig(),
) -> dict[str, Budget]:
    """Fits and tests a linear classifier for every budget and draw.

    Each is ``small_probe.fit`` of the drawn rows, its penalty chosen by cross-validation among
    them. The cross-validated loss of a budget is that of the chosen penalties on left-out rows;
    with one label a class, none of which can be left out, that of every draw's classifier on the
    rows of the other draws. So a layer that is chosen by it is chosen by the labels of all draws.

    Args:
        train_features: [N, D] real and finite.
        train_labels: [N] integers ≥ 0, at least two classes; only drawn rows' are looked at.
        test_features: [N', D] real and finite.
        test_labels: [N'] integers ≥ 0; a class that training lacks counts as wrong.
        config: the protocol; ``fit_to`` leaves out usual budgets that are too large.

    Returns:
        Budgets by name, "10 per class" or "1 %".

    Raises:
        ValueError: features not finite, shapes that differ, fewer than two classes, a class with
            fewer images than a budget asks for, or a fraction that is no image of any class.
    """
    train_features, train_labels, test_features, test_labels = accuracy.check_splits(
        "few_label.evaluate", train_features, train_labels, test_features, test_labels
    )
    classes, targets = np.unique(train_labels, return_inverse=True)
    is_known = np.isin(test_labels, classes)
    measured = {}
    for name, budget in config.budgets.items():
        drawn = [draw_rows(train_labels, budget, seed) for seed in range(config.draws)]
        fitted = [fit(train_features[rows], targets[rows], config) for rows in drawn]
        cv_loss = _cv_loss(fitted, drawn, train_features, targets)
        right = _right(fitted, classes, test_features, test_labels)
        draws = [
            Draw(
                seed=seed,
                rows=rows.tolist() if len(rows) <= _MAX_LISTED else None,
                rows_sha256=hashlib.sha256(rows.astype("<i8").tobytes()).hexdigest(),
                num_labels=len(rows),
                strength=each.strength,
                cv_losses=each.cv_losses,
                converged=each.gradient_norm <= config.tolerance,
                test_accuracy=float(np.mean(hits)),
            )
            for seed, (rows, each, hits) in enumerate(zip(drawn, fitted, right))
        ]
        accuracies = [draw.test_accuracy for draw in draws]
        measured[name] = Budget(
            labels_per_class=len(drawn[0]) / len(classes),
            test_accuracy=float(np.mean(accuracies)),
            half_width=half_width(accuracies),
            known=None if is_known.all() else _over_known(right[:, is_known]),
            cv_loss=cv_loss,
            draws=tuple(draws),
            correct=right,
        )
    return measured


def fit(
    features: np.ndarray, targets: np.ndarray, config: FewLabelConfig
) -> small_probe.Classifier:
    """The classifier of one draw: ``small_probe.fit`` by the protocol.

    Args:
        features: [N, D] real and finite.
        targets: [N] integers in [0, K), each there.
        config: the protocol; its budgets say nothing here.
    """
    with threads.one_for_blas():
        return small_probe.fit(
            features,
            targets,
            num_classes=int(targets.max()) + 1,
            strengths=config.strengths,
            single_strength=config.single_strength,
            num_folds=config.folds,
            tolerance=config.tolerance,
            max_iterations=config.max_iterations,
        )


def draw_rows(labels: np.ndarray, budget: int | float, seed: int) -> np.ndarray:
    """Rows of a budget: those of each class with the smallest keys.

    The keys of all rows are ``numpy.random.PCG64(seed).random_raw(N)``, one for all budgets, so
    that a smaller budget's rows are among a larger one's. NumPy promises that a bit generator's raw
    stream stays as it is, but not what ``default_rng`` makes of it (NEP 19).

    Args:
        labels: [N] integers.
        budget: labels a class, or as a float the part of each class, rounded, at least one.
        seed: of the draw.

    Returns:
        Row numbers, ascending.

    Raises:
        ValueError: fewer than two classes, a class with fewer rows than asked for, or a fraction
            that is less than half a row of the largest class.
    """
    order = np.argsort(np.random.PCG64(seed).random_raw(len(labels)), kind="stable")
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
    if isinstance(budget, float) and round(budget * counts.max()) < 1:
        raise ValueError(
            f"few_label.draw_rows: a fraction must be an image of the largest class at least; got "
            f"{budget:g} of {counts.max()}. Ask for a larger fraction, or for labels a class."
        )
    chosen = []
    for label, count in zip(classes, counts):
        wanted = max(1, round(budget * count)) if isinstance(budget, float) else budget
        chosen.append(order[labels[order] == label][:wanted])
    return np.sort(np.concatenate(chosen))


def half_width(values: Sequence[float]) -> float | None:
    """Half the length of the 95 % interval of a mean: t(0.975, n − 1) s / sqrt(n), Student's t.

    It says how far other draws would move the mean. The luck of the test images and of the seed of
    pretraining is not in it.

    Args:
        values: n accuracies, s their standard deviation with n − 1.

    Returns:
        A fraction ≥ 0; None of a single value.
    """
    num = len(values)
    if num < 2:
        return None
    return float(special.stdtrit(num - 1, 0.975) * np.std(values, ddof=1) / np.sqrt(num))


def _cv_loss(
    fitted: Sequence[small_probe.Classifier],
    drawn: Sequence[np.ndarray],
    features: np.ndarray,
    targets: np.ndarray,
) -> float | None:
    if fitted[0].cv_losses:
        return float(np.mean([min(each.cv_losses) for each in fitted]))
    losses = []
    for each, rows in zip(fitted, drawn):
        others = np.setdiff1d(np.concatenate(drawn), rows)
        if len(others):
            logits = features[others] @ each.weights + each.bias
            losses.append(small_probe.log_losses(logits, targets[others]).mean())
    return float(np.mean(losses)) if losses else None


def _right(
    fitted: Sequence[small_probe.Classifier],
    classes: np.ndarray,
    features: np.ndarray,
    labels: np.ndarray,
) -> np.ndarray:
    """Whether each classifier is right on each row, from one product with the features: [F, N]."""
    weights = np.hstack([each.weights for each in fitted]).astype(np.float32)
    logits = (features @ weights).reshape(len(features), len(fitted), -1)
    predictions = classes[np.argmax(logits + [each.bias for each in fitted], axis=2)]
    return (predictions == labels[:, None]).T


def _over_known(right: np.ndarray) -> accuracy.Known:
    """The mean over draws, from whether each is right on each row of a known class."""
    accuracies = right.mean(axis=1).tolist()
    return accuracy.Known(float(np.mean(accuracies)), half_width(accuracies), right.shape[1])
