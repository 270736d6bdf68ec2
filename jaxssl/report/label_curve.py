"""The picture of what labels are worth: accuracy by the number of them, an encoder a line."""

import os
from collections.abc import Mapping, Sequence

from jaxssl.report import canvas

_LINES = {"trained": "-", "random": "--", "pca": "-.", "pixels": ":", "counts": ":"}
_MARKERS = {"trained": "o", "random": "s", "pca": "^", "pixels": "D", "counts": "D"}


def draw_accuracy_by_labels(
    records: Sequence[Mapping], path: str | os.PathLike, *, chance: float | None = None
) -> None:
    """Mean test accuracy over draws, by labels per class (logarithmic), with 95 % intervals.

    Each record is a line: the layer that cross-validation chose at each budget. Where an encoder
    has several records (seeds of random weights, grids beside pooled features), each says which.

    Args:
        records: result files of the few-label evaluation (``protocol.write``).
        path: PNG file to write.
        chance: accuracy of a guess, drawn as a dashed line.
    """
    records = sorted(
        records, key=lambda record: canvas.ENCODERS.index(record["subject"]["encoder"])
    )
    encoders = [record["subject"]["encoder"] for record in records]
    figure = canvas.new_figure(7.0, 4.6)
    panel = figure.subplots()
    places = set()
    for record, encoder in zip(records, encoders):
        budgets = sorted(record["results"]["best"].values(), key=lambda each: _place(each))
        places |= set(map(_place, budgets))
        panel.errorbar(
            [_place(each) for each in budgets],
            [100 * each["test_accuracy"] for each in budgets],
            [100 * (each["half_width"] or 0.0) for each in budgets],
            label=encoder if encoders.count(encoder) == 1 else _full_label(record),
            color=canvas.COLOURS[canvas.ENCODERS.index(encoder)],
            linestyle=_LINES[encoder],
            marker=_MARKERS[encoder],
            markersize=5,
            capsize=3,
        )
    if chance is not None:
        panel.axhline(100 * chance, color="black", linestyle=(0, (1, 4)), label="chance")
    panel.set_xscale("log")
    panel.set_xticks(sorted(places), [f"{place:g}" for place in sorted(places)])
    panel.minorticks_off()
    panel.set_xlabel("labels per class")
    panel.set_ylabel("test accuracy, %")
    panel.set_ylim(bottom=0)
    panel.grid(alpha=0.3)
    panel.legend(loc="lower right", frameon=False)
    panel.set_title("Accuracy with few labels, with 95 % intervals over draws", fontsize=11)
    canvas.save(figure, path)


def _place(budget: Mapping) -> float:
    return round(budget["labels_per_class"], 1)


def _full_label(record: Mapping) -> str:
    subject = record["subject"]
    seed = f", seed {subject['weights_seed']}" if subject.get("weights_seed") else ""
    return f"{subject['encoder']}, {record['protocol']['layer']}{seed}"
