"""The picture of what online probes found while an encoder learned."""

import os
from collections.abc import Mapping, Sequence

from jaxssl import online
from jaxssl.report import canvas

_PANELS = (  # title, measurements and their labels, factor
    ("online accuracy, %", {"linear_accuracy": "linear", "knn_accuracy": "neighbours"}, 100),
    ("online linear loss", {"linear_loss": "linear"}, 1),
)


def is_probed(rows: Sequence[Mapping[str, float]]) -> bool:
    """Whether rows of metrics.jsonl hold anything to draw."""
    return any(_points(rows, name) for _, lines, _ in _PANELS for name in lines)


def draw_online_curves(rows: Sequence[Mapping[str, float]], path: str | os.PathLike) -> None:
    """Accuracies of the online probes, and the loss of the linear one, by step.

    Args:
        rows: of metrics.jsonl, some of them with ``online/...``.
        path: PNG file to write.
    """
    panels = [panel for panel in _PANELS if any(_points(rows, name) for name in panel[1])]
    figure = canvas.new_figure(4.3 * len(panels), 3.1)
    axes = figure.subplots(1, len(panels), squeeze=False)[0]
    for axis, (title, lines, factor) in zip(axes, panels):
        for colour, (name, label) in zip(canvas.COLOURS, lines.items()):
            points = _points(rows, name)
            values = [factor * value for _, value in points]
            looks = {"color": colour, "marker": "o" if len(points) < 30 else "", "markersize": 4}
            if points:
                axis.plot([step for step, _ in points], values, label=label, **looks)
        axis.set_title(title, fontsize=10)
        axis.set_xlabel("step")
        axis.set_ylim(bottom=0)
        axis.grid(alpha=0.3)
        axis.legend(fontsize=9)
    canvas.save(figure, path)


def _points(rows: Sequence[Mapping[str, float]], name: str) -> list[tuple[float, float]]:
    """Steps and values of the rows that hold a measurement."""
    key = online.PREFIX + name
    return [(row["step"], row[key]) for row in rows if key in row]
