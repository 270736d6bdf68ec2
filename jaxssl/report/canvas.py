"""What all pictures share: colours, an empty figure, the way it is saved.

Colours are those of Okabe and Ito, which colour-blind readers tell apart. matplotlib is imported
when the first picture is drawn: it is an extra.
"""

import io
import os
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from matplotlib.figure import Figure

COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")
# Encoders in the order in which pictures show them.
ENCODERS = ("trained", "random", "pca", "pixels", "counts")
DPI = 100
_OF_PAGE = {"#000000": "currentColor", "#ffffff": "var(--paper, #fff)"}


def new_figure(width: float, height: float) -> "Figure":
    """An empty figure, sides in inches.

    Raises:
        ImportError: matplotlib is not installed.
    """
    try:
        from matplotlib.figure import Figure
    except ImportError as error:
        raise ImportError(
            'plots: needs the extra; install it with: pip install "jaxssl[plot]".'
        ) from error
    return Figure((width, height), layout="constrained")


def as_written(name: str) -> str:
    """A name from the data that matplotlib draws as it is: no formula between dollar signs.

    Where it begins with an underscore, which would leave it out of a legend, a space stands before.
    """
    name = name.replace("$", r"\$")
    return f" {name}" if name.startswith("_") else name


def save(drawn: "Figure", path: str | os.PathLike) -> None:
    """Writes a figure, by the end of its name as PNG or as SVG.

    An SVG has no ground, and is black and white in the colours of the page that it stands in
    (``currentColor``, ``--paper``), so that a dark page has a dark drawing; its texts are texts,
    and images in it keep their own pixels.
    """
    # Without the version of matplotlib in it, the same numbers give the same file more often.
    if Path(path).suffix == ".png":
        drawn.savefig(path, format="png", dpi=DPI, metadata={"Software": None})
        return
    from matplotlib import rc_context

    content = io.StringIO()
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": Path(path).stem}):
        said = {"Creator": None, "Date": None}
        drawn.savefig(content, format="svg", transparent=True, metadata=said, dpi=2 * DPI)
    text = content.getvalue()
    for colour, of_page in _OF_PAGE.items():
        text = text.replace(colour, of_page)
    Path(path).write_text(text)
