"""Pictures of features and results: each function writes one PNG.

Whatever a colour says is said by a marker, a line style or a sign too.
"""

import itertools
import os
import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

import numpy as np

from jaxssl.report import canvas, collapsing

if TYPE_CHECKING:
    from matplotlib.axes import Axes

RIGHT, WRONG, GREY = "#009E73", "#D55E00", "#B0B0B0"
CLASS_COLOURS = (*canvas.COLOURS, "#882255", "#999933", "#6B4423")
MARKERS = "osD^vP*X<>"
HATCHES = ("", "//", "..", "xx")
# What a metrics row holds beside the values of the loss and the method's own metrics.
_NOT_DRAWN = frozenset(
    ("step", "learning_rate", "grad_norm", "update_norm", "images_per_second", "seconds_left")
)
_MAX_CLASSES = 10
_GRID_WIDTH = 18.0  # inches, for a grid of many columns


def training_curve(rows: Sequence[Mapping[str, float]], path: str | os.PathLike) -> None:
    """Loss, the method's own metrics and the learning rate by step.

    Args:
        rows: of metrics.jsonl, at least one; ``step``, ``loss``, ``learning_rate`` and others.
        path: PNG file to write.
    """
    own = rows[0].keys() - _NOT_DRAWN - {"loss"}
    own = sorted(name for name in own if not name.startswith(collapsing.PREFIX))
    names = ["loss", *own, "learning_rate"]
    heights = [3.0, *[2.0] * (len(names) - 2), 1.3]
    figure = canvas.figure(7.5, sum(heights) + 0.6)
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


def accuracy_bars(
    records: Sequence[Mapping], path: str | os.PathLike, *, chance: float | None = None
) -> None:
    """Test accuracies of a run's encoder beside what needs no pretraining.

    Args:
        records: result files of the linear and the kNN evaluation (``protocol.write``), at least
            one.
        path: PNG file to write.
        chance: accuracy of a guess, drawn as a dashed line.
    """
    measured = _accuracies(records)
    groups = list(dict.fromkeys(group for group, _ in measured))
    kinds = list(dict.fromkeys(kind for _, kind in measured))
    figure = canvas.figure(max(5.0, 1.2 + 0.62 * len(groups) * len(kinds)), 4.4)
    axis = figure.subplots()
    width = 0.8 / len(kinds)
    looks = zip(itertools.cycle(canvas.COLOURS), itertools.cycle(HATCHES))
    for number, (kind, (colour, hatch)) in enumerate(zip(kinds, looks)):
        present = [place for place, group in enumerate(groups) if (group, kind) in measured]
        values = np.array([measured[groups[place], kind] for place in present])  # [bars, 2]
        places = np.array(present) + (number - (len(kinds) - 1) / 2) * width
        axis.bar(
            places,
            100 * values[:, 0],
            0.92 * width,
            yerr=100 * values[:, 1],
            label=kind,
            color=colour,
            hatch=hatch,
            edgecolor="white",
            error_kw={"capsize": 3, "elinewidth": 1.2},
        )
        for place, (value, half_width) in zip(places, values):
            axis.text(
                place, 100 * (value + half_width) + 1, f"{100 * value:.1f}", ha="center", fontsize=9
            )
    if chance is not None:
        axis.axhline(100 * chance, color="black", linestyle="--", linewidth=1, label="chance")
    axis.set_xticks(range(len(groups)), groups)
    axis.set_ylim(0, 112)
    axis.set_yticks(range(0, 101, 20))
    axis.set_ylabel("test accuracy, %")
    axis.set_title("Accuracy of frozen features, with 95 % intervals")
    axis.grid(axis="y", alpha=0.3)
    axis.set_axisbelow(True)
    figure.legend(loc="outside lower center", ncols=len(kinds) + 1, frameon=False)
    canvas.save(figure, path)


def image_grid(
    columns: Sequence[tuple[str, np.ndarray]], path: str | os.PathLike, *, title: str = ""
) -> None:
    """Examples by row, and by column what was made of them.

    Columns may differ in H and W: every image fills its cell.

    Args:
        columns: title and images [B, H, W, C] of each column, the same B; uint8, or floating in
            [0, 1]; C is 1 or 3.
        path: PNG file to write.
        title: above everything.
    """
    num_rows = len(columns[0][1])
    cell = min(_cell(columns[0][1]), _GRID_WIDTH / len(columns))
    figure = canvas.figure(len(columns) * (cell + 0.08), num_rows * (cell + 0.06) + 1.0)
    axes = figure.subplots(num_rows, len(columns), squeeze=False)
    for column, (name, images) in enumerate(columns):
        for row, image in enumerate(images):
            _show(axes[row, column], image)
        axes[0, column].set_title(textwrap.fill(name, int(15 * cell)), fontsize=9)
    figure.suptitle(title, fontsize=11)
    canvas.save(figure, path)


def neighbours(
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
        path: PNG file to write.
        class_names: by label, written over the images.
    """
    num_queries, num_found = found.shape[:2]
    cell = _cell(queries)
    figure = canvas.figure((num_found + 1) * (cell + 0.05), num_queries * (cell + 0.2) + 0.5)
    axes = figure.subplots(
        num_queries, num_found + 1, squeeze=False, width_ratios=[1.25, *[1] * num_found]
    )

    def named(label: int) -> str:
        name, room = str(class_names[label] if class_names else label), int(13 * cell)
        return name if len(name) <= room else name[: room - 1] + "…"

    for row in range(num_queries):
        _show(axes[row, 0], queries[row])
        for column in range(num_found):
            _show(axes[row, column + 1], found[row, column])
        if labels is None:
            continue
        query_label, found_labels = labels[0][row], labels[1][row]
        axes[row, 0].set_title(named(query_label), fontsize=8, fontweight="bold", pad=3)
        for axis, label in zip(axes[row, 1:], found_labels):
            right = label == query_label
            colour = RIGHT if right else WRONG
            _frame(axis, colour, "-" if right else (0, (3, 2)))
            sign = "\N{CHECK MARK}" if right else "\N{BALLOT X}"
            axis.set_title(f"{sign} {named(label)}", fontsize=8, color=colour, pad=4)
    figure.suptitle("Test image, and its nearest training images", fontsize=11)
    canvas.save(figure, path)


def embedding(
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
        path: PNG file to write.
    """
    centred = features.astype(np.float64) - features.mean(axis=0, dtype=np.float64)
    variances, vectors = np.linalg.eigh(centred.T @ centred)
    points = centred @ vectors[:, :-3:-1]  # [N, 2]
    shares = 100 * variances[:-3:-1] / max(variances.sum(), np.finfo(np.float64).tiny)
    figure = canvas.figure(8.0, 6.0)
    axis = figure.subplots()
    size = float(np.clip(12000 / len(points), 10, 40))
    labels = np.zeros(len(points), int) if labels is None else labels
    classes = np.unique(labels)
    rest = ~np.isin(labels, classes[:_MAX_CLASSES])
    if rest.any():
        name = f"{len(classes) - _MAX_CLASSES} other classes"
        axis.scatter(*points[rest].T, s=size / 2, color=GREY, alpha=0.5, label=name)
    for number, label in enumerate(classes[:_MAX_CLASSES]):
        own, colour = points[labels == label], CLASS_COLOURS[number]
        axis.scatter(
            *own.T,
            s=size * (1.6 if MARKERS[number] in "P*X" else 1),
            color=colour,
            marker=MARKERS[number],
            alpha=0.7,
            linewidths=0,
            label=str(class_names[label]) if class_names else f"{len(own)} images",
        )
        if class_names:
            box = {"boxstyle": "round,pad=0.2", "fc": "white", "ec": colour, "alpha": 0.85}
            axis.text(
                *np.median(own, axis=0), class_names[label], fontsize=8, ha="center", bbox=box
            )
    axis.set_xlabel(f"first principal component ({shares[0]:.0f} % of the variance)")
    axis.set_ylabel(f"second principal component ({shares[1]:.0f} %)")
    axis.set_title(f"Features of {len(points):,} test images")
    figure.legend(loc="outside right upper", frameon=False)
    canvas.save(figure, path)


def _accuracies(records: Sequence[Mapping]) -> dict[tuple[str, str], tuple[float, float]]:
    """(encoder, evaluator) to (accuracy, half-width), in the order in which bars stand."""
    found = {}
    for record in records:
        subject, layer = record["subject"], record["protocol"]["layer"]
        group = subject["encoder"]
        if group == "trained":
            group += f"\nstep {subject['step']}"
        elif subject.get("weights_seed"):
            group += f"\nseed {subject['weights_seed']}"
        if layer != "pooled":
            group += f"\n{layer}"
        results = record["results"]
        if record["protocol"]["evaluator"] == "linear":
            found[group, "linear"] = (results["test_accuracy"], results["half_width"])
            continue
        for name, result in results.items():
            if name.startswith("k="):
                found[group, f"kNN, {name}"] = (result["accuracy"], result["half_width"])
    rank = {name: place for place, name in enumerate(canvas.ENCODERS)}
    return dict(
        sorted(
            found.items(),
            key=lambda item: (rank[item[0][0].split("\n")[0]], item[0][0], item[0][1] != "linear"),
        )
    )


def _cell(images: np.ndarray) -> float:
    """Side of one image in inches: at least 1.2, and its own size up to 2.3."""
    return float(np.clip(images.shape[-3] / canvas.DPI, 1.2, 2.3))


def _show(axis: "Axes", image: np.ndarray) -> None:
    image = np.asarray(image)
    levels = image if image.dtype == np.uint8 else np.clip(image, 0, 1)
    top = 255 if image.dtype == np.uint8 else 1
    axis.imshow(levels, cmap="gray", vmin=0, vmax=top)
    axis.set_xticks([])
    axis.set_yticks([])
    for spine in axis.spines.values():
        spine.set_visible(False)


def _frame(axis: "Axes", colour: str, style: str | tuple) -> None:
    for spine in axis.spines.values():
        spine.set_visible(True)
        spine.set_color(colour)
        spine.set_linestyle(style)
        spine.set_linewidth(2.5)
