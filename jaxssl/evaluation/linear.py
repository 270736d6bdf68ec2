"""Linear probe: how well a linear classifier reads the labels off frozen features.

The classifier is solved to a certified optimum for several L2 strengths, the strength is chosen on
a held-out part of the training split, and the test split is used once, for the accuracy. So the
number depends on the features and on nothing that could be tuned.
"""

import dataclasses
import resource
import sys
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np

from jaxssl import checks
from jaxssl.evaluation import accuracy, logistic, standardised
from jaxssl.evaluation.standardised import Standardised

_WRITTEN_CLASSES = 30  # of a confusion matrix in a file, beyond which nobody can read it
_L2_LIMITS = (1e-5, 10.0)  # how far an edge of the grid may move, a decade at a time


@dataclasses.dataclass(frozen=True)
class LinearConfig:
    """The linear-probe protocol.

    Attributes:
        l2_grid: penalties tried, > 0, in nats per squared weight of standardised features.
        holdout: fraction of each training class that chooses the penalty, in (0, 1).
        tolerance: Euclidean norm of the gradient at which a fit counts as converged.
        max_iterations: quasi-Newton steps of one fit at most.
        extend: grow the grid by decades, between 1e-5 and 10, where its edge is best.
    """

    l2_grid: tuple[float, ...] = (1e-1, 1e-2, 1e-3, 1e-4, 1e-5)
    holdout: float = 0.1
    tolerance: float = 1e-4
    max_iterations: int = 1000
    extend: bool = True

    def __post_init__(self):
        if not self.l2_grid:
            raise ValueError(
                "LinearConfig: l2_grid must hold at least one strength; got (). Use 1e-7 for "
                "almost none."
            )
        checks.above(self, 0, "l2_grid", fix="Use 1e-7 for almost none.")
        fix = "0.1 keeps a tenth out."
        checks.in_range(self, 0, 1, "holdout", open_left=True, open_right=True, fix=fix)
        checks.above(self, 0, "tolerance", fix="float32 reaches 1e-5.")
        checks.at_least(self, 1, "max_iterations", fix="1000 is plenty.")


class Candidate(NamedTuple):
    """One L2 strength tried: its accuracy on the held-out part, and how well it was solved."""

    l2: float
    holdout_accuracy: float
    certificate: logistic.Certificate


class Solved(NamedTuple):
    """A classifier whose strength held-out rows chose, solved again on all rows.

    Attributes:
        mean: [D] float64, subtracted from the features.
        scale: [D] float64, multiplied after that; 0 for constant features.
        solution: weights and bias for standardised features, and the final fit's certificate.
        candidates: every strength tried, strongest first.
        best: place of the chosen one among them.
    """

    mean: np.ndarray
    scale: np.ndarray
    solution: logistic.Solution
    candidates: tuple[Candidate, ...]
    best: int

    @property
    def at_edge(self) -> bool:
        """Whether the chosen strength is the smallest or largest tried."""
        return self.best in (0, len(self.candidates) - 1)

    @property
    def converged(self) -> bool:
        """Whether the final fit and every candidate reached the tolerance."""
        tried = (candidate.certificate for candidate in self.candidates)
        return all(each.converged for each in (self.solution.certificate, *tried))


class LinearResult(NamedTuple):
    """What the probe measured.

    Attributes:
        test_accuracy: fraction of the test split predicted right.
        half_width: of the 95 % interval of that accuracy.
        known: the same over the classes that training has; None where those are all.
        per_class: [K] recall of each class on the test split; NaN for a class it lacks.
        confusion: int64 [K, K], test examples of class i that were predicted as class j.
        train_accuracy: the same classifier on the training split it was fitted to.
        l2: the strength chosen.
        at_edge: the chosen strength is the smallest or largest tried, so that a better one may lie
            beyond; the grid is extended before this is said.
        candidates: every strength tried, strongest first.
        certificate: of the final fit on the whole training split.
        converged: whether the final fit and every candidate reached the tolerance.
        num_classes: K, classes of the training split.
        classes: [K] their labels.
        num_constant: features without variance in the training split, ignored.
        num_train: rows fitted.
        num_test: rows predicted.
        mean: [D] float64, subtracted from the features.
        scale: [D] float64, multiplied after that; 0 for constant features.
        weights: [D, K] float64, for standardised features.
        bias: [K] float64.
        predictions: [N'] labels predicted for the test split.
        peak_bytes: by how much the fit raised the largest memory that the process ever held; 0
            where it had held more before. Not part of ``to_json``, as it differs between runs.
    """

    test_accuracy: float
    half_width: float
    known: accuracy.Known | None
    per_class: np.ndarray
    confusion: np.ndarray
    train_accuracy: float
    l2: float
    at_edge: bool
    candidates: tuple[Candidate, ...]
    certificate: logistic.Certificate
    converged: bool
    num_classes: int
    classes: np.ndarray
    num_constant: int
    num_train: int
    num_test: int
    mean: np.ndarray
    scale: np.ndarray
    weights: np.ndarray
    bias: np.ndarray
    predictions: np.ndarray
    peak_bytes: int

    def to_json(self) -> dict:
        """Everything but classifier, predictions and memory, as JSON values; NaN becomes None.

        What is taken for what of up to 30 classes: a file may hold it for every stage.
        """
        fields = self._asdict()
        for name in ("mean", "scale", "weights", "bias", "predictions", "peak_bytes"):
            del fields[name]
        known = fields.pop("known")
        fields |= {} if known is None else {"known": known._asdict()}
        if len(fields.pop("confusion")) <= _WRITTEN_CLASSES:
            fields["confusion"] = self.confusion.tolist()
        return fields | {
            "classes": self.classes.tolist(),
            "per_class": [None if np.isnan(recall) else float(recall) for recall in self.per_class],
            "candidates": [
                candidate._asdict() | {"certificate": candidate.certificate._asdict()}
                for candidate in self.candidates
            ],
            "certificate": self.certificate._asdict(),
        }


def fit(
    train_features: np.ndarray,
    train_labels: np.ndarray,
    test_features: np.ndarray,
    test_labels: np.ndarray,
    *,
    config: LinearConfig = LinearConfig(),
    seed: int = 0,
) -> LinearResult:
    """Fits and tests a linear probe.

    Features are standardised by the mean and standard deviation of the rows being fitted. Each
    strength minimises mean cross-entropy + (l2 / 2) ‖W‖², bias free, on 1 − holdout of each
    class; the one with the highest held-out accuracy, the strongest of equals, is solved again on
    the whole training split. Where the best strength is an edge of the grid, the grid grows by a
    decade, between 1e-5 and 10.

    Features are standardised a block at a time and never changed; float32 arrays are not copied
    as a whole, apart from standardised blocks of at most 1 GiB (on accelerators: all of them, in
    the device's memory).

    Args:
        train_features: [N, D] real and finite.
        train_labels: [N] integers ≥ 0, at least two classes.
        test_features: [N', D] real and finite.
        test_labels: [N'] integers ≥ 0; a class that the training split lacks counts as wrong.
        config: the protocol.
        seed: of the draw of the held-out part.

    Returns:
        LinearResult; read ``converged`` before ``accuracy``.

    Raises:
        ValueError: features not finite, shapes that differ, fewer than two classes, or too few
            examples to hold any out.

    Example:
        >>> import numpy as np
        >>> from jaxssl.evaluation import linear
        >>> labels = np.arange(40) % 2
        >>> features = labels[:, None] + 0.01 * np.arange(40)[:, None]
        >>> linear.fit(features, labels, features, labels).test_accuracy
        1.0
    """
    peak_before = _peak_bytes()
    train_features, train_labels, test_features, test_labels = accuracy.check_splits(
        "linear.fit", train_features, train_labels, test_features, test_labels
    )
    classes, targets = np.unique(train_labels, return_inverse=True)
    if len(classes) < 2:
        raise ValueError(
            f"linear.fit: training labels must hold at least two classes; got only {classes[0]}. "
            "The split may be sorted by class and cut short."
        )
    held_out = _hold_out(targets, config.holdout, seed)
    solved = solve(train_features, targets, held_out, num_classes=len(classes), config=config)
    mean, scale, solution = solved.mean, solved.scale, solved.solution
    trained = _predict(Standardised(train_features, mean=mean, scale=scale), solution)
    predictions = classes[_predict(Standardised(test_features, mean=mean, scale=scale), solution)]
    test_accuracy = float(np.mean(predictions == test_labels))
    return LinearResult(
        test_accuracy=test_accuracy,
        half_width=accuracy.half_width(test_accuracy, len(test_labels)),
        known=accuracy.over_known(predictions, test_labels, classes),
        per_class=accuracy.per_class(predictions, test_labels, classes=classes),
        confusion=accuracy.confusion(predictions, test_labels, classes=classes),
        train_accuracy=float(np.mean(trained == targets)),
        l2=solved.candidates[solved.best].l2,
        at_edge=solved.at_edge,
        candidates=solved.candidates,
        certificate=solution.certificate,
        converged=solved.converged,
        num_classes=len(classes),
        classes=classes,
        num_constant=int(np.sum(scale == 0)),
        num_train=len(train_labels),
        num_test=len(test_labels),
        mean=mean,
        scale=scale,
        weights=solution.weights,
        bias=solution.bias,
        predictions=predictions,
        peak_bytes=_peak_bytes() - peak_before,
    )


def solve(
    features: np.ndarray,
    targets: np.ndarray,
    held_out: np.ndarray,
    *,
    num_classes: int,
    config: LinearConfig,
) -> Solved:
    """The classifier of ``fit``, where another part is held out than its draw.

    Args:
        features: float32 [N, D], finite.
        targets: integers [N] in [0, K), each class among the rows that are not held out.
        held_out: booleans [N], the rows whose accuracy chooses the strength.
        num_classes: K ≥ 2.
        config: the protocol.
    """
    tried = _search(features, targets, held_out, num_classes, config)
    best = _best(tried)
    mean, scale = standardised.moments(features)
    rows = Standardised(features, mean=mean, scale=scale)
    solution = logistic.Problem(rows, targets, num_classes=num_classes).solve(
        l2=tried[best][0].l2,
        tolerance=config.tolerance,
        max_iterations=config.max_iterations,
        start=tried[best][1],  # standardised by almost the same numbers, so almost the solution
    )
    return Solved(mean, scale, solution, tuple(candidate for candidate, _ in tried), best)


def folded(
    mean: np.ndarray, scale: np.ndarray, weights: np.ndarray, bias: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Weights [D, K] and bias [K] of the same classifier on features that nobody standardises.

    ((x - mean) scale) W + b = x (scale W) + (b - (mean scale) W), scale by rows of W.
    """
    kernel = scale[:, None] * weights
    return kernel, bias - mean @ kernel


def logits(rows: Standardised, weights: np.ndarray, bias: np.ndarray) -> Iterator[np.ndarray]:
    """What a classifier gives rows, float64 [B, K] a block, in order; the largest is the class.

    Args:
        rows: [N, D], standardised by the classifier's own mean and scale.
        weights: float64 [D, K].
        bias: float64 [K].
    """
    for _, block in rows.wide_blocks():
        yield block @ weights + bias


def _search(
    features: np.ndarray,
    targets: np.ndarray,
    held_out: np.ndarray,
    num_classes: int,
    config: LinearConfig,
) -> list[tuple[Candidate, logistic.Solution]]:
    """Every strength of the grid and of its extensions with its solution, strongest first."""
    fitted, judged = np.flatnonzero(~held_out), np.flatnonzero(held_out)
    mean, scale = standardised.moments(features, rows=fitted)
    train, rest = (
        Standardised(features, rows=rows, mean=mean, scale=scale) for rows in (fitted, judged)
    )
    problem = logistic.Problem(train, targets[fitted], num_classes=num_classes)

    def solve(l2: float, start: logistic.Solution | None) -> tuple[Candidate, logistic.Solution]:
        solution = problem.solve(
            l2=l2,
            tolerance=config.tolerance,
            max_iterations=config.max_iterations,
            start=start,
        )
        right = float(np.mean(_predict(rest, solution) == targets[judged]))
        return Candidate(l2, right, solution.certificate), solution

    tried: list[tuple[Candidate, logistic.Solution]] = []
    for l2 in sorted({float(l2) for l2 in config.l2_grid}, reverse=True):
        tried.append(solve(l2, tried[-1][1] if tried else None))
    slack = 1.0 + 1e-9  # decades are not exact in binary
    while config.extend and _best(tried) == len(tried) - 1:
        l2 = tried[-1][0].l2 / 10
        if l2 * slack < _L2_LIMITS[0]:
            break
        tried.append(solve(l2, tried[-1][1]))
    while config.extend and _best(tried) == 0:
        l2 = tried[0][0].l2 * 10
        if l2 > _L2_LIMITS[1] * slack:
            break
        tried.insert(0, solve(l2, None))
    return tried


def _best(tried: Sequence[tuple[Candidate, logistic.Solution]]) -> int:
    return int(np.argmax([candidate.holdout_accuracy for candidate, _ in tried]))


def _hold_out(targets: np.ndarray, fraction: float, seed: int) -> np.ndarray:
    """[N] booleans: round(fraction · members) of each class, never all of them."""
    held_out = np.zeros(len(targets), bool)
    order = np.random.default_rng(seed).permutation(len(targets))
    for target in range(targets.max() + 1):
        members = order[targets[order] == target]
        held_out[members[: min(round(fraction * len(members)), len(members) - 1)]] = True
    if not held_out.any():
        raise ValueError(
            f"linear.fit: holdout must keep at least one example out; got {fraction} of "
            f"{len(targets)} examples in {targets.max() + 1} classes. Raise it or add examples."
        )
    return held_out


def _predict(rows: Standardised, solution: logistic.Solution) -> np.ndarray:
    blocks = logits(rows, solution.weights, solution.bias)
    return np.concatenate([block.argmax(axis=1) for block in blocks])


def _peak_bytes() -> int:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak  # Linux counts in KiB
