"""The audit: every measurement in order, a verdict for each, and the record of them all."""

import dataclasses
import os
from pathlib import Path

import jax

import jaxssl
from jaxssl import checkpoints, data, jsonable, named
from jaxssl.audit import cues, measured, network, questions
from jaxssl.evaluation import protocol, splits
from jaxssl.runs import labelled, pretrain, record
from jaxssl.runs.opened import open_run
from jaxssl.runs.recipe import Recipe

FILE = "audit.json"


def audit_recipe(recipe: Recipe, options: measured.Options, out: Path | None = None) -> dict:
    """Audits a recipe before it is trained: what do cheap cues know of the answers?

    Args:
        recipe: whose questions are asked.
        options: how much is measured.
        out: directory for ``audit.json``; nothing is written without one.

    Returns:
        The record, in the form of ``protocol.write``: ``results`` holds ``rows``, ``lines`` (what
        was not measured, and why) and ``shortcuts``, the names of the rows that are one.

    Raises:
        ValueError: a data set that cannot be read, or inputs that cannot be described.
    """
    _check_pretext(recipe)
    sources = _splits(recipe)
    rows: list[measured.Row] = []
    lines = []
    recipe = dataclasses.replace(recipe, method=pretrain.prepare(recipe.method, sources[0]))
    method = recipe.method.build(recipe.encoder.build(), axis_name=None)
    if method.ask is not None:
        rows, described = measured.of_cues(method, sources, options)
        lines.append(_what_was_asked(described))
    else:
        lines.append(_no_question(recipe))
    lines.append("Solvability, controls and usefulness need a trained run: jaxssl audit RUN.")
    subject = {"recipe": record.to_json(recipe), "step": None}
    return _record(rows, lines, options, sources, subject, out)


def audit_run(
    run: str | os.PathLike,
    options: measured.Options,
    *,
    step: int | None = None,
    data_path: str | None = None,
    out: Path | None = None,
) -> dict:
    """Audits a trained run: solvable, by no shortcut, useful?

    Args:
        run: run directory.
        options: how much is measured.
        step: checkpoint; the newest by default.
        data_path: where the data set is, if not where pretraining found it.
        out: directory for ``audit.json``; ``RUN/audit`` by default.

    Returns:
        The record; see ``audit_recipe``.

    Raises:
        ValueError: no complete checkpoint (CheckpointError), or a data set that cannot be read.
    """
    run = Path(run)
    encoder = checkpoints.restore_encoder(run, step)
    opened_run = open_run(run, encoder.meta["step"])
    recipe = opened_run.recipe
    _check_pretext(recipe)
    recipe = dataclasses.replace(recipe, data=data.elsewhere(recipe.data, data_path))
    sources = _splits(recipe)
    trained, untrained = network.networks_of(opened_run)
    rows: list[measured.Row] = []
    lines = []
    if trained.method.ask is not None:
        probed, described = measured.of_cues(trained.method, sources, options)
        lines.append(_what_was_asked(described))
        chance = measured.known(probed[0].chance)
        rows += measured.of_accuracy(trained, untrained, sources[1], chance, options) + probed
        if "image" in sources[1][0]:
            skill = measured.known(rows[0].skill)
            rows += measured.of_controls(trained, sources[1], chance, skill, options)
        else:
            lines.append("Controls are made of images; clips of a video have none.")
        lines.append(_compared(rows))
    else:
        lines.append(_no_question(recipe))
        rows += measured.of_loss(trained, untrained, sources[1], options)
    useful, line = measured.of_usefulness(run, encoder, data_path, options)
    rows += useful
    lines.append(line)
    subject = {"recipe": record.to_json(recipe), "step": encoder.meta["step"]}
    return _record(rows, lines, options, sources, subject, out or opened_run.directory.audit)


def _record(
    rows: list[measured.Row],
    lines: list[str],
    options: measured.Options,
    sources: tuple[data.Source, data.Source],
    subject: dict,
    out: Path | None,
) -> dict:
    described = {
        "evaluator": "audit",
        "dataset": sources[0].name,
        "train_fingerprint": sources[0].fingerprint,
        "test_fingerprint": sources[1].fingerprint,
    } | jsonable.to_json(options)
    subject = subject | {"versions": {"jax": jax.__version__, "jaxssl": jaxssl.__version__}}
    results = {
        "rows": [dataclasses.asdict(row) for row in rows],
        "lines": lines,
        "shortcuts": [row.name for row in rows if row.verdict == measured.SHORTCUT],
    }
    if out is None:
        stamp = protocol.stamp(described)
        return {"stamp": stamp, "protocol": described, "subject": subject, "results": results}
    return protocol.write(Path(out) / FILE, protocol=described, subject=subject, results=results)


def _what_was_asked(described: questions.Described) -> str:
    num, height, width, channels = described.shape
    text = (
        f"A question shows {num} input{'s' if num > 1 else ''} of {height} x {width} x {channels} "
        f"and has {described.num_answers} answers; {len(described.answers):,} questions about "
        f"{described.num_images:,} test images count."
    )
    left_out = sorted(cues.TABLE.keys() - described.cues.keys())
    return text + (
        f" Cues that such inputs cannot show: {', '.join(left_out)}." if left_out else ""
    )


def _check_pretext(recipe: Recipe) -> None:
    """Refuses a method whose answers are the labels of the data set."""
    if labelled.reads(recipe.method):
        raise ValueError(
            f"audit: the method must be self-supervised; got {named.short(recipe.method)}, whose "
            "answers are the labels of the data set. Audit the run that it began with."
        )


def _no_question(recipe: Recipe) -> str:
    return (
        f"{named.short(recipe.method)} asks no question with a discrete answer: cue probes, "
        f"which need one, are left out."
    )


def _compared(rows: list[measured.Row]) -> str:
    """How far the best cue comes, measured by the network."""
    of_cues = (row for row in rows if row.name.startswith("cue: "))
    best = max(of_cues, key=lambda row: measured.known(row.skill))
    own = measured.known(rows[0].skill)
    if own <= 0:
        return "The network answers no better than chance."
    share = max(0.0, measured.known(best.skill)) / own
    return f"The strongest {best.name} alone reaches {100 * share:.0f} % of the network's skill."


def _splits(recipe: Recipe) -> tuple[data.Source, data.Source]:
    opened = splits.choose(recipe.data)
    splits.check_disjoint(opened)
    return opened.train, opened.test
