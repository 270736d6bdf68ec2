"""Golden curves: what the first steps of a recipe look like where it works, to hold a run against.

A file of ``configs/golden`` has the first rows of one shipped recipe under several seeds. A run of
the same recipe is as it should be where its rows lie within what the luck of the seed leaves:

    mean ± t(0.995; R (S - 1)) · s · sqrt(1 + 1/S),   or 1 % around the mean where that is wider

the 99 % prediction interval of one more seed, with S seeds, R rows, and s² the variance over seeds,
averaged over the rows of a metric: three seeds say too little of it at a single row. Metrics that
are always positive are compared by their logarithms: a rank of 10 may be 5 or 20, but not -5.

Where words of a tokenizer are named, each seed has one of its own, trained as long; so may the run.
"""

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
import scipy.stats

from jaxssl import collapse
from jaxssl.online.watcher import PREFIX as ONLINE
from jaxssl.runs import recipe, recipes_apart
from jaxssl.runs.directory import RunDirectory, read_identity
from jaxssl.training import writers

LEVEL = 0.99
_FLOOR = 0.01  # around the mean: other machines round otherwise
_COMMAND = "python benchmarks/golden.py"


class Golden(NamedTuple):
    """A recorded recipe.

    Attributes:
        recipe: its name.
        about: date and device of the recording, and the version of JAX, in words.
        fields: of the recipe and its data (``recipes_apart.fields_of``), without what is luck of
            the seed.
        seeds: S of them.
        steps: R, of the rows.
        metrics: by name, [S, R].
    """

    recipe: str
    about: str
    fields: dict[str, object]
    seeds: tuple[int, ...]
    steps: tuple[int, ...]
    metrics: dict[str, np.ndarray]


class Point(NamedTuple):
    """One metric of one row beside what was recorded.

    Attributes:
        metric: its name.
        step: of the row.
        value: of the run.
        mean: of the recorded seeds; of positive metrics the geometric one.
        low: the lower end of the interval that the run should lie in.
        high: the upper one.
    """

    metric: str
    step: int
    value: float
    mean: float
    low: float
    high: float

    @property
    def is_inside(self) -> bool:
        """Whether it does; what is not a number does not."""
        return self.low <= self.value <= self.high


class Verdict(NamedTuple):
    """A run beside a golden curve.

    Attributes:
        golden: the recipe's.
        points: every metric at every step that both have, metric by metric.
        differing: fields of the recipe in which the run is another.
    """

    golden: Golden
    points: tuple[Point, ...]
    differing: tuple[str, ...]

    @property
    def outside(self) -> tuple[Point, ...]:
        """The points that do not lie where they should."""
        return tuple(point for point in self.points if not point.is_inside)


def folder() -> Path:
    """Where the files are."""
    return recipe.shipped_directory() / "golden"


def to_json(name: str, runs: Sequence[str | os.PathLike], about: Mapping[str, object]) -> dict:
    """What a file holds: the rows that all runs of a recipe have.

    Args:
        name: of the recipe.
        runs: directories, a seed each.
        about: "date", "device" and "versions" of the recording.
    """
    recorded = recipes_apart.read(runs)
    rows = [{row["step"]: row for row in _rows(run.path)} for run in recorded]
    steps = sorted(set.intersection(*map(set, rows)))
    names = [each for each in rows[0][steps[-1]] if _is_told(each)]
    identities = [_placed(read_identity(RunDirectory(run.path)) or {}) for run in recorded]
    tokenizers = [each["config"].get("tokenizer") for each in identities]
    command = f"{_COMMAND} --recipes {name} --steps {steps[-1]}"
    if not any(each.startswith(ONLINE) for each in names):
        command += " --no-probe"
    if all(tokenizers):
        command += f" --tokenizers {' '.join(each['run'] for each in tokenizers)}"
    return {
        "recipe": name,
        "command": command,
        **about,
        "identity": identities[0],
        "seeds": [run.seed for run in recorded],
        "steps": steps,
        # What is not in every row, such as accuracies of neighbours, has gaps.
        "metrics": {
            each: [[own[step].get(each) for step in steps] for own in rows] for each in names
        },
    }


def read(path: Path) -> Golden:
    """Reads a file.

    Raises:
        ValueError: it is damaged.
    """
    try:
        found = json.loads(path.read_text())
        fields = recipes_apart.fields_of(found["identity"])
        told = {name: np.array(rows, np.float64) for name, rows in found["metrics"].items()}
        shape = (len(found["seeds"]), len(found["steps"]))
        if len(found["seeds"]) < 2 or any(rows.shape != shape for rows in told.values()):
            raise ValueError(f"needs two seeds at least, and {shape} numbers of every metric")
        about = f"{found['date']}, jax {found['versions']['jax']}, {found['device']}"
        return Golden(
            found["recipe"],
            about,
            _unseeded(fields),
            tuple(found["seeds"]),
            tuple(found["steps"]),
            told,
        )
    except (KeyError, TypeError, ValueError) as error:
        raise ValueError(
            f"compare --golden: {path} must be a golden curve; got {error}. Record it anew: "
            f"{_COMMAND} --recipes {path.stem}."
        ) from error


def judge(run: str | os.PathLike, *, across_protocols: bool = False) -> Verdict:
    """Holds a run against the golden curve of its recipe.

    Args:
        run: its directory; a few rows are enough.
        across_protocols: whether the recipe may differ from the recorded one.

    Raises:
        ValueError: no run, none of its method recorded, another recipe, or no row of a step that
            was recorded.
    """
    (recorded,) = recipes_apart.read([run])
    fields = _unseeded(recorded.fields)
    golden, differing = _nearest(recorded.label, fields)
    if differing and not across_protocols:
        raise ValueError(
            f"compare --golden: the run must be of a recorded recipe; {recorded.label} is nearest "
            f"to {golden.recipe} and differs from it in {', '.join(differing)}. Compare them all "
            "the same: --across-protocols."
        )
    points = []
    rows = {row["step"]: row for row in _rows(recorded.path)}
    for name, values in golden.metrics.items():
        for step, *interval in zip(golden.steps, *_intervals(values), strict=True):
            value = rows.get(step, {}).get(name)
            if value is not None and not np.isnan(interval).any():
                points.append(Point(name, step, float(value), *map(float, interval)))
    if not points:
        raise ValueError(
            f"compare --golden: the run must have rows of the steps {golden.steps[0]} to "
            f"{golden.steps[-1]} that were recorded; {recorded.label} has none of them. Train on, "
            f"with --run.log-every {golden.steps[0]}."
        )
    return Verdict(golden, tuple(points), differing)


def _nearest(label: str, fields: Mapping) -> tuple[Golden, tuple[str, ...]]:
    """The golden curve that differs in the fewest fields, and those."""
    found = [read(path) for path in sorted(folder().glob("*.json"))]
    same = [each for each in found if each.fields.get("method") == fields["method"]]
    if not same:
        names = ", ".join(each.recipe for each in found) or "no recipe"
        raise ValueError(
            f"compare --golden: the method must be one that was recorded; {label} is of "
            f"{fields['method']}, and there are curves of {names}. Record one from a checkout: "
            f"{_COMMAND} --recipes RECIPE."
        )
    beside = ((each, _differing(each.fields, fields)) for each in same)
    return min(beside, key=lambda each: len(each[1]))


def _differing(ours: Mapping, theirs: Mapping) -> tuple[str, ...]:
    names = dict.fromkeys((*ours, *theirs))
    return tuple(name for name in names if ours.get(name) != theirs.get(name))


def _unseeded(fields: Mapping) -> dict[str, object]:
    """The fields without the seed, and without the weights that a tokenizer got by its own."""
    luck = (recipes_apart.SEED, "tokenizer.sha256")
    return {name: each for name, each in fields.items() if name not in luck}


def _placed(identity: dict) -> dict:
    """What defines a run, with its tokenizer where others would have it, not on this machine."""
    tokenizer = identity["config"].get("tokenizer")
    if tokenizer is None:
        return identity
    placed = {**tokenizer, "run": f"runs/{Path(tokenizer['run']).name}"}
    return {**identity, "config": {**identity["config"], "tokenizer": placed}}


def _intervals(values: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Means [R] of [S, R] values and both ends of the intervals of one more seed; NaN in gaps."""
    told = values[~np.isnan(values)]
    is_positive = bool(np.all(told > 0))
    scaled = np.log(values) if is_positive else values
    seeds = len(values)
    variances = scaled.var(axis=0, ddof=1)
    is_whole = ~np.isnan(variances)
    spread = math.sqrt(variances[is_whole].mean()) if is_whole.any() else math.nan
    quantile = scipy.stats.t.ppf((1 + LEVEL) / 2, max(is_whole.sum(), 1) * (seeds - 1))
    mean = scaled.mean(axis=0)
    half_width = quantile * spread * math.sqrt(1 + 1 / seeds)
    ends = (mean, mean - half_width, mean + half_width)
    mean, low, high = map(np.exp, ends) if is_positive else ends
    floor = _FLOOR * np.abs(mean)
    return mean, np.minimum(low, mean - floor), np.maximum(high, mean + floor)


def _is_told(name: str) -> bool:
    """Whether a metric is recorded: the loss, how far there is a collapse, online accuracies."""
    return name == "loss" or name.startswith((collapse.PREFIX, ONLINE))


def _rows(run: Path) -> list[dict]:
    path = RunDirectory(run).metrics
    return writers.read(path) if path.exists() else []
