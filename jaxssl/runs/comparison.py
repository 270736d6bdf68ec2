"""Runs side by side: where their recipes differ, what each learned, and whether it is more."""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from jaxssl.evaluation import correctness, headlines, paired, protocol
from jaxssl.runs import recipes_apart, record
from jaxssl.runs.recipes_apart import Recorded

ENCODER = "trained"


class Cell(NamedTuple):
    """What the runs of a group have of one measurement.

    Attributes:
        accuracies: in [0, 1], of each run.
        half_width: of the 95 % interval of a single run; None of several, or where there is none.
        notes: layers, and what else there is to say.
        correct: [N] booleans of the test examples, or how often each was predicted right, over
            seeds and draws; None where that was not kept.
    """

    accuracies: tuple[float, ...]
    half_width: float | None
    notes: tuple[str, ...]
    correct: np.ndarray | None


class Row(NamedTuple):
    """One measurement of every group.

    Attributes:
        name: what was measured.
        cells: of each group; None where it was not measured.
        differences: of each group to the first; None of the first, and where there is none.
    """

    name: str
    cells: tuple[Cell | None, ...]
    differences: tuple[paired.Difference | None, ...]


class Comparison(NamedTuple):
    """Runs side by side.

    Attributes:
        groups: runs of one recipe and several seeds, or single ones.
        fields: of recipes that differ, each with what it is of every group.
        rows: measurements.
        notes: sentences on what must be known of them.
    """

    groups: tuple[tuple[Recorded, ...], ...]
    fields: tuple[tuple[str, tuple[str, ...]], ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]


class _Found(NamedTuple):
    """A headline of a run, and the result that it is of."""

    headline: headlines.Headline
    record: Mapping
    file: Path


class _Key(NamedTuple):
    """What must agree for two headlines to be of one measurement, apart from their protocols."""

    name: str
    test_images: str
    train_split: str
    seed: int


def compare(
    runs: Sequence[str | os.PathLike], *, across_protocols: bool = False, seed: int = 0
) -> Comparison:
    """Puts the results of trained encoders side by side, each run's of its newest evaluated step.

    Runs of one recipe that differ in their seed alone are a group: mean and standard deviation.
    Groups are compared with the first by ``paired.compare``, on the test images, by how often each
    was predicted right over the seeds of the group.

    Args:
        runs: directories, at least two.
        across_protocols: whether results of different protocols may stand side by side.
        seed: of the bootstrap.

    Raises:
        ValueError: fewer than two runs, no run, or a run without results; runs that were judged on
            different test images or by different protocols; a damaged file.
    """
    if len(runs) < 2:
        raise ValueError(
            f"compare: there must be two runs at least; got {len(runs)}. One alone is shown by: "
            "jaxssl report RUN."
        )
    recorded = recipes_apart.read(runs)
    found = {run.path: _read(run.path) for run in recorded}
    shared = _shared_images(found)
    measured = {
        path: {key: each for key, each in own.items() if key.test_images in shared}
        for path, own in found.items()
    }
    groups = tuple(map(tuple, recipes_apart.group(recorded)))
    notes: list[str] = []
    rows = []
    for key in dict.fromkeys(key for own in measured.values() for key in own):
        by_run = {run: measured[run.path][key] for run in recorded if key in measured[run.path]}
        notes += _check_protocols(key, by_run, across_protocols)
        cells = [_cell(group, by_run, notes) for group in groups]
        first = cells[0]
        differences = [None] + [_difference(first, cell, seed) for cell in cells[1:]]
        name = key.name if len(shared) == 1 else f"{key.name}, {_images_of(by_run)}"
        rows.append(Row(name, tuple(cells), tuple(differences)))
    _check_any_shared(rows, groups)
    return Comparison(
        groups, tuple(recipes_apart.differing(groups)), tuple(rows), tuple(dict.fromkeys(notes))
    )


def _read(run: Path) -> dict[_Key, _Found]:
    """The headlines of the trained encoder at the newest step that was evaluated."""
    step = protocol.newest_step(run)
    found = {}
    for result in () if step is None else protocol.read(run, step):
        if result["subject"]["encoder"] != ENCODER:
            continue
        described = result["protocol"]
        file = protocol.path(run, described, result["subject"])
        for headline in headlines.of(result):
            images = described["test_fingerprint"]
            key = _Key(headline.name, images, described["train_split"], described["seed"])
            found[key] = _Found(headline, result, file)
    if not found:
        raise ValueError(
            f"compare: every run must have results; got none of the trained encoder of {run}. "
            f"Measure it first: jaxssl evaluate {run} --encoders trained."
        )
    return found


def _shared_images(found: Mapping[Path, Mapping[_Key, _Found]]) -> set[str]:
    """Fingerprints of the test images that all runs were judged on."""
    shared = set.intersection(*({key.test_images for key in own} for own in found.values()))
    if not shared:
        listed = "; ".join(f"{run}: {_images_of(own)}" for run, own in found.items())
        raise ValueError(
            f"compare: runs must be judged on the same test images; got {listed}. Evaluate one on "
            "the other's: jaxssl evaluate RUN --data-path PATH."
        )
    return shared


def _images_of(found: Mapping[Any, _Found]) -> str:
    """The data sets and splits of some results, in words."""
    said = (
        f"{each.record['protocol']['dataset']} {each.record['protocol']['test_split']} "
        f"({each.record['protocol']['test_fingerprint'][:8]})"
        for each in found.values()
    )
    return ", ".join(dict.fromkeys(said))


def _check_protocols(
    key: _Key, found: Mapping[Recorded, _Found], across_protocols: bool
) -> list[str]:
    """What is to be said of protocols that differ.

    Raises:
        ValueError: they do, and may not.
    """
    (first, one), *others = found.items()
    differing = {}
    for run, other in others:
        ours, theirs = (
            {
                name: value
                for name, value in each.record["protocol"].items()
                if not (each.headline.is_chosen and name == "layer")
            }
            for each in (one, other)
        )
        if fields := record.differing_fields(ours, theirs):
            differing[run.label] = ", ".join(fields)
    if not differing:
        return []
    listed = "; ".join(f"{first.label} and {run} in {said}" for run, said in differing.items())
    if not across_protocols:
        raise ValueError(
            f"compare: runs must be measured by one protocol; that of {key.name} differs between "
            f"{listed}. Evaluate one as the other, or compare them all the same: "
            "--across-protocols."
        )
    return [f"The protocol of {key.name} differs between {listed}."]


def _check_any_shared(rows: Sequence[Row], groups: Sequence[Sequence[Recorded]]) -> None:
    """Refuses groups no two of which have a measurement in common."""
    if len(groups) == 1 or any(sum(cell is not None for cell in row.cells) > 1 for row in rows):
        return
    had = []
    for number, group in enumerate(groups):
        names = ", ".join(row.name for row in rows if row.cells[number] is not None)
        had.append(f"{recipes_apart.title(group)} has {names}")
    raise ValueError(
        f"compare: runs must have a measurement in common; {'; '.join(had)}. Measure all of them: "
        "jaxssl evaluate RUN."
    )


def _cell(
    group: Sequence[Recorded], found: Mapping[Recorded, _Found], notes: list[str]
) -> Cell | None:
    """What a group has of one measurement; adds what must be known of it to the notes."""
    own = {run: found[run] for run in group if run in found}
    if not own:
        return None
    if len(own) < len(group):
        name = next(iter(own.values())).headline.name
        lacking = ", ".join(run.label for run in group if run not in own)
        notes.append(f"{name} is not of all seeds: {lacking} lacks it.")
    answers = [_correct(run, each, notes) for run, each in own.items()]
    correct = None
    known = [each for each in answers if each is not None]
    if len(known) == len(answers):
        correct = known[0] if len(known) == 1 else np.mean(known, axis=0)
    measured = [each.headline for each in own.values()]
    return Cell(
        accuracies=tuple(each.value for each in measured),
        half_width=measured[0].half_width if len(measured) == 1 else None,
        notes=tuple(dict.fromkeys(each.note for each in measured if each.note)),
        correct=correct,
    )


def _correct(run: Recorded, found: _Found, notes: list[str]) -> np.ndarray | None:
    """Whether each test image was predicted right, or how often over draws; None where unknown."""
    headline, result = found.headline, found.record
    if headline.correct is None:
        return None
    if "correct" not in result:
        notes.append(
            f"{run.label}: {headline.name} is of a version that did not keep which test images "
            "were right. Evaluate again for its difference."
        )
        return None
    bits = correctness.read(found.file, result["correct"], result["protocol"]["test_size"])
    answers = bits[headline.correct]
    if answers.ndim == 1:
        return answers
    return answers[0] if len(answers) == 1 else answers.mean(axis=0)


def _difference(first: Cell | None, other: Cell | None, seed: int) -> paired.Difference | None:
    if first is None or other is None or first.correct is None or other.correct is None:
        return None
    return paired.compare(first.correct, other.correct, seed=seed)
