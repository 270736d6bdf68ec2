"""A run in one small table: trained, random weights and pixels, with all labels and with few."""

from collections.abc import Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from jaxssl.evaluation import evaluate

ENCODERS = ("trained", "random", "pixels")
FEW = "10 per class"  # the budget of labels that the table shows
_ROWS = {"all_labels": "all labels", "10_per_class": "10 labels a class"}


class _Measured(NamedTuple):
    """A test accuracy in [0, 1] and what was probed."""

    accuracy: float
    probed: str


def summarise(records: Sequence[Mapping]) -> dict | None:
    """The table as JSON values.

    Where an encoder was measured at several layers, in one result file or more, the layer is the
    one that held-out training images choose (all labels) or cross-validation (few labels), never
    the test split. Random encoders of several seeds are averaged.

    Args:
        records: results of one step, data set and pair of splits (``protocol.read``).

    Returns:
        ``{"all_labels": {"trained": percent, "random": …, "pixels": …, "probed": {encoder: what}},
        "10_per_class": …}``, without what was not measured; None where all labels were not.
    """
    rows = {
        "all_labels": _row(records, "linear", _of_all_labels),
        "10_per_class": _row(records, "few-label", _of_few_labels),
    }
    rows = {name: row for name, row in rows.items() if row}
    return rows if "all_labels" in rows else None


def sentence(summary: Mapping) -> str:
    """What the table says of the trained encoder, in one sentence."""
    parts = []
    for name, words in _ROWS.items():
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
    width = max(map(len, _ROWS.values()))
    lines = [" " * width + "".join(f"{encoder:>10}" for encoder in ENCODERS)]
    for name, words in _ROWS.items():
        row = summary.get(name)
        if row is None:
            continue
        cells = (f"{row[each]:10.2f}" if each in row else f"{'-':>10}" for each in ENCODERS)
        lines.append(f"{words:{width}}" + "".join(cells))
    for name, words in _ROWS.items():
        for encoder, probed in summary.get(name, {}).get("probed", {}).items():
            lines.append(f"  {words}, {encoder}: {probed}")
    return lines


_NAMES = {"random": "the same network with random weights", "pixels": "raw pixels"}


def _difference(points: float) -> str:
    return f"{abs(points):.1f} points {'above' if points >= 0 else 'below'}"


def _row(records: Sequence[Mapping], evaluator: str, read) -> dict:
    """Percent by encoder, and under "probed" what of each; empty without any."""
    row, probed = {}, {}
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
    return _Measured(best["test_accuracy"], f"{best['layer']}, {best['num_features']:,} features")


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
    return _Measured(best["test_accuracy"], f"{layer}, mean of {len(best['draws'])} draws")
