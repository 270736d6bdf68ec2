"""The picture of what a run measured beside its loss: whether features and embeddings collapsed."""

import math
import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from jaxssl.report import canvas

PREFIX = "collapse/"


class _Panel(NamedTuple):
    title: str
    lines: Mapping[str, str]  # measurement to label
    scale: str = "linear"


_PANELS = (
    _Panel(
        "spread: 1 healthy, 0 collapsed",
        {"embedding_spread": "embeddings", "feature_spread": "features"},
    ),
    _Panel(
        "effective rank: 1 collapsed", {"embedding_rank": "embeddings", "feature_rank": "features"}
    ),
    _Panel(
        "on the sphere: 0 both is collapsed",
        {"alignment": "alignment", "uniformity": "uniformity"},
    ),
    _Panel("prototypes in use: 1 collapsed", {"prototypes_used": "prototypes"}),
    _Panel("standard deviation of embeddings", {"embedding_scale": "embeddings"}, "log"),
)
_LINES = ("-", "--")
_MARKERS = "os"


def is_measured(rows: Sequence[Mapping[str, float]]) -> bool:
    """Whether rows of metrics.jsonl hold anything to draw."""
    return any(_present(rows, panel) for panel in _PANELS)


def collapse_curves(rows: Sequence[Mapping[str, float]], path: str | os.PathLike) -> None:
    """Spread, rank, alignment and uniformity, prototypes in use, by step.

    Args:
        rows: of metrics.jsonl, some of them with measurements; a panel is left out where there are
            none.
        path: PNG file to write.
    """
    panels = [panel for panel in _PANELS if _present(rows, panel)]
    columns = min(len(panels), 2)
    lines = -(-len(panels) // columns)
    figure = canvas.figure(4.3 * columns, 2.7 * lines + 0.4)
    axes = figure.subplots(lines, columns, sharex=True, squeeze=False).ravel()
    for axis, panel in zip(axes, panels):
        present = _present(rows, panel)
        for colour, style, marker, name in zip(canvas.COLOURS, _LINES, _MARKERS, present):
            points = [(row["step"], row[PREFIX + name]) for row in rows if PREFIX + name in row]
            axis.plot(
                *zip(*points),
                color=colour,
                linestyle=style,
                marker=marker if len(points) < 30 else "",
                markersize=4,
                label=panel.lines[name],
            )
        axis.set_title(panel.title, fontsize=10)
        if panel.scale == "log" and axis.dataLim.ymax > 0:
            axis.set_yscale("log")
            _show_a_decade(axis)
        elif "uniformity" not in present:
            axis.set_ylim(0, 1.08 * axis.dataLim.ymax or 1)
        axis.grid(alpha=0.3)
        if len(present) > 1:
            axis.legend(fontsize=9)
    for axis in axes[len(panels) :]:
        axis.remove()
    for axis in axes[max(len(panels) - columns, 0) : len(panels)]:
        axis.tick_params(labelbottom=True)
        axis.set_xlabel("step")
    canvas.save(figure, path)


def _show_a_decade(axis) -> None:
    """Widens a logarithmic axis to a factor of ten, or what stays the same looks as if it moved."""
    low, high = axis.dataLim.minposy, axis.dataLim.ymax
    middle, half = math.sqrt(low * high), math.sqrt(10)
    axis.set_ylim(min(0.8 * low, middle / half), max(high / 0.8, middle * half))


def _present(rows: Sequence[Mapping[str, float]], panel: _Panel) -> list[str]:
    """The measurements of a panel that some row holds."""
    return [name for name in panel.lines if any(PREFIX + name in row for row in rows)]
