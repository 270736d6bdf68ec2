"""The picture of how accuracy changes with depth: pretext features peak before the last stage."""

import os
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from jaxssl.report import canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes

_LINES = {"trained": "-", "random": "--"}
_BASELINES = {"pca": "-.", "pixels": ":", "counts": ":"}
_MAX_BESIDE = 6  # stages; panels of more stand above each other


def has_stages(record: Mapping) -> bool:
    """Whether a result file holds an accuracy for every stage."""
    return "stages" in record["results"]


def draw_accuracy_by_depth(
    records: Sequence[Mapping], path: str | os.PathLike, *, chance: float | None = None
) -> None:
    """Test accuracy after each stage and of the pooled features, trained beside random weights.

    Of grids there is nothing pooled beside the stages.

    One panel for the linear probe and one for the nearest neighbours (the first k of the file),
    where there are records of them; 95 % intervals; baselines without stages as horizontal lines.

    Args:
        records: result files of the linear and the kNN evaluation (``protocol.write``), one of them
            at least with stages; those of a single stage are left out.
        path: PNG file to write.
        chance: accuracy of a guess, drawn as a dashed line.
    """
    records = sorted(
        records, key=lambda record: canvas.ENCODERS.index(record["subject"]["encoder"])
    )
    staged = [record for record in records if has_stages(record)]
    evaluators = sorted({record["protocol"]["evaluator"] for record in staged}, reverse=True)
    count = max(len(record["results"]["stages"]) for record in staged)
    rows = len(evaluators) if count > _MAX_BESIDE else 1
    columns = len(evaluators) // rows
    figure = canvas.new_figure((1.9 + 0.62 * (count + 1)) * columns + 0.8, 0.8 + 3.8 * rows)
    panels = figure.subplots(rows, columns, sharey=True, squeeze=False).ravel()
    for panel, evaluator in zip(panels, evaluators):
        own = [record for record in records if record["protocol"]["evaluator"] == evaluator]
        for record in own:
            encoder = record["subject"]["encoder"]
            colour = canvas.COLOURS[canvas.ENCODERS.index(encoder)]
            name, value, _ = _accuracy(record["results"])
            if encoder in _BASELINES:
                style = _BASELINES[encoder]
                panel.axhline(100 * value, color=colour, linestyle=style, label=encoder)
            elif has_stages(record):
                _curve(panel, record, colour)
        if chance is not None:
            panel.axhline(100 * chance, color="black", linestyle=(0, (1, 4)), label="chance")
        panel.set_title(name)
        pooled = ["pooled"] if any(map(_is_pooled, staged)) else []
        panel.set_xticks(range(count + len(pooled)), [*map(str, range(count)), *pooled])
        panel.set_xlabel("stage")
        panel.grid(alpha=0.3)
        panel.margins(y=0.15)
        panel.set_ylim(bottom=0)
    for panel in panels[::columns]:
        panel.set_ylabel("test accuracy, %")
    figure.suptitle("Accuracy by depth, with 95 % intervals", fontsize=11)
    drawn: dict[str, Any] = {}
    for panel in panels:
        drawn |= dict(zip(*reversed(panel.get_legend_handles_labels()), strict=True))
    names = [name for name in (*canvas.ENCODERS, "chance") if name in drawn]
    handles = [drawn[name] for name in names]
    figure.legend(handles, names, loc="outside lower center", ncols=len(names), frameon=False)
    canvas.save(figure, path)


def _is_pooled(record: Mapping) -> bool:
    return record["protocol"]["layer"] == "pooled"


def _curve(panel: "Axes", record: Mapping, colour: str) -> None:
    """One encoder's accuracies: stages joined by a line, the pooled features apart from it."""
    encoder, stages = record["subject"]["encoder"], record["results"]["stages"]
    beside = [record["results"]] if _is_pooled(record) else []
    points = [_accuracy(each)[1:] for each in (*stages, *beside)]
    values, half_widths = ([100 * each for each in column] for column in zip(*points))
    looks: dict[str, Any] = {"color": colour, "marker": "os"[encoder == "random"], "capsize": 3}
    last = len(stages)
    style = _LINES[encoder]
    panel.errorbar(
        range(last), values[:last], half_widths[:last], label=encoder, linestyle=style, **looks
    )
    if beside:
        panel.errorbar([last], values[last:], half_widths[last:], markerfacecolor="white", **looks)
    best = max(range(len(values)), key=values.__getitem__)
    for place, value in enumerate(values):
        weight = "bold" if place == best else "normal"
        panel.annotate(
            f"{value:.1f}",
            (place, value),
            (0, 9 if encoder == "trained" else -16),
            textcoords="offset points",
            ha="center",
            fontsize=9,
            fontweight=weight,
            color=colour,
            bbox={"boxstyle": "round,pad=0.1", "fc": "white", "ec": "none", "alpha": 0.8},
        )


def _accuracy(results: Mapping) -> tuple[str, float, float]:
    """What was measured, the accuracy, and half of its interval."""
    if "test_accuracy" in results:
        return "linear", results["test_accuracy"], results["half_width"]
    name = next(name for name in results if name.startswith("k="))
    return f"kNN, {name}", results[name]["accuracy"], results[name]["half_width"]
