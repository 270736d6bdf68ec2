"""Where the recipes of several runs differ, and which are one recipe of several seeds."""

import dataclasses
import itertools
import os
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jaxssl import named
from jaxssl.runs import record
from jaxssl.runs.directory import RunDirectory, read_identity

MISSING = "-"  # of a field that a recipe does not have
SEED = "training.seed"
_DATA = "dataset.fingerprint"
_MAX_LENGTH = 40  # of a value that is shown


@dataclasses.dataclass(frozen=True, eq=False)
class Recorded:
    """A run as its directory tells it.

    Attributes:
        path: of the directory.
        label: what it is called beside the others.
        fields: of its recipe and its data, by dotted names, as far as they change a number; classes
            stand under the name of their part.
        dataset: what it calls its data set.
    """

    path: Path
    label: str
    fields: dict[str, Any]
    dataset: str

    @property
    def seed(self) -> int:
        """Of pretraining."""
        return self.fields[SEED]


def read(runs: Sequence[str | os.PathLike]) -> list[Recorded]:
    """The recipes of runs.

    Args:
        runs: directories, each once.

    Raises:
        ValueError: a directory that is no run, or that comes twice.
    """
    paths = [Path(run) for run in runs]
    whole = [path.resolve() for path in paths]
    for number, path in enumerate(paths):
        if whole.index(whole[number]) < number:
            raise ValueError(f"compare: RUN must be different runs; got {path} twice.")
    names = [path.name for path in whole]
    found = []
    for path, name in zip(paths, names, strict=True):
        identity = read_identity(RunDirectory(path))
        if identity is None:
            raise ValueError(
                f"compare: RUN must be the directory of a run; got {path}, which has no "
                f"{RunDirectory(path).config.name} of one. Name what jaxssl pretrain had as --out."
            )
        label = name if names.count(name) == 1 else os.fspath(path)
        found.append(Recorded(path, label, fields_of(identity), identity["dataset"]["name"]))
    return found


def fields_of(identity: Mapping) -> dict[str, object]:
    """Fields of a recipe and its data by dotted names, as far as they change a number.

    Args:
        identity: as config.json holds it.
    """
    config = record.complete(identity["config"], identity["config"])
    defining = record.without_run(config) | {"dataset": identity["dataset"]}
    return dict(_flat(record.without_place(defining)))


def group(runs: Sequence[Recorded]) -> list[list[Recorded]]:
    """Runs of one recipe together, as long as their seeds differ, in the order of the first."""
    groups: list[list[Recorded]] = []
    for run in runs:
        for own in groups:
            if _unseeded(own[0]) == _unseeded(run) and run.seed not in {each.seed for each in own}:
                own.append(run)
                break
        else:
            groups.append([run])
    return groups


def title(group: Sequence[Recorded]) -> str:
    """What a group is called: what the labels of its runs begin with, or the first one."""
    if len(group) == 1:
        return group[0].label
    columns = zip(*(run.label for run in group))
    same = itertools.takewhile(lambda letters: len(set(letters)) == 1, columns)
    shared = "".join(letter for letter, *_ in same).rstrip("-_. /")
    return shared or f"{group[0].label} and {len(group) - 1} more"


def differing(groups: Sequence[Sequence[Recorded]]) -> list[tuple[str, tuple[str, ...]]]:
    """Names of the fields that differ between groups, each with what it is of every group.

    Below a part whose class differs only fields that all groups have are listed.
    """
    firsts = [own[0] for own in groups]
    names = list(dict.fromkeys(name for run in firsts for name in run.fields))
    apart = {
        name: [run.fields.get(name, MISSING) for run in firsts]
        for name in names
        if name != SEED and len({repr(run.fields.get(name, MISSING)) for run in firsts}) > 1
    }
    parts = tuple(f"{name}." for name in apart)
    rows = []
    for name, values in apart.items():
        if name == _DATA:
            rows.append(
                ("data set", tuple(f"{run.dataset}, {run.fields[_DATA][:8]}" for run in firsts))
            )
        elif not (name.startswith(parts) and MISSING in values):
            rows.append((name, tuple(map(shown, values))))
    return rows


def shown(value: object) -> str:
    """A value of a field as a cell of a table, not too long."""
    if value is None:
        return "none"
    if isinstance(value, Sequence) and not isinstance(value, str):
        value = " ".join(map(shown, value))
    text = f"{value:g}" if isinstance(value, float) else str(value)
    return text if len(text) <= _MAX_LENGTH else f"{text[: _MAX_LENGTH - 1]}…"


def _unseeded(run: Recorded) -> dict[str, object]:
    return {name: value for name, value in run.fields.items() if name != SEED}


def _flat(entry: Mapping, prefix: str = "") -> Iterator[tuple[str, object]]:
    """Dotted names and values; of a class its short name, and its fields below that."""
    for name, value in entry.items():
        if isinstance(value, Mapping) and value.keys() == {"name", "fields"}:
            yield prefix + name, named.short(value["name"])
            value = value["fields"]
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value
