"""Pictures of a run, and one page that shows them: RUN/report/."""

import html
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import jax
import numpy as np

from jaxssl import checkpoints, data, draws, files, named
from jaxssl.evaluation import (
    collapsing,
    depth,
    knn,
    label_curve,
    layers,
    plots,
    preparation,
    protocol,
    splits,
    summary,
)
from jaxssl.runs.directory import RunDirectory
from jaxssl.runs.opened import OpenedRun, open_run
from jaxssl.training import writers
from jaxssl.types import Array, Views

SUMMARY = "summary.json"
PLOTTED = ("linear", "knn")  # evaluators whose results are drawn as bars and by depth
NUM_EXAMPLES = 6
NUM_QUERIES = 8
NUM_NEIGHBOURS = 7
# What a picture needs; whole splits are for the evaluators.
NUM_TRAIN = 5000
NUM_TEST = 2000
_BATCH = 500


class Picture(NamedTuple):
    """One picture of the page: its file (None: not drawn), and a sentence about it."""

    title: str
    sentence: str
    path: Path | None


def draw(run: str | os.PathLike, *, data_path: str | None = None) -> list[Path]:
    """Draws a run into ``RUN/report/``: PNG files and ``index.html``, which shows them.

    The views, the training curve, what was measured of collapse, nearest neighbours, the features
    in two dimensions, and the accuracies of ``RUN/evaluation/``, by depth too and by the number of
    labels; what is missing is left out, and said on stderr and the page. Where a linear evaluation
    is there, ``summary.json`` holds its table (``evaluation.summary``).

    Args:
        run: run directory with a checkpoint.
        data_path: where the data set is, if not where pretraining found it.

    Returns:
        The files that were written, the page last.

    Raises:
        ImportError: matplotlib is not installed.
        ValueError: no complete checkpoint (CheckpointError), or a data set that cannot be read.
    """
    run = Path(run)
    encoder = checkpoints.restore_encoder(run)
    opened_run = open_run(run, encoder.meta["step"])
    opened = splits.open_splits(encoder.meta, data_path)
    splits.check_disjoint(opened)
    train, test = opened.train, opened.test
    out = RunDirectory(run).report
    out.mkdir(exist_ok=True)

    curve = draw_curve(run, out)
    records = _records(run, encoder.meta["step"], opened)
    summarised = _summarise(records, out)
    accuracies = draw_accuracies(run, records, out, num_classes=test.num_classes)
    if summarised is not None:
        told = f"{summary.sentence(summarised)} {accuracies.sentence}"
        accuracies = accuracies._replace(sentence=told)
    by_depth = draw_depth(run, records, out, num_classes=test.num_classes)
    train_part, test_part = data.sample(train, NUM_TRAIN), data.sample(test, NUM_TEST)
    examples = test_part.columns["image"][_first_of_each_class(test_part)[:NUM_EXAMPLES]]
    views = draw_views(opened_run, examples, out)
    features = draw_features(encoder, train_part, test_part, out)
    by_labels = draw_few_labels(records, out, num_classes=test.num_classes)
    pictures = [views, curve, *draw_collapse(run, out), *features, accuracies, by_depth, *by_labels]
    for picture in pictures:
        if picture.path is None:
            print(f"{picture.title} left out: {picture.sentence}", file=sys.stderr)
    page = out / "index.html"
    name = f"{named.short(opened_run.recipe.method)} on {train.name}, step {encoder.meta['step']}"
    files.write_whole(page, _page(name, pictures))
    written = [picture.path for picture in pictures if picture.path is not None]
    return written + ([] if summarised is None else [out / SUMMARY]) + [page]


def _summarise(records: Sequence[dict], out: Path) -> dict | None:
    """Writes the summary of all results; takes an old one away where there is nothing to say."""
    found = summary.summarise(records)
    if found is None:
        (out / SUMMARY).unlink(missing_ok=True)
    else:
        files.write_whole(out / SUMMARY, json.dumps(found, indent=1) + "\n")
    return found


def draw_curve(run: Path, out: Path) -> Picture:
    """The training curve of ``RUN/metrics.jsonl``."""
    title = "Training curve"
    path = RunDirectory(run).metrics
    rows = writers.read(path) if path.exists() else []
    if not rows:
        return Picture(title, f"no rows in {path} yet; jaxssl pretrain writes them.", None)
    plots.training_curve(rows, out / "curve.png")
    sentence = "Means over the steps since the row before, as logged while training."
    return Picture(title, sentence, out / "curve.png")


def draw_collapse(run: Path, out: Path) -> list[Picture]:
    """What ``RUN/metrics.jsonl`` measured beside the loss; nothing where it did not."""
    path = RunDirectory(run).metrics
    rows = writers.read(path) if path.exists() else []
    if not collapsing.is_measured(rows):
        return []
    collapsing.collapse_curves(rows, out / "collapse.png")
    sentence = (
        "Whether the embeddings that the loss compares, and the encoder's features, still differ "
        "between images: spread near 0 or rank near 1 is a collapse, however low the loss."
    )
    return [Picture("Collapse", sentence, out / "collapse.png")]


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
    plots.accuracy_bars(list(map(_at_best_grid, records)), out / "accuracy.png", chance=chance)
    sentence = (
        "Test accuracies of frozen features: of this step, and of the same network with random "
        "weights (residual branches open, batch statistics of the training images), the pixels and "
        "their principal components where they were evaluated (--encoder random, pixels, pca)."
    )
    if not _comparable(records):
        sentence += " Not all of them were measured under the same protocol: compare with care."
    return Picture(title, sentence, out / "accuracy.png")


def _at_best_grid(record: dict) -> dict:
    """A record of grids as one of the stage that held-out images choose; any other as it is."""
    best = record["results"].get("best")
    if best is None or record["protocol"]["layer"] == layers.POOLED.name:
        return record
    protocol_of_best = record["protocol"] | {"layer": best["layer"]}
    return record | {"protocol": protocol_of_best, "results": record["results"] | best}


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
    depth.accuracy_by_depth(records, out / "depth.png", chance=chance)
    sentence = (
        "Test accuracies of the features after each stage or block, and of the pooled features "
        "where they were measured (hollow); the best of a line is bold. Later stages may serve the "
        "pretext task more than the classes. Bold is by the test split; the best stage to quote is "
        "the one that the result file names, by held-out training images."
    )
    return Picture(title, sentence, out / "depth.png")


def draw_few_labels(
    records: Sequence[dict], out: Path, *, num_classes: int | None
) -> list[Picture]:
    """The accuracies by the number of labels; nothing where there is but one number of them."""
    records = [record for record in records if record["protocol"]["evaluator"] == "few-label"]
    if all(len(record["results"]["best"]) < 2 for record in records):
        return []
    chance = 1 / num_classes if num_classes else None
    label_curve.accuracy_by_labels(records, out / "few-labels.png", chance=chance)
    sentence = (
        "Test accuracies of a linear classifier that is told the classes of a few training images "
        "only, mean over draws of them; its layer and its penalty are chosen by cross-validation "
        "among those labels."
    )
    return [Picture("Few labels", sentence, out / "few-labels.png")]


def draw_views(run: OpenedRun, images: np.ndarray, out: Path) -> Picture:
    """What the method made of a few images [B, H, W, C] uint8, and the network of that."""
    method = run.method
    batch = {"image": images, "index": np.arange(len(images), dtype=np.int32)}
    keys = jax.random.split(jax.random.key(0), len(images))
    views = jax.jit(lambda batch, keys: draws.make_views(method, batch, keys))(batch, keys)
    if method.show is None:
        columns = image_leaves(views)
    else:
        columns = method.show(run.params, run.method_state, views)
    plots.image_grid(
        [("test image", images), *((title, np.asarray(column)) for title, column in columns)],
        out / "views.png",
        title=f"{named.short(run.recipe.method)}, step {run.step}",
    )
    sentence = "Test images, what the method makes of them, and what the network makes of that."
    return Picture("The task", sentence, out / "views.png")


def draw_features(
    encoder: checkpoints.RestoredEncoder,
    train: data.ArraySource,
    test: data.ArraySource,
    out: Path,
) -> list[Picture]:
    """Nearest neighbours of a few test images, and all test images in two dimensions."""
    bank, queries = (
        preparation.encode(encoder, part, (layers.POOLED,), _BATCH).layers[layers.POOLED.name]
        for part in (train, test)
    )
    chosen = _first_of_each_class(test)[:NUM_QUERIES]
    count = min(NUM_NEIGHBOURS, len(train))
    _, rows = knn.nearest(bank, np.arange(len(train)), queries[chosen], count=count)
    plots.neighbours(
        test.columns["image"][chosen],
        train.columns["image"][rows],
        (test.labels[chosen], train.labels[rows]) if test.labelled and train.labelled else None,
        out / "neighbours.png",
        class_names=test.class_names,
    )
    plots.embedding(queries, test.labels, test.class_names, out / "embedding.png")
    return [
        Picture(
            "Nearest neighbours",
            f"Test images (left) and the nearest of {len(train):,} training images by cosine "
            f"similarity of the trained features; pretraining saw no label.",
            out / "neighbours.png",
        ),
        Picture(
            "Features",
            "First two principal components of the trained features of test images; colours and "
            "markers are classes.",
            out / "embedding.png",
        ),
    ]


def image_leaves(views: Views) -> list[tuple[str, Array]]:
    """Every leaf of a batch of views that looks like images [B, H, W, C], with its path as title.

    A leaf [B, V, H, W, C] gives V of them.
    """
    found = []
    for path, leaf in jax.tree_util.tree_leaves_with_path(views):
        title = "view " + jax.tree_util.keystr(path, simple=True, separator=" ")
        if leaf.ndim == 4 and leaf.shape[-1] in (1, 3):
            found.append((title, leaf))
        elif leaf.ndim == 5 and leaf.shape[-1] in (1, 3):
            found += [(f"{title} {index}", leaf[:, index]) for index in range(leaf.shape[1])]
    return found


def _records(run: Path, step: int, opened: splits.Splits) -> list[dict]:
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


def _first_of_each_class(source: data.ArraySource) -> np.ndarray:
    """All row numbers, the first of every class in front: a choice that nobody made."""
    everything = np.arange(len(source))
    if source.labels is None:
        return everything
    _, first = np.unique(source.labels, return_index=True)
    return np.concatenate([first, np.setdiff1d(everything, first)])


def _comparable(records: Sequence[dict]) -> bool:
    """Whether records of the same evaluator and layer agree in their whole protocol."""
    stamps = {
        (record["protocol"]["evaluator"], record["protocol"]["layer"]): set() for record in records
    }
    for record in records:
        stamps[record["protocol"]["evaluator"], record["protocol"]["layer"]].add(record["stamp"])
    return all(len(group) == 1 for group in stamps.values())


def _page(name: str, pictures: Sequence[Picture]) -> str:
    parts = []
    for picture in pictures:
        title, sentence = html.escape(picture.title), html.escape(picture.sentence)
        parts.append(f"<h2>{title}</h2>\n<p>{sentence}</p>")
        if picture.path is not None:
            parts.append(f'<img src="{picture.path.name}" alt="{title}">')
    style = "body{font-family:sans-serif;max-width:62em;margin:2em auto;padding:0 1em}"
    return (
        f'<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        f"<title>{html.escape(name)}</title>\n<style>{style} img{{max-width:100%}}</style>\n"
        f"</head>\n<body>\n<h1>{html.escape(name)}</h1>\n"
        + "\n".join(parts)
        + "\n</body>\n</html>\n"
    )
