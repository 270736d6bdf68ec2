"""What stands behind a number: the protocol that a result file carries, its stamp and place."""

import hashlib
import json
import os
import re
from collections.abc import Mapping
from pathlib import Path
from typing import NotRequired, TypedDict

import numpy as np

from jaxssl import files, jsonable
from jaxssl.evaluation import correctness
from jaxssl.runs.directory import RunDirectory


class Protocol(TypedDict):
    """What every protocol says, beside what its evaluator does."""

    evaluator: str
    dataset: str
    train_split: str
    test_split: str
    layer: str


class Subject(TypedDict):
    """What was measured."""

    encoder: str
    step: int


class Result(TypedDict):
    """A result file.

    ``correct`` is the sha256 of the file beside it that tells which test examples were predicted
    right (``correctness``), where there is one.
    """

    stamp: str
    protocol: Protocol
    subject: Subject
    results: dict
    correct: NotRequired[str]


def stamp(protocol: Mapping) -> str:
    """Sixteen hexadecimal digits that change with any entry of a protocol.

    Two accuracies may be compared where their stamps agree; what differs between them (the encoder,
    its checkpoint) stands outside the protocol.
    """
    canonical = json.dumps(protocol, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()[:16]


def path(run: str | os.PathLike, protocol: Mapping, subject: Mapping) -> Path:
    """Where a result is written: another step, data set, split, encoder, seed or layer, elsewhere.

    RUN/evaluation/step-STEP/DATASET/EVALUATOR-ENCODER.json, DATASET followed by the splits where
    they are not train and test, and the file's name by "-seed1" (the random encoder's weights),
    "-holdout1" (another part held out), and the layer where it is not the pooled one.

    Args:
        run: run directory.
        protocol: of the result, with "evaluator".
        subject: of the result.
    """
    dataset = _slug(protocol["dataset"])
    if (protocol["train_split"], protocol["test_split"]) != ("train", "test"):
        dataset += f"-{_slug(protocol['train_split'])}-{_slug(protocol['test_split'])}"
    name = f"{protocol['evaluator']}-{subject['encoder']}"
    if "weights_seed" in subject:
        name += f"-seed{subject['weights_seed']}"
    if protocol["seed"]:
        name += f"-holdout{protocol['seed']}"
    if protocol["layer"] != "pooled":
        name += "-" + _slug(protocol["layer"])
    return RunDirectory(Path(run)).evaluation / f"step-{subject['step']}" / dataset / f"{name}.json"


def read(run: str | os.PathLike, step: int) -> list[dict]:
    """The results of one step of a run, by the names of their files.

    Raises:
        ValueError: a file that is no result; names it and the field.
    """
    found = sorted(RunDirectory(Path(run)).evaluation.glob(f"step-{step}/*/*.json"))
    return [_read(file) for file in found]


def newest_step(run: str | os.PathLike) -> int | None:
    """The newest step of a run that anything was measured of; None where nothing was."""
    found = RunDirectory(Path(run)).evaluation.glob("step-*/*/*.json")
    steps = {file.parts[-3].removeprefix("step-") for file in found}
    return max((int(step) for step in steps if step.isdecimal()), default=None)


def write(
    file: str | os.PathLike,
    *,
    protocol: Mapping,
    subject: Mapping,
    results: Mapping,
    correct: Mapping[str, np.ndarray] | None = None,
) -> dict:
    """Writes one result file, whole or not at all.

    Args:
        file: where it is written.
        protocol: everything that must agree for two results to be comparable.
        subject: what was measured: encoder, checkpoint, versions.
        results: the numbers.
        correct: whether each test example was predicted right, for a file beside the result; see
            ``correctness.save``.

    Returns:
        What was written: protocol, its stamp, subject and results.
    """
    record = {
        "stamp": stamp(protocol),
        "protocol": dict(protocol),
        "subject": dict(subject),
        "results": dict(results),
    }
    file = Path(file)
    file.parent.mkdir(parents=True, exist_ok=True)
    if correct is not None:
        record["correct"] = correctness.save(file, correct)
    files.write_whole(file, json.dumps(record, indent=1) + "\n")
    return record


def _read(file: Path) -> dict:
    where = os.fspath(file)
    try:
        return jsonable.read(Result, jsonable.parse(file.read_bytes(), where), where)
    except ValueError as error:
        raise ValueError(f"{error} Delete it, and evaluate again.") from error


def _slug(name: str) -> str:
    """A name as part of a file's: spaces become hyphens, other signs too, which a hash then tells.

    Of an absolute path, the last part.
    """
    short = Path(name).name if Path(name).is_absolute() else name
    slug = re.sub(r"[^A-Za-z0-9.]+", "-", short).strip("-")
    if slug == name.replace(" ", "-"):
        return slug
    return f"{slug}-{hashlib.sha256(name.encode()).hexdigest()[:6]}"
