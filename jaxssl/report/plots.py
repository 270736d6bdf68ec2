"""Pictures of images and of features: each function writes one file, PNG or SVG by its name.

Whatever a colour says is said by a marker, a line style or a sign too.
"""

import os
import textwrap
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from jaxssl.report import canvas

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RIGHT, WRONG, GREY = "#009E73", "#D55E00", "#B0B0B0"
CLASS_COLOURS = (*canvas.COLOURS, "#882255", "#999933", "#6B4423")
MARKERS = "osD^vP*X<>"
_MAX_CLASSES = 10
_TEXT_WIDTH = 2.4  # inches, of a column of texts
_GRID_WIDTH = 18.0  # inches, for a grid of many columns


def draw_grid(
    columns: Sequence[tuple[str, np.ndarray]], path: str | os.PathLike, *, title: str = ""
) -> None:
    """Examples by row, and by column what was made of them.

    Columns may differ in H and W: every image fills its cell.

    Args:
        columns: title and images [B, H, W, C] of each column, the same B; uint8, or floating in
            [0, 1]; C is 1 or 3.
        path: file to write, see ``canvas.save``.
        title: above everything.
    """
    num_rows = len(columns[0][1])
    cell = min(_cell(columns[0][1]), _GRID_WIDTH / len(columns))
    figure = canvas.new_figure(len(columns) * (cell + 0.08), num_rows * (cell + 0.06) + 1.0)
    axes = figure.subplots(num_rows, len(columns), squeeze=False)
    for column, (name, images) in enumerate(columns):
        for row, image in enumerate(images):
            _show(axes[row, column], image)
        axes[0, column].set_title(textwrap.fill(name, int(15 * cell)), fontsize=9)
    figure.suptitle(title, fontsize=11)
    canvas.save(figure, path)


def draw_captioned(
    pictures: Sequence[tuple[str, np.ndarray]],
    texts: Sequence[tuple[str, Sequence[str]]],
    path: str | os.PathLike,
    *,
    title: str = "",
) -> None:
    """Examples by row: images, and to their right texts.

    Args:
        pictures: as the columns of ``draw_grid``.
        texts: title and B texts of each column.
        path: file to write, see ``canvas.save``.
        title: above everything.
    """
    num_rows = len(pictures[0][1])
    cell = _cell(pictures[0][1])
    widths = [cell] * len(pictures) + [_TEXT_WIDTH] * len(texts)
    figure = canvas.new_figure(sum(widths) + 0.5, num_rows * (cell + 0.06) + 1.0)
    axes = figure.subplots(num_rows, len(widths), squeeze=False, width_ratios=widths)
    for column, (name, images) in enumerate(pictures):
        for row, image in enumerate(images):
            _show(axes[row, column], image)
        axes[0, column].set_title(textwrap.fill(name, int(15 * cell)), fontsize=9)
    for column, (name, lines) in enumerate(texts, start=len(pictures)):
        for row, line in enumerate(lines):
            axes[row, column].axis("off")
            axes[row, column].text(
                0.02, 0.5, textwrap.fill(line, int(13 * _TEXT_WIDTH)), fontsize=9, va="center",
                parse_math=False,
            )  # fmt: skip
        axes[0, column].set_title(textwrap.fill(name, int(15 * _TEXT_WIDTH)), fontsize=9)
    figure.suptitle(title, fontsize=11)
    canvas.save(figure, path)


def draw_neighbours(
    queries: np.ndarray,
    found: np.ndarray,
    labels: tuple[np.ndarray, np.ndarray] | None,
    path: str | os.PathLike,
    *,
    class_names: Sequence[str] | None = None,
) -> None:
    """Test images, and to the right of each the training images nearest to it.

    Args:
        queries: test images [B, H, W, C]; uint8, or floating in [0, 1].
        found: their neighbours [B, K, H, W, C], nearest first.
        labels: of the queries [B] and of the neighbours [B, K]: a neighbour of the same class gets
            a solid green frame and a check mark, one of another a dashed orange frame and a cross;
            None draws no frames.
        path: file to write, see ``canvas.save``.
        class_names: by label, written over the images.
    """
    num_queries, num_found = found.shape[:2]
    cell = _cell(queries)
    figure = canvas.new_figure((num_found + 1) * (cell + 0.05), num_queries * (cell + 0.2) + 0.5)
    axes = figure.subplots(
        num_queries, num_found + 1, squeeze=False, width_ratios=[1.25, *[1] * num_found]
    )

    def named(label: int) -> str:
        name, room = str(class_names[label] if class_names else label), int(13 * cell)
        return canvas.as_written(name if len(name) <= room else name[: room - 1] + "…")

    for row in range(num_queries):
        _show(axes[row, 0], queries[row])
        for column in range(num_found):
            _show(axes[row, column + 1], found[row, column])
        if labels is None:
            continue
        query_label, found_labels = labels[0][row], labels[1][row]
        axes[row, 0].set_title(named(query_label), fontsize=8.5, fontweight="bold", pad=3)
        for axis, label in zip(axes[row, 1:], found_labels):
            right = label == query_label
            colour = RIGHT if right else WRONG
            _frame(axis, colour, "-" if right else (0, (3, 2)))
            sign = "\N{CHECK MARK}" if right else "\N{BALLOT X}"
            axis.set_title(f"{sign} {named(label)}", fontsize=8.5, color=colour, pad=4)
    figure.suptitle("Test image, and its nearest training images", fontsize=11)
    canvas.save(figure, path)


def draw_embedding(
    features: np.ndarray,
    labels: np.ndarray | None,
    class_names: Sequence[str] | None,
    path: str | os.PathLike,
) -> None:
    """The first two principal components of features, one point an image.

    Args:
        features: [N, D] real, N and D at least 2.
        labels: integers [N]; beyond the first ten classes points are grey; None draws one colour.
        class_names: by label.
        path: file to write, see ``canvas.save``.
    """
    centred = features.astype(np.float64) - features.mean(axis=0, dtype=np.float64)
    variances, vectors = np.linalg.eigh(centred.T @ centred)
    points = centred @ vectors[:, :-3:-1]  # [N, 2]
    shares = 100 * variances[:-3:-1] / max(variances.sum(), np.finfo(np.float64).tiny)
    figure = canvas.new_figure(8.0, 6.0)
    axis = figure.subplots()
    size = float(np.clip(12000 / len(points), 10, 40))
    labels = np.zeros(len(points), int) if labels is None else labels
    classes = np.unique(labels)
    rest = ~np.isin(labels, classes[:_MAX_CLASSES])
    if rest.any():
        name = f"{len(classes) - _MAX_CLASSES} other classes"
        own = points[rest]
        axis.scatter(
            own[:, 0], own[:, 1], s=size / 2, color=GREY, alpha=0.5, label=name, rasterized=True
        )
    for number, label in enumerate(classes[:_MAX_CLASSES]):
        own, colour = points[labels == label], CLASS_COLOURS[number]
        name = canvas.as_written(class_names[label]) if class_names else f"{len(own)} images"
        axis.scatter(
            own[:, 0],
            own[:, 1],
            s=size * (1.6 if MARKERS[number] in "P*X" else 1),
            color=colour,
            marker=MARKERS[number],
            alpha=0.7,
            linewidths=0,
            label=name,
            rasterized=True,  # thousands of points, in a drawing of lines and texts
        )
        if class_names:
            box = {"boxstyle": "round,pad=0.2", "fc": "white", "ec": colour, "alpha": 0.85}
            middle = np.median(own, axis=0)
            axis.text(middle[0], middle[1], name, fontsize=8.5, ha="center", bbox=box)
    axis.set_xlabel(f"first principal component ({shares[0]:.0f} % of the variance)")
    axis.set_ylabel(f"second principal component ({shares[1]:.0f} %)")
    axis.set_title(f"Features of {len(points):,} test examples")
    figure.legend(loc="outside right upper", frameon=False)
    canvas.save(figure, path)


def _cell(images: np.ndarray) -> float:
    """Side of one image in inches: at least 1.2, and its own size up to 2.3."""
    return float(np.clip(images.shape[-3] / canvas.DPI, 1.2, 2.3))


def _show(axis: "Axes", image: np.ndarray) -> None:
    image = np.asarray(image)
    if image.shape[-1] not in (1, 3):  # of satellites, say: the first three as if they were colours
        image = image[..., : 3 if image.shape[-1] > 3 else 1]
    levels = image if image.dtype == np.uint8 else np.clip(image, 0, 1)
    top = 255 if image.dtype == np.uint8 else 1
    axis.imshow(levels, cmap="gray", vmin=0, vmax=top, interpolation="none")
    axis.set_xticks([])
    axis.set_yticks([])
    for spine in axis.spines.values():
        spine.set_visible(False)


def _frame(axis: "Axes", colour: str, style: Any) -> None:
    for spine in axis.spines.values():
        spine.set_visible(True)
        spine.set_color(colour)
        spine.set_linestyle(style)
        spine.set_linewidth(2.5)
