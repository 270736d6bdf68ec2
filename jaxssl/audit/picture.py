"""The audit as one picture: who answers the question, by how much."""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

from jaxssl.audit import measured
from jaxssl.report import canvas

FILE = "audit.png"
_PLAIN, _WARNED, _LINE = canvas.COLOURS[0], canvas.COLOURS[1], "#808080"
_WARNING = (measured.SHORTCUT, "not solved")


def draw(record: Mapping, path: str | os.PathLike) -> Path | None:
    """Draws the accuracies of an audit as bars with 95 % intervals, chance and threshold.

    Shortcuts are hatched and orange, and every verdict is written beside its bar.

    Args:
        record: what ``audit.audit_run`` or ``audit.audit_recipe`` returned.
        path: PNG file to write.

    Returns:
        The path; None where there is no accuracy to draw, or (said on stderr) no matplotlib.
    """
    rows = [row for row in record["results"]["rows"] if row["chance"] is not None]
    if not rows:
        return None
    try:
        figure = canvas.new_figure(8.5, 1.7 + 0.38 * len(rows))
    except ImportError as error:
        print(f"jaxssl: picture left out: {error}", file=sys.stderr)
        return None
    axis = figure.subplots()
    for place, row in enumerate(rows):
        value, low, high = (100 * row[name] for name in ("value", "low", "high"))
        warned = row["verdict"] in _WARNING
        axis.barh(
            place,
            value,
            0.7,
            xerr=[[value - low], [high - value]],
            color=_WARNED if warned else _PLAIN,
            hatch="//" if warned else "",
            edgecolor="white",
            error_kw={"capsize": 3, "elinewidth": 1.2},
        )
        text = f"{value:.1f} %  {row['verdict']}"
        axis.text(high + 1.5, place, text, va="center", fontsize=9)
    chance, share = rows[0]["chance"], record["protocol"]["threshold"]
    threshold = chance + share * (1 - chance)
    axis.axvline(100 * chance, color="black", linestyle="--", linewidth=1, label="chance")
    label = f"threshold: {100 * share:g} % skill, for the lower end"
    axis.axvline(100 * threshold, color=_LINE, linestyle=":", linewidth=2, label=label)
    axis.set_yticks(range(len(rows)), [row["name"] for row in rows])
    axis.invert_yaxis()
    axis.set_xlim(0, 128)  # room for the verdicts
    axis.set_xticks(range(0, 101, 20))
    axis.set_xlabel("questions answered right, %, with 95 % intervals")
    method = record["subject"]["recipe"]["method"]["name"]
    axis.set_title(f"{method} on {record['protocol']['dataset']}: who answers the question?")
    axis.grid(axis="x", alpha=0.3)
    axis.set_axisbelow(True)
    figure.legend(loc="outside lower center", ncols=2, frameon=False)
    canvas.save(figure, path)
    return Path(path)
