"""What an audit measures, and the verdict on each: a row for every cue, control and network."""

import dataclasses
from pathlib import Path

from jaxssl import checkpoints, checks, data
from jaxssl.audit import controls, cues, network, probes, questions, usefulness
from jaxssl.evaluation import splits
from jaxssl.types import Method

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


def of_cues(
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


def of_accuracy(
    trained: network.Network,
    untrained: network.Network,
    test: data.Source,
    chance: float,
    options: Options,
) -> list[Row]:
    """How often either network is right about held-out images."""
    rows = []
    for name, subject in (("trained network", trained), ("untrained network", untrained)):
        asked = questions.batches(test, options.num_score, seed=_seed(options, _SCORE))
        found = probes.score(subject.right(asked), chance)
        solved = "solvable" if found.skill_low > options.threshold else "not solved"
        verdict = solved if subject is trained else UNJUDGED
        rows.append(_scored(SOLVABLE, name, found, verdict, "held-out images"))
    return rows


def of_controls(
    trained: network.Network, test: data.Source, chance: float, skill: float, options: Options
) -> list[Row]:
    """How often the trained network is right about each control."""
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


def of_loss(
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


def of_usefulness(
    run: Path,
    encoder: checkpoints.RestoredEncoder,
    data_path: str | None,
    options: Options,
) -> tuple[list[Row], str]:
    """What a linear probe of the encoder gains over baselines, and where that was read."""
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


def known(value: float | None) -> float:
    """Chance or skill of a row about a question, which has both."""
    assert value is not None
    return value


def _seed(options: Options, stream: int) -> int:
    """A seed for each stream of keys, so that none repeats another's."""
    return 1000 * options.seed + stream
