"""The sha256 manifest of a step: written when Orbax has committed it, verified before it is read.

A step counts only once its manifest is there.
"""

import hashlib
import json
import os
import re
from pathlib import Path, PurePosixPath

from jaxssl import files, jsonable
from jaxssl.runs.directory import RunDirectory

MANIFEST = "manifest.json"


class CheckpointError(ValueError):
    """A checkpoint that is missing, damaged, or of something else than was asked for."""


def complete_steps(directory: str | os.PathLike) -> list[int]:
    """The steps of a run that can be restored, ascending; none where there is no run."""
    return sorted(list_steps(locate(Path(directory), create=False)))


def locate(directory: Path, *, create: bool) -> Path:
    """The ``checkpoints`` directory of a run, whichever of the two is given."""
    directory = directory.absolute()
    below = RunDirectory(directory).checkpoints
    if directory.name != below.name:
        directory = below
    if create:
        files.make_directory(directory)
    return directory


def find_step(caller: str, directory: str | os.PathLike, step: int | None) -> Path:
    """The directory of a complete step, the newest by default."""
    root = locate(Path(directory), create=False)
    steps = list_steps(root)
    if not steps:
        raise CheckpointError(
            f"{caller}: the directory must hold a complete checkpoint; got none in "
            f"{os.fspath(directory)}. Is it the --out directory of a run that has saved?"
        )
    step = max(steps) if step is None else step
    if step not in steps:
        raise CheckpointError(
            f"{caller}: step must be one of {', '.join(map(str, sorted(steps)))}; got {step}."
        )
    return root / str(step)


def list_steps(root: Path) -> list[int]:
    """The steps with a manifest below a ``checkpoints`` directory, in any order."""
    names = [path.parent.name for path in root.glob(f"*/{MANIFEST}")]
    return [int(name) for name in names if re.fullmatch("0|[1-9][0-9]*", name)]


def write(step_directory: Path) -> None:
    """Writes the sha256 of every file of a committed step, by its path inside the step.

    The files are on the disk before: not even a loss of power leaves a step that counts, and is
    damaged.
    """
    files.sync_tree(step_directory)
    sums = {
        path.relative_to(step_directory).as_posix(): _sha256(path)
        for path in sorted(step_directory.rglob("*"))
        if path.is_file()
    }
    files.write_whole(step_directory / MANIFEST, json.dumps(sums, indent=1))


def remove(step_directory: Path) -> None:
    """Removes the manifest of a step, which counts no more from then on."""
    (step_directory / MANIFEST).unlink()
    files.sync(step_directory)


def verify(step_directory: Path, items: tuple[str, ...]) -> None:
    """Raises CheckpointError naming the first file of these items that is missing or changed.

    The few small files that belong to no item are always looked at. What the manifest does not name
    is not to be trusted: each item must have files in it, and the item no others.
    """
    way_out = f"Delete {step_directory} to fall back to an earlier step."
    path = step_directory / MANIFEST
    try:
        sums = jsonable.parse(path.read_bytes(), MANIFEST)
    except ValueError as error:
        raise CheckpointError(f"checkpoint {path} is damaged: it is no JSON. {way_out}") from error
    if not _is_manifest(sums):
        raise CheckpointError(
            f"checkpoint {path} is damaged: it must name files of its step and their sha256. "
            f"{way_out}"
        )
    for item in items:
        found = {each for each in (step_directory / item).rglob("*") if each.is_file()}
        named = {step_directory / name for name in sums if name.startswith(f"{item}/")}
        unnamed = sorted(found - named) or ([] if named else [step_directory / item])
        if unnamed:
            raise CheckpointError(
                f"checkpoint {path} is damaged: it does not name {unnamed[0]}. {way_out}"
            )
    for name, expected in sums.items():
        item, _, inside = name.partition("/")
        if inside and item not in items:
            continue
        path = step_directory / name
        if not path.is_file() or _sha256(path) != expected:
            state = (
                "is damaged: its sha256 is not the manifest's" if path.is_file() else "is missing"
            )
            raise CheckpointError(f"checkpoint {path} {state}. {way_out}")


def fingerprint(directory: str | os.PathLike, step: int) -> str:
    """sha256 that tells the encoder of a step from any other, without reading an array.

    Args:
        directory: a run directory, or the ``checkpoints`` directory inside it.
        step: one that is complete.

    Raises:
        CheckpointError: no such step, or a damaged one.
    """
    path = find_step("fingerprint", directory, step)
    verify(path, ())
    sums = jsonable.parse((path / MANIFEST).read_bytes(), MANIFEST)
    own = {name: each for name, each in sums.items() if name.startswith("encoder/")}
    return hashlib.sha256(json.dumps(own, sort_keys=True).encode()).hexdigest()


def _is_manifest(sums: object) -> bool:
    """Whether this maps paths inside of a step, as ``write`` spells them, to sums."""
    return isinstance(sums, dict) and all(
        isinstance(expected, str)
        and not PurePosixPath(name).is_absolute()
        and ".." not in PurePosixPath(name).parts
        for name, expected in sums.items()
    )


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
