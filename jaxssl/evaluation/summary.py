"""A run in one small table: trained, random weights and pixels, with all labels and with few."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from jaxssl.evaluation import classes, evaluate

ENCODERS = ("trained", "random", "pixels", "counts")  # those that were measured
FEW = "10 per class"  # the budget of labels that the table shows
ROWS = {"all_labels": "all labels", "10_per_class": "10 labels a class"}


class _Measured(NamedTuple):
    """A test accuracy in [0, 1], what was probed, and the accuracy over known classes."""

    accuracy: float
    probed: str
    known: float | None


def summarise(records: Sequence[Mapping]) -> dict | None:
    """The table as JSON values.

    Where an encoder was measured at several layers, in one result file or more, the layer is the
    one that held-out training images choose (all labels) or cross-validation (few labels), never
    the test split. Random encoders of several seeds are averaged.

    Args:
        records: results of one step, data set and pair of splits (``protocol.read``).

    Returns:
        ``{"all_labels": {"trained": percent, "random": …, "pixels": …, "probed": {encoder: what}},
        "10_per_class": …}``, without what was not measured; None where all labels were not. Where
        the test split has classes that training lacks, a row holds ``"known": {encoder: percent}``
        too, over the others, and "classes" says in sentences which they are.
    """
    rows = {
        "all_labels": _row(records, "linear", _of_all_labels),
        "10_per_class": _row(records, "few-label", _of_few_labels),
    }
    rows = {name: row for name, row in rows.items() if row}
    if "all_labels" not in rows:
        return None
    said = [sentence for record in records for sentence in classes.sentences(record)]
    return rows | ({"classes": list(dict.fromkeys(said))} if said else {})


def sentence(summary: Mapping) -> str:
    """What the table says of the trained encoder, in one sentence."""
    parts = []
    for name, words in ROWS.items():
        row = summary.get(name, {})
        others = [encoder for encoder in ENCODERS[1:] if encoder in row]
        if "trained" not in row or not others:
            continue
        differences = [
            f"{_difference(row['trained'] - row[other])} {_NAMES[other]}" for other in others
        ]
        parts.append(f"with {words} {' and '.join(differences)}")
    if not parts:
        return "Trained features were not measured beside others."
    return f"A linear classifier on the trained features is, {'; '.join(parts)}."


def table(summary: Mapping) -> list[str]:
    """The table as lines of text: test accuracy in percent."""
    width = max(map(len, ROWS.values()))
    shown = _shown(summary)
    lines = [" " * width + "".join(f"{encoder:>10}" for encoder in shown)]
    for name, words in ROWS.items():
        row = summary.get(name)
        if row is None:
            continue
        lines.append(f"{words:{width}}" + _cells(row, shown))
        if "known" in row:
            lines.append(f"{'  known classes':{width}}" + _cells(row["known"], shown))
    for name, words in ROWS.items():
        for encoder, probed in summary.get(name, {}).get("probed", {}).items():
            lines.append(f"  {words}, {encoder}: {probed}")
    return lines + [f"  {sentence}" for sentence in summary.get("classes", ())]


def spread(values: Sequence[float]) -> str:
    """Mean and sample standard deviation of numbers, such as those of several seeds."""
    mean = float(np.mean(values))
    return f"{mean:.2f} ± {np.std(values, ddof=1):.2f}" if len(values) > 1 else f"{mean:.2f}"


_NAMES = {
    "random": "the same network with random weights",
    "pixels": "raw pixels",
    "counts": "counts of tokens",
}


def _shown(summary: Mapping) -> list[str]:
    """The encoders of the columns: of images pixels too, of texts counts, measured or not."""
    is_text = any("counts" in summary.get(name, {}) for name in ROWS)
    return [each for each in ENCODERS if each != ("pixels" if is_text else "counts")]


def _cells(row: Mapping[str, float], shown: Sequence[str]) -> str:
    return "".join(f"{row[each]:10.2f}" if each in row else f"{'-':>10}" for each in shown)


def _difference(points: float) -> str:
    return f"{abs(points):.1f} points {'above' if points >= 0 else 'below'}"


def _row(records: Sequence[Mapping], evaluator: str, read) -> dict:
    """Percent by encoder, and under "probed" what of each; empty without any."""
    row: dict[str, Any] = {}
    probed, known = {}, {}
    for encoder in ENCODERS:
        found = [
            record
            for record in records
            if record["protocol"]["evaluator"] == evaluator
            and record["subject"]["encoder"] == encoder
        ]
        measured = [read(own) for own in _by_seed(found)]
        measured = [each for each in measured if each is not None]
        if measured:
            row[encoder] = round(100 * float(np.mean([each.accuracy for each in measured])), 2)
            probed[encoder] = ", or ".join(dict.fromkeys(each.probed for each in measured))
            if measured[0].known is not None:
                known[encoder] = round(100 * float(np.mean([each.known for each in measured])), 2)
    row |= {"known": known} if known else {}
    return row | {"probed": probed} if row else {}


def _by_seed(records: Iterable[Mapping]) -> list[list[Mapping]]:
    """Records grouped by the seed of the weights; one group where there is none."""
    groups: dict[int | None, list[Mapping]] = {}
    for record in records:
        groups.setdefault(record["subject"].get("weights_seed"), []).append(record)
    return list(groups.values())


def _of_all_labels(records: Sequence[Mapping]) -> _Measured | None:
    """The layer of all records that held-out training images choose."""
    measured = [
        results
        for record in records
        for results in (record["results"], *record["results"].get("stages", ()))
    ]
    best = max(measured, key=evaluate.held_out)
    probed = f"{best['layer']}, {best['num_features']:,} features"
    return _Measured(best["test_accuracy"], probed, _known(best))


def _of_few_labels(records: Sequence[Mapping]) -> _Measured | None:
    """The layer of all records that cross-validation among the few labels chooses."""
    budgets = [
        (layer, budgets[FEW])
        for record in records
        for layer, budgets in record["results"]["layers"].items()
        if FEW in budgets
    ]
    if not budgets:
        return None
    layer, best = min(budgets, key=lambda each: each[1]["cv_loss"])
    probed = f"{layer}, mean of {len(best['draws'])} draws"
    return _Measured(best["test_accuracy"], probed, _known(best))


def _known(results: Mapping) -> float | None:
    return results["known"]["accuracy"] if "known" in results else None
