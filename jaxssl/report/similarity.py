"""The picture of how alike the stages of an encoder are, and those of other runs: a heat-map."""

import os
from collections.abc import Mapping

from jaxssl.report import canvas


def draw_similarity(results: Mapping, path: str | os.PathLike) -> None:
    """Linear CKA of every layer with every layer, and below them with those of other runs.

    Args:
        results: of a diagnosis (``evaluation.diagnosis.diagnose``).
        path: PNG file to write.
    """
    layers = results["cka"]["layers"]
    names = [*layers, *(f"{each['method']}, {each['layer']}" for each in results["beside"])]
    rows = [*results["cka"]["matrix"], *(each["cka"] for each in results["beside"])]
    figure = canvas.new_figure(2.6 + 0.62 * len(layers), 1.6 + 0.5 * len(rows))
    axis = figure.subplots()
    shown = axis.imshow(rows, vmin=0, vmax=1, cmap="viridis", aspect="auto")
    for row, values in enumerate(rows):
        for column, value in enumerate(values):
            colour = "#fefefe" if value < 0.6 else "#111111"  # of the cell, not of the page
            axis.text(column, row, f"{value:.2f}", ha="center", va="center", color=colour)
    axis.set_xticks(range(len(layers)), layers, rotation=45, ha="right")
    axis.set_yticks(range(len(rows)), map(canvas.as_written, names))
    if results["beside"]:
        axis.axhline(len(layers) - 0.5, color="#fefefe", linewidth=3)
    figure.colorbar(shown, label="linear CKA, debiased")
    canvas.save(figure, path)
