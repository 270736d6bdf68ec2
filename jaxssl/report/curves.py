"""The pictures of what a run logged: its loss, and whether features and embeddings collapse."""

import itertools
import math
import os
from collections.abc import Mapping, Sequence
from typing import NamedTuple

from jaxssl import collapse, online, watching
from jaxssl.report import canvas

# What a metrics row holds beside the values of the loss and the method's own metrics.
_NOT_DRAWN = frozenset(
    ("step", "epoch", "learning_rate", "grad_norm", "update_norm", *watching.TIMES)
)


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
    _Panel("decay of the spectrum: 1 healthy", {"feature_decay": "features"}),
    _Panel("distance of the target", {"target_distance": "parameters"}),
)
_WIDTH = 4.5  # inches, which a phone shows at a size that can be read
_LINES = ("-", "--")
_MARKERS = "os"


def draw_training_curve(rows: Sequence[Mapping[str, float]], path: str | os.PathLike) -> None:
    """Loss, the method's own metrics and the learning rate by step.

    Args:
        rows: of metrics.jsonl, at least one; ``step``, ``loss``, ``learning_rate`` and others.
        path: PNG file to write.
    """
    there = rows[0].keys() - _NOT_DRAWN - {"loss"}
    own = sorted(name for name in there if not name.startswith((collapse.PREFIX, online.PREFIX)))
    names = ["loss", *own, "learning_rate"]
    heights = [2.4, *[1.7] * (len(names) - 2), 1.2]
    figure = canvas.new_figure(_WIDTH, sum(heights) + 0.6)
    axes = figure.subplots(len(names), sharex=True, height_ratios=heights, squeeze=False)[:, 0]
    steps = [row["step"] for row in rows]
    for axis, name, colour in zip(axes, names, itertools.cycle(canvas.COLOURS)):
        values = [row[name] for row in rows]
        # A marker only where rows are so few that a line would hide them.
        axis.plot(steps, values, color=colour, marker="o" if len(rows) < 30 else "", markersize=4)
        axis.set_ylabel(name.replace("_", " "))
        axis.grid(alpha=0.3)
        if name not in ("loss", "learning_rate"):
            axis.annotate(
                f"{values[-1]:.3g}",
                (steps[-1], values[-1]),
                (0, 6),
                textcoords="offset points",
                ha="right",
            )
            axis.margins(y=0.15)
    axes[-1].set_ylim(bottom=0)
    axes[-1].ticklabel_format(axis="y", style="sci", scilimits=(-2, 3))
    axes[-1].set_xlabel("step")
    axes[0].set_title(f"Training: loss {rows[0]['loss']:.4g} to {rows[-1]['loss']:.4g}")
    canvas.save(figure, path)


def is_measured(rows: Sequence[Mapping[str, float]]) -> bool:
    """Whether rows of metrics.jsonl hold anything to draw."""
    return any(_present(rows, panel) for panel in _PANELS)


def draw_collapse_curves(rows: Sequence[Mapping[str, float]], path: str | os.PathLike) -> None:
    """Spread, rank, alignment and uniformity, prototypes in use, by step.

    Args:
        rows: of metrics.jsonl, some of them with measurements; a panel is left out where there are
            none.
        path: PNG file to write.
    """
    panels = [panel for panel in _PANELS if _present(rows, panel)]
    columns = min(len(panels), 2)
    lines = -(-len(panels) // columns)
    figure = canvas.new_figure(4.3 * columns, 2.7 * lines + 0.4)
    axes = figure.subplots(lines, columns, sharex=True, squeeze=False).ravel()
    for axis, panel in zip(axes, panels):
        present = _present(rows, panel)
        for colour, style, marker, name in zip(canvas.COLOURS, _LINES, _MARKERS, present):
            key = collapse.PREFIX + name
            points = [(row["step"], row[key]) for row in rows if key in row]
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
    return [name for name in panel.lines if any(collapse.PREFIX + name in row for row in rows)]
