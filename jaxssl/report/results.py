"""Pictures of what was evaluated: ``RUN/evaluation/``."""

from collections.abc import Sequence
from pathlib import Path

from jaxssl.evaluation import diagnosis, layers, protocol, splits
from jaxssl.report import bars, depth, label_curve, similarity
from jaxssl.report.page import Picture

PLOTTED = ("linear", "knn")  # evaluators whose results are drawn as bars and by depth


def read_records(run: Path, step: int, opened: splits.Splits) -> list[dict]:
    """The results of one step on the splits that are shown.

    Results of another step would stand beside a network that they are not of.
    """
    shown = {
        "dataset": opened.train.name,
        "train_split": opened.train_name,
        "test_split": opened.test_name,
    }
    return [
        record for record in protocol.read(run, step) if shown.items() <= record["protocol"].items()
    ]


def draw_all(
    run: Path, records: Sequence[dict], out: Path, *, num_classes: int | None
) -> list[Picture]:
    """Every picture of results that there is something to draw of."""
    return [
        draw_accuracies(run, records, out, num_classes=num_classes),
        draw_depth(run, records, out, num_classes=num_classes),
        *draw_few_labels(records, out, num_classes=num_classes),
    ]


def draw_accuracies(
    run: Path, records: Sequence[dict], out: Path, *, num_classes: int | None
) -> Picture:
    """The accuracies of the step that is shown."""
    title = "Accuracies"
    records = [record for record in records if record["protocol"]["evaluator"] in PLOTTED]
    if not records:
        commands = f"jaxssl linear-eval {run} and jaxssl knn-eval {run}"
        return Picture(title, f"not evaluated yet; {commands} measure them.", None)
    chance = 1 / num_classes if num_classes else None
    bars.draw_accuracy_bars(list(map(_at_best_grid, records)), out / "accuracy.svg", chance=chance)
    sentence = (
        "Test accuracies of frozen features: of this step, and of the same network with random "
        "weights (residual branches open, batch statistics of the training images), the pixels and "
        "their principal components where they were evaluated (--encoder random, pixels, pca)."
    )
    if not _comparable(records):
        sentence += " Not all of them were measured under the same protocol: compare with care."
    return Picture(title, sentence, out / "accuracy.svg")


def draw_depth(
    run: Path, records: Sequence[dict], out: Path, *, num_classes: int | None
) -> Picture:
    """The accuracies of every stage of the step that is shown: of means of maps, else of grids."""
    title = "Accuracy by depth"
    records = [record for record in records if record["protocol"]["evaluator"] in PLOTTED]
    pooled = [record for record in records if record["protocol"]["layer"] == "pooled"]
    if any(depth.has_stages(record) for record in pooled):
        records = pooled
    if not any(depth.has_stages(record) for record in records):
        commands = f"jaxssl linear-eval {run} and jaxssl knn-eval {run}"
        return Picture(title, f"no stages measured yet; {commands} measure them.", None)
    chance = 1 / num_classes if num_classes else None
    depth.draw_accuracy_by_depth(records, out / "depth.svg", chance=chance)
    sentence = (
        "Test accuracies of the features after each stage or block, and of the pooled features "
        "where they were measured (hollow); the best of a line is bold. Later stages may serve the "
        "pretext task more than the classes. Bold is by the test split; the best stage to quote is "
        "the one that the result file names, by held-out training images."
    )
    return Picture(title, sentence, out / "depth.svg")


def draw_few_labels(
    records: Sequence[dict], out: Path, *, num_classes: int | None
) -> list[Picture]:
    """The accuracies by the number of labels; nothing where there is but one number of them."""
    records = [record for record in records if record["protocol"]["evaluator"] == "few-label"]
    if all(len(record["results"]["best"]) < 2 for record in records):
        return []
    chance = 1 / num_classes if num_classes else None
    label_curve.draw_accuracy_by_labels(records, out / "few-labels.svg", chance=chance)
    sentence = (
        "Test accuracies of a linear classifier that is told the classes of a few training images "
        "only, mean over draws of them; its layer and its penalty are chosen by cross-validation "
        "among those labels."
    )
    return [Picture("Few labels", sentence, out / "few-labels.svg")]


def draw_similarity(run: Path, step: int, out: Path) -> list[Picture]:
    """How alike stages are, where a diagnosis of this step says so: of the first that is found."""
    found = [
        record
        for record in protocol.read(run, step)
        if record["protocol"]["evaluator"] == diagnosis.NAME
    ]
    if not found:
        return []
    similarity.draw_similarity(found[0]["results"], out / "similarity.svg")
    described = found[0]["protocol"]
    sentence = (
        f"Linear CKA of the features after each stage, on {described['num_images']:,} images of "
        f"{described['test_split']}: 1 where two layers tell images apart alike, about 0 where "
        "they are unrelated. Below a white line stand the best layers of other runs."
    )
    return [Picture("How alike layers are", sentence, out / "similarity.svg")]


def _at_best_grid(record: dict) -> dict:
    """A record of grids as one of the stage that held-out images choose; any other as it is."""
    best = record["results"].get("best")
    if best is None or record["protocol"]["layer"] == layers.POOLED.name:
        return record
    protocol_of_best = record["protocol"] | {"layer": best["layer"]}
    return record | {"protocol": protocol_of_best, "results": record["results"] | best}


def _comparable(records: Sequence[dict]) -> bool:
    """Whether records of the same evaluator and layer agree in their whole protocol."""
    stamps: dict[tuple[str, str], set[str]] = {
        (record["protocol"]["evaluator"], record["protocol"]["layer"]): set() for record in records
    }
    for record in records:
        stamps[record["protocol"]["evaluator"], record["protocol"]["layer"]].add(record["stamp"])
    return all(len(group) == 1 for group in stamps.values())
