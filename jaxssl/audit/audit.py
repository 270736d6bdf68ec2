"""The audit: every measurement in order, a verdict for each, and the record of them all."""

import dataclasses
import os
from pathlib import Path

import jax

import jaxssl
from jaxssl import checkpoints, checks, data, jsonable, named
from jaxssl.audit import controls, cues, network, probes, questions, usefulness
from jaxssl.evaluation import protocol, splits
from jaxssl.runs import labelled, pretrain, record
from jaxssl.runs.opened import open_run
from jaxssl.runs.recipe import Recipe
from jaxssl.types import Method

FILE = "audit.json"
SOLVABLE, NO_SHORTCUT, USEFUL = "solvable", "no shortcut", "useful"
SHORTCUT, CLEAR, UNJUDGED = "shortcut", "clear", "not judged"
_FIT, _SCORE, _LOSS = range(3)  # streams of keys


@dataclasses.dataclass(frozen=True)
class Options:
    """How much is measured, and what counts.

    Attributes:
        num_fit: questions that probes are fitted to, about images of the training split.
        num_score: questions that count, about images of the test split.
        threshold: skill above which a cue is a shortcut, in [0, 1).
        seed: of views, controls and probes.
    """

    num_fit: int = 4000
    num_score: int = 2000
    threshold: float = probes.THRESHOLD
    seed: int = 0

    def __post_init__(self):
        fix = "4000 and 2000 take about a minute."
        checks.at_least("audit", 2, num_fit=self.num_fit, num_score=self.num_score, fix=fix)
        checks.in_range(
            "audit", 0, 1, threshold=self.threshold, open_right=True, fix="0.05 is usual."
        )


@dataclasses.dataclass(frozen=True)
class Row:
    """One line of the audit.

    Attributes:
        requirement: solvable, no shortcut, or useful.
        name: what was measured.
        unit: accuracy, loss or gain (difference of accuracies).
        value: the measurement.
        low: lower end of its 95 % interval.
        high: upper end.
        verdict: what follows.
        chance: accuracy of a guess, where there is one.
        skill: (accuracy − chance) / (1 − chance), where there is a chance.
        skill_low: the same of ``low``.
        note: what the measurement looked at.
    """

    requirement: str
    name: str
    unit: str
    value: float
    low: float
    high: float
    verdict: str
    chance: float | None = None
    skill: float | None = None
    skill_low: float | None = None
    note: str = ""


def audit_recipe(recipe: Recipe, options: Options, out: Path | None = None) -> dict:
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
    rows: list[Row] = []
    lines = []
    recipe = dataclasses.replace(recipe, method=pretrain.prepare(recipe.method, sources[0]))
    method = recipe.method.build(recipe.encoder.build(), axis_name=None)
    if method.ask is not None:
        rows, described = _probe_rows(method, sources, options)
        lines.append(_what_was_asked(described))
    else:
        lines.append(_no_question(recipe))
    lines.append("Solvability, controls and usefulness need a trained run: jaxssl audit RUN.")
    subject = {"recipe": record.to_json(recipe), "step": None}
    return _record(rows, lines, options, sources, subject, out)


def audit_run(
    run: str | os.PathLike,
    options: Options,
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
    rows: list[Row] = []
    lines = []
    if trained.method.ask is not None:
        probed, described = _probe_rows(trained.method, sources, options)
        lines.append(_what_was_asked(described))
        chance = _known(probed[0].chance)
        rows += _accuracy_rows(trained, untrained, sources[1], chance, options) + probed
        if "image" in sources[1][0]:
            rows += _control_accuracies(trained, sources[1], chance, _known(rows[0].skill), options)
        else:
            lines.append("Controls are made of images; clips of a video have none.")
        lines.append(_compared(rows))
    else:
        lines.append(_no_question(recipe))
        rows += _loss_rows(trained, untrained, sources[1], options)
    useful, line = _useful_rows(run, encoder, data_path, options)
    rows += useful
    lines.append(line)
    subject = {"recipe": record.to_json(recipe), "step": encoder.meta["step"]}
    return _record(rows, lines, options, sources, subject, out or opened_run.directory.audit)


def _probe_rows(
    method: Method, sources: tuple[data.Source, data.Source], options: Options
) -> tuple[list[Row], questions.Described]:
    """A row for each cue that applies."""
    counts = (options.num_fit, options.num_score)
    fit, score = (
        questions.describe(method, source, count, seed=_seed(options, stream))
        for source, count, stream in zip(sources, counts, (_FIT, _SCORE))
    )
    chance = probes.chance_of(fit.answers, fit.num_answers)
    rows = []
    for name in fit.cues:
        found = probes.probe(
            fit.cues[name],
            fit.answers,
            score.cues[name],
            score.answers,
            chance=chance,
            selects=cues.TABLE[name].selects,
            seed=options.seed,
        )
        verdict = SHORTCUT if probes.is_shortcut(found, options.threshold) else CLEAR
        rows.append(_scored(NO_SHORTCUT, f"cue: {name}", found, verdict, cues.TABLE[name].sentence))
    return rows, score


def _accuracy_rows(
    trained: network.Network,
    untrained: network.Network,
    test: data.Source,
    chance: float,
    options: Options,
) -> list[Row]:
    rows = []
    for name, subject in (("trained network", trained), ("untrained network", untrained)):
        asked = questions.batches(test, options.num_score, seed=_seed(options, _SCORE))
        found = probes.score(subject.right(asked), chance)
        solved = "solvable" if found.skill_low > options.threshold else "not solved"
        verdict = solved if subject is trained else UNJUDGED
        rows.append(_scored(SOLVABLE, name, found, verdict, "held-out images"))
    return rows


def _control_accuracies(
    trained: network.Network, test: data.Source, chance: float, skill: float, options: Options
) -> list[Row]:
    rows = []
    for name, control in controls.TABLE.items():
        asked = questions.batches(
            test, options.num_score, seed=_seed(options, _SCORE), change=control.make
        )
        found = probes.score(trained.right(asked), chance)
        bound = max(options.threshold, control.share * skill)
        verdict = SHORTCUT if found.skill_low > bound else CLEAR
        rows.append(_scored(NO_SHORTCUT, f"control: {name}", found, verdict, control.sentence))
    return rows


def _loss_rows(
    trained: network.Network, untrained: network.Network, test: data.Source, options: Options
) -> list[Row]:
    """Losses on images, and on the controls where there are images to replace."""

    def measure(subject: network.Network, change=None) -> network.Loss:
        asked = questions.batches(
            test, options.num_score, seed=_seed(options, _SCORE), change=change
        )
        return subject.loss(asked, seed=_seed(options, _LOSS))

    after, before = measure(trained), measure(untrained)
    verdict = "solvable" if after.high < before.low else "not solved"
    rows = [
        Row(SOLVABLE, "trained network", "loss", *after, verdict, note="held-out images"),
        Row(SOLVABLE, "untrained network", "loss", *before, UNJUDGED, note="held-out images"),
    ]
    if "image" in test[0]:
        for name, control in controls.TABLE.items():
            found = measure(trained, control.make)
            note = control.sentence
            rows.append(Row(NO_SHORTCUT, f"control: {name}", "loss", *found, UNJUDGED, note=note))
    return rows


def _useful_rows(
    run: Path,
    encoder: checkpoints.RestoredEncoder,
    data_path: str | None,
    options: Options,
) -> tuple[list[Row], str]:
    opened = splits.open_splits(encoder.meta, data_path)
    if not (splits.knows_classes(opened.train) and splits.knows_classes(opened.test)):
        return [], "Usefulness was not measured: not every image of the data set has a label."
    splits.check(opened)
    found = usefulness.read(run, encoder.meta["step"], opened)
    if found is None:
        counts = {"num_train": options.num_fit, "num_test": options.num_score}
        found = usefulness.measure(encoder, opened, **counts)
    rows = []
    for kind, verdicts in (
        ("random", ("useful", "not useful")),
        ("pixels", ("better than pixels", "not better than pixels")),
    ):
        own, other = found.accuracies["trained"], found.accuracies[kind]
        difference = usefulness.gain(own, other)
        verdict = verdicts[0] if difference.low > 0 else verdicts[1]
        note = f"{100 * own.value:.1f} % against {100 * other.value:.1f} %"
        rows.append(
            Row(USEFUL, f"linear: trained over {kind}", "gain", *difference, verdict, note=note)
        )
    return rows, f"Linear accuracies from {found.origin}."


def _record(
    rows: list[Row],
    lines: list[str],
    options: Options,
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
        "shortcuts": [row.name for row in rows if row.verdict == SHORTCUT],
    }
    if out is None:
        stamp = protocol.stamp(described)
        return {"stamp": stamp, "protocol": described, "subject": subject, "results": results}
    return protocol.write(Path(out) / FILE, protocol=described, subject=subject, results=results)


def _scored(requirement: str, name: str, found: probes.Score, verdict: str, note: str) -> Row:
    return Row(
        requirement,
        name,
        "accuracy",
        found.accuracy,
        found.low,
        found.high,
        verdict,
        chance=found.chance,
        skill=found.skill,
        skill_low=found.skill_low,
        note=note,
    )


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


def _known(value: float | None) -> float:
    """Chance or skill of a row about a question, which has both."""
    assert value is not None
    return value


def _compared(rows: list[Row]) -> str:
    """How far the best cue comes, measured by the network."""
    best = max(
        (row for row in rows if row.name.startswith("cue: ")), key=lambda row: _known(row.skill)
    )
    own = _known(rows[0].skill)
    if own <= 0:
        return "The network answers no better than chance."
    share = max(0.0, _known(best.skill)) / own
    return f"The strongest {best.name} alone reaches {100 * share:.0f} % of the network's skill."


def _splits(recipe: Recipe) -> tuple[data.Source, data.Source]:
    opened = splits.choose(recipe.data)
    splits.check_disjoint(opened)
    return opened.train, opened.test


def _seed(options: Options, stream: int) -> int:
    """A seed for each stream of keys, so that none repeats another's."""
    return 1000 * options.seed + stream
