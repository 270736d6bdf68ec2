"""The picture of accuracies: a bar for each encoder and evaluator."""

import itertools
import os
from collections.abc import Mapping, Sequence

import numpy as np

from jaxssl.report import canvas

HATCHES = ("", "//", "..", "xx")


def draw_accuracy_bars(
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
    figure = canvas.new_figure(max(5.0, 1.2 + 0.62 * len(groups) * len(kinds)), 4.4)
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
