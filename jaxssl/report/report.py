"""A run on one page, RUN/report/index.html: what it is worth, what it is, and pictures of it."""

import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from jaxssl import checkpoints, files, named
from jaxssl.evaluation import splits, summary
from jaxssl.report import (
    examples,
    facts,
    history,
    measurements,
    mistakes,
    page,
    pairs,
    patches,
    results,
    segments,
    texts,
)
from jaxssl.report.page import Picture, Table
from jaxssl.runs.opened import OpenedRun, open_run

SUMMARY = "summary.json"


def draw(run: str | os.PathLike, *, data_path: str | None = None) -> list[Path]:
    """Draws a run into ``RUN/report/``: pictures, and ``index.html``, which holds them all.

    First what the run is worth, and the facts of it; then what was measured of collapse, the
    training curve, online probes, the views and the network's answers, nearest neighbours, the
    features in two dimensions, what the patches of a ViT say, the results of ``RUN/evaluation/``,
    segmented images, how alike layers are, and the recipe. What is missing is left out, and said on
    stderr and the page. Where a linear evaluation is there, ``summary.json`` holds its table
    (``evaluation.summary``).

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
    out = opened_run.directory.report
    out.mkdir(exist_ok=True)

    records = results.read_records(run, encoder.meta["step"], opened)
    summarised = _summarise(records, out)
    task, *features = _draw_examples(opened_run, encoder, opened, out)
    parts = [
        *([] if summarised is None else [measurements.summed_up(summarised)]),
        facts.about(opened_run),
        *history.draw_collapse(run, out),
        history.draw_curve(run, out),
        *history.draw_online(run, out),
        task,
        *measurements.pretext(records),
        *features,
        *results.draw_all(run, records, out, num_classes=opened.test.num_classes),
        *mistakes.confusions(records),
        *measurements.everything(records),
        *measurements.corruptions(records),
        *segments.draw_segments(run, opened_run.step, out),
        *results.draw_similarity(run, opened_run.step, out),
        facts.recipe_of(opened_run),
    ]
    for part in parts:
        if isinstance(part, Picture) and part.path is None:
            print(f"{part.title} left out: {part.sentence}", file=sys.stderr)
    index = out / "index.html"
    name = f"{named.short(opened_run.recipe.method)} on {opened.train.name}, step {opened_run.step}"
    lead = measurements.judgement(run, records, summarised)
    files.write_whole(index, page.render(name, parts, lead=lead))
    written = [part.path for part in parts if isinstance(part, Picture) and part.path]
    return written + ([] if summarised is None else [out / SUMMARY]) + [index]


def _draw_examples(
    run: OpenedRun, encoder: checkpoints.RestoredEncoder, opened: splits.Splits, out: Path
) -> list[Picture | Table]:
    """The views of a few test examples first, then what shows their features."""
    train_part, test_part = examples.read_parts(opened)
    if texts.are_texts(test_part) and not pairs.are_pairs(test_part):
        decode = run.recipe.data.decode
        views = texts.draw_views(run, test_part)
        return [views, *texts.draw_features(encoder, train_part, test_part, out, decode)]
    features = examples.draw_features(encoder, train_part, test_part, out)
    if pairs.are_pairs(test_part):
        return [pairs.draw_views(run, test_part, out), *features]
    pictured = examples.draw_views(run, examples.choose(test_part), out)
    return [pictured, *features, *patches.draw_patches(encoder, test_part, out)]


def _summarise(records: Sequence[dict], out: Path) -> dict | None:
    """Writes the summary of all results; takes an old one away where there is nothing to say."""
    found = summary.summarise(records)
    if found is None:
        (out / SUMMARY).unlink(missing_ok=True)
    else:
        files.write_whole(out / SUMMARY, json.dumps(found, indent=1) + "\n")
    return found
