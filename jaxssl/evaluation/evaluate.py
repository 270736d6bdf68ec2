"""The evaluators: each measures the layers of prepared features and writes one result file.

Those that classify write beside it which test examples they got right (``correctness``).
"""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from jaxssl import jsonable
from jaxssl.evaluation import (
    classes,
    clustering,
    correctness,
    few_label,
    kept_probe,
    knn,
    linear,
    preparation,
    protocol,
    retrieval,
    robustness,
    splits,
)
from jaxssl.evaluation.subject import Subject


def linear_eval(
    run: str | os.PathLike,
    subject: Subject,
    options: linear.LinearConfig,
    prepared: preparation.Prepared | None = None,
) -> dict:
    """Linear evaluation of a run; one file below ``RUN/evaluation`` (``protocol.path``).

    Beside it the classifier of the trained encoder's main layer is kept (``kept_probe``).

    The results are those of the main layer: the pooled features, or the stage, the grid or the
    class tokens that ``subject`` names. Beside the main one stand ``"stages"``, a list with the
    same fields for every stage or block, unless ``subject.stages`` is off or there are none, and
    ``"best"``, the layer of them all with the best accuracy on the held-out part of the training
    split; the test split has no say in which that is.

    Args:
        run: run directory.
        subject: what is evaluated.
        options: hyper-parameters of the probe.
        prepared: what ``preparation.prepare(run, subject)`` gave, where it serves several
            evaluators.

    Returns:
        The record that was written; see ``protocol.write``.

    Raises:
        ValueError: splits that no accuracy may be measured on, or a layer that is not there.
    """
    prepared = prepared or preparation.prepare(run, subject)
    labels = prepared.labels

    main: linear.LinearResult | None = None

    def probe(train: np.ndarray, test: np.ndarray) -> _Measured:
        fitted = linear.fit(train, labels[0], test, labels[1], config=options, seed=subject.seed)
        nonlocal main
        main = fitted if main is None else main  # the first layer that is measured
        return _Measured(fitted.to_json(), {"": fitted.predictions == labels[1]})

    results, correct = _measured(prepared, probe)
    assert main is not None
    if "stages" in results:
        results["best"] = best_held_out(results)
    if names := kept_probe.names_of(main.classes, prepared):
        results["class_names"] = list(names)
    described = _described("linear", prepared, options)
    if prepared.reading is not None:
        place = protocol.path(run, described, prepared.subject)
        kept_probe.save(place.with_suffix(kept_probe.SUFFIX), main, prepared, described)
    return _write(run, described, prepared, results, correct)


def knn_eval(
    run: str | os.PathLike,
    subject: Subject,
    options: knn.KnnConfig,
    prepared: preparation.Prepared | None = None,
) -> dict:
    """kNN evaluation of a run; see ``linear_eval``, without "best": nothing is held out.

    A usual k that the training split has too few examples for is left out, and said on stderr.
    """
    prepared = prepared or preparation.prepare(run, subject)
    labels = prepared.labels
    asked, options = options.num_neighbors, options.fit_to(len(labels[0]))
    ks = options.num_neighbors or ()
    left_out = [k for k in knn.USUAL_KS if k not in ks]
    if asked is None and left_out:
        print(
            f"jaxssl: k = {', '.join(map(str, left_out))} left out of the nearest neighbours: "
            f"there are {len(labels[0])} training examples",
            file=sys.stderr,
        )

    def vote(train: np.ndarray, test: np.ndarray) -> _Measured:
        voted = knn.evaluate(
            train,
            labels[0],
            test,
            labels[1],
            num_neighbors=ks,
            temperature=options.temperature,
        )
        results = {
            f"k={result.num_neighbors}": {
                "accuracy": result.accuracy,
                "half_width": result.half_width,
            }
            | ({} if result.known is None else {"known": result.known._asdict()})
            for result in voted
        }
        correct = {f"k={each.num_neighbors}": each.predictions == labels[1] for each in voted}
        return _Measured(results, correct)

    described = _described("knn", prepared, options)
    return _write(run, described, prepared, *_measured(prepared, vote))


def retrieval_eval(
    run: str | os.PathLike,
    subject: Subject,
    options: retrieval.RetrievalConfig,
    prepared: preparation.Prepared | None = None,
) -> dict:
    """Retrieval of training images by test images; see ``knn_eval``."""
    prepared = prepared or preparation.prepare(run, subject)
    labels = prepared.labels
    options = options.fit_to(len(labels[0]))

    def rank(train: np.ndarray, test: np.ndarray) -> _Measured:
        ranked = retrieval.evaluate(
            train, labels[0], test, labels[1], num_retrieved=options.num_retrieved or ()
        )
        return _Measured(ranked.to_json(), {})

    described = _described("retrieval", prepared, options)
    return _write(run, described, prepared, *_measured(prepared, rank))


def clustering_eval(
    run: str | os.PathLike,
    subject: Subject,
    options: clustering.ClusteringConfig,
    prepared: preparation.Prepared | None = None,
) -> dict:
    """K-means of the features beside the classes; see ``knn_eval``. ``subject.seed`` draws it."""
    prepared = prepared or preparation.prepare(run, subject)
    labels = prepared.labels

    def cluster(train: np.ndarray, test: np.ndarray) -> _Measured:
        found = clustering.evaluate(
            train, labels[0], test, labels[1], config=options, seed=subject.seed
        )
        return _Measured(found.to_json(), {})

    described = _described("clustering", prepared, options)
    return _write(run, described, prepared, *_measured(prepared, cluster))


def robustness_eval(
    run: str | os.PathLike,
    subject: Subject,
    options: robustness.RobustnessConfig,
    prepared: preparation.Prepared | None = None,
) -> dict:
    """Accuracy of the kept probe under corruptions; see ``knn_eval``, of the main layer alone.

    Raises:
        ValueError: no kept probe; see ``robustness.find_probe``.
    """
    prepared = prepared or preparation.prepare(run, subject)
    probe = robustness.find_probe(run, prepared.protocol, prepared.subject)
    opened = splits.open_splits(
        probe.encoder.meta,
        subject.data_path,
        train_split=prepared.protocol["train_split"],
        test_split=prepared.protocol["test_split"],
    )
    results = robustness.evaluate(probe, opened.test, options)
    described = _described("robustness", prepared, options)
    described |= {"kinds": options.strengths(), "probe": probe.about.stamp}
    return _write(run, described, prepared, results)


def few_label_eval(
    run: str | os.PathLike,
    subject: Subject,
    options: few_label.FewLabelConfig,
    prepared: preparation.Prepared | None = None,
) -> dict:
    """Linear evaluation with few labels; one file below ``RUN/evaluation`` (``protocol.path``).

    ``"layers"`` holds the budgets of every layer that was measured, by name. ``"best"`` names for
    each budget the layer with the lowest cross-validated loss, in which no label but the draws' had
    a say, the first of equals; where nothing was left out, the main layer. ``"rows"`` holds the
    rows of every draw, None where they are many. A usual budget that the training split is too
    small for is left out, and said on stderr.

    Args:
        run: run directory.
        subject: what is evaluated.
        options: the protocol.
        prepared: what ``preparation.prepare(run, subject)`` gave, where it serves several
            evaluators.

    Returns:
        The record that was written; see ``protocol.write``.

    Raises:
        ValueError: splits that no accuracy may be measured on, a layer that is not there, or a
            budget that was asked for and that a class has too few images for.
    """
    prepared = prepared or preparation.prepare(run, subject)
    train, test = prepared.train, prepared.test
    train_labels, test_labels = prepared.labels
    usual, options = options.budgets, options.fit_to(train_labels)
    sources = {layer: prepared.source_of(layer) for layer in (prepared.main, *prepared.stages)}
    measured = {
        layer: few_label.evaluate(
            train.layers[layer], train_labels, test.layers[layer], test_labels, config=options
        )
        for layer in dict.fromkeys(sources.values())
    }
    if left_out := [name for name in usual if name not in options.budgets]:
        print(
            f"jaxssl: {', '.join(left_out)} left out of the few labels: classes have "
            f"{_counts(train_labels)} training images",
            file=sys.stderr,
        )
    best, correct = {}, {}
    for name in options.budgets:
        losses = {layer: measured[layer][name].cv_loss for layer in measured}
        known = {layer: loss for layer, loss in losses.items() if loss is not None}
        chosen = min(known, key=known.__getitem__) if len(known) == len(losses) else prepared.main
        budget = measured[chosen][name]
        correct[name] = budget.correct
        best[name] = {
            "layer": chosen,
            "num_features": train.layers[chosen].shape[1],
            "labels_per_class": budget.labels_per_class,
            "test_accuracy": budget.test_accuracy,
            "half_width": budget.half_width,
            "chosen_from": len(measured),
        }
        if budget.known is not None:
            best[name]["known"] = budget.known._asdict()
    layers = {
        layer: {name: budget.to_json() for name, budget in measured[source].items()}
        for layer, source in sources.items()
    }
    rows = {
        name: [draw.rows for draw in budget.draws]
        for name, budget in measured[prepared.main].items()
    }
    results = {"best": best, "layers": layers, "rows": rows}
    return _write(run, _described("few-label", prepared, options), prepared, results, correct)


def held_out(results: Mapping) -> float:
    """The accuracy of a probe on the held-out part of its training split, at the chosen penalty."""
    return max(candidate["holdout_accuracy"] for candidate in results["candidates"])


def best_held_out(results: Mapping) -> dict:
    """The layer with the best held-out accuracy, the first of equals, and what it is on the test.

    Args:
        results: of the linear evaluation, with "stages".
    """
    measured = [results, *results["stages"]]
    best = max(measured, key=held_out)
    names = ("layer", "num_features", "test_accuracy", "half_width", "known")
    return {name: best[name] for name in names if name in best} | {
        "holdout_accuracy": held_out(best),
        "chosen_from": len(_distinct(measured)),
    }


def _distinct(measured: Sequence[Mapping]) -> list[dict]:
    """Results without those that differ in nothing but the name of their layer."""
    found = []
    for each in measured:
        unnamed = {name: value for name, value in each.items() if name not in ("layer", "stages")}
        if unnamed not in found:
            found.append(unnamed)
    return found


class _Measured(NamedTuple):
    """What was measured, and booleans [N] of the test examples, by what of it they are of."""

    results: dict
    correct: dict[str, np.ndarray]


def _measured(
    prepared: preparation.Prepared, measure: Callable[[np.ndarray, np.ndarray], _Measured]
) -> _Measured:
    """Results of the main layer, and under "stages" those of every stage."""
    train, test = prepared.train.layers, prepared.test.layers
    correct = {}

    def named(layer: str) -> dict:
        measured = measure(train[layer], test[layer])
        for part, bits in measured.correct.items():
            correct[correctness.name_of(layer, part)] = bits
        return measured.results | {"layer": layer, "num_features": train[layer].shape[1]}

    results = named(prepared.main)
    if not prepared.stages:
        return _Measured(results, correct)
    stages = []
    for layer in prepared.stages:
        is_main = prepared.source_of(layer) == prepared.main
        stages.append(results | {"layer": layer} if is_main else named(layer))
    return _Measured(results | {"stages": stages}, correct)


def _described(
    evaluator: str,
    prepared: preparation.Prepared,
    options: object,
) -> dict:
    """The protocol of a result, of an evaluator with such options."""
    return prepared.protocol | {"evaluator": evaluator} | jsonable.to_json(options)


def _write(
    run: str | os.PathLike,
    described: dict,
    prepared: preparation.Prepared,
    results: dict,
    correct: Mapping[str, np.ndarray] | None = None,
) -> dict:
    one_sided = classes.compare(*prepared.labels, prepared.class_names)
    return protocol.write(
        protocol.path(run, described, prepared.subject),
        protocol=described,
        subject=prepared.subject,
        results=results | one_sided.to_json(prepared.class_names),
        correct=correct or None,
    )


def _counts(labels: np.ndarray) -> str:
    """How many examples classes have: "12", or "3 to 12"."""
    _, counts = np.unique(labels, return_counts=True)
    return f"{counts.min()}" + (f" to {counts.max()}" if counts.min() < counts.max() else "")
