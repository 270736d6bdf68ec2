"""Pictures of a run, and one page that shows them: RUN/report/."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from jaxssl import checkpoints, files, named
from jaxssl.evaluation import splits, summary
from jaxssl.report import examples, history, page, pairs, results, texts
from jaxssl.runs.opened import open_run

SUMMARY = "summary.json"


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
    num_classes = opened.test.num_classes
    out = opened_run.directory.report
    out.mkdir(exist_ok=True)

    curve = history.draw_curve(run, out)
    records = results.read_records(run, encoder.meta["step"], opened)
    summarised = _summarise(records, out)
    accuracies = results.draw_accuracies(run, records, out, num_classes=num_classes)
    if summarised is not None:
        told = f"{summary.sentence(summarised)} {accuracies.sentence}"
        accuracies = accuracies._replace(sentence=told)
    by_depth = results.draw_depth(run, records, out, num_classes=num_classes)
    train_part, test_part = examples.read_parts(opened)
    if pairs.are_pairs(test_part):
        views = pairs.draw_views(opened_run, test_part, out)
        features = examples.draw_features(encoder, train_part, test_part, out)
    elif texts.are_texts(test_part):
        decode = opened_run.recipe.data.decode
        views = texts.draw_views(opened_run, test_part)
        features = texts.draw_features(encoder, train_part, test_part, out, decode)
    else:
        views = examples.draw_views(opened_run, examples.choose(test_part), out)
        features = examples.draw_features(encoder, train_part, test_part, out)
    by_labels = results.draw_few_labels(records, out, num_classes=num_classes)
    collapsed = history.draw_collapse(run, out)
    pictures = [views, curve, *collapsed, *features, accuracies, by_depth, *by_labels]
    for picture in pictures:
        if isinstance(picture, page.Picture) and picture.path is None:
            print(f"{picture.title} left out: {picture.sentence}", file=sys.stderr)
    index = out / "index.html"
    name = f"{named.short(opened_run.recipe.method)} on {opened.train.name}, step {opened_run.step}"
    files.write_whole(index, page.render(name, pictures))
    written = [each.path for each in pictures if isinstance(each, page.Picture) and each.path]
    return written + ([] if summarised is None else [out / SUMMARY]) + [index]


def _summarise(records: Sequence[dict], out: Path) -> dict | None:
    """Writes the summary of all results; takes an old one away where there is nothing to say."""
    found = summary.summarise(records)
    if found is None:
        (out / SUMMARY).unlink(missing_ok=True)
    else:
        files.write_whole(out / SUMMARY, json.dumps(found, indent=1) + "\n")
    return found
