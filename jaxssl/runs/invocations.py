"""What a run was called with, when and on what: a line each time it begins or goes on.

Nothing of it changes a number of the run, so it is no part of its identity nor of its checkpoints.
"""

import datetime
import json
import shlex
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import NotRequired, TypedDict

import jax

import jaxssl
from jaxssl import jsonable
from jaxssl.runs.directory import RunDirectory

_STARTERS = ("jaxssl", "__main__.py")  # of the command line: the script, python -m jaxssl


class Invocation(TypedDict):
    """One of them.

    Attributes:
        date: in UTC, ISO 8601, to the second.
        command: as it would be typed; of another program that called jaxssl, that.
        device: what computes, such as "cpu" or "NVIDIA H100 80GB HBM3".
        num_devices: how many of them.
        versions: of jaxssl, jax and python.
        commit: of the checkout of jaxssl, with "+" where files differ from it; where it is one.
    """

    date: str
    command: str
    device: str
    num_devices: int
    versions: dict[str, str]
    commit: NotRequired[str]


def note(directory: RunDirectory) -> None:
    """Adds the call of this process, on the first of several."""
    if jax.process_index() > 0:
        return
    python = ".".join(map(str, sys.version_info[:3]))
    said = {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "command": _command(sys.argv),
        "device": jax.devices()[0].device_kind,
        "num_devices": jax.device_count(),
        "versions": {"jaxssl": jaxssl.__version__, "jax": jax.__version__, "python": python},
    }
    if commit := _commit(Path(jaxssl.__file__).parents[1]):
        said["commit"] = commit
    with directory.invocations.open("a") as file:
        file.write(json.dumps(said) + "\n")


def read(directory: RunDirectory) -> list[Invocation]:
    """All of them, the first one first; what is damaged is passed over."""
    if not directory.invocations.exists():
        return []
    found = []
    for line in directory.invocations.read_bytes().splitlines():
        try:
            found.append(jsonable.read(Invocation, jsonable.parse(line, "line"), "line"))
        except ValueError:
            continue
    return found


def _command(words: Sequence[str]) -> str:
    program, *others = words
    return shlex.join(["jaxssl" if Path(program).name in _STARTERS else program, *others])


def _commit(checkout: Path) -> str | None:
    """The commit that a directory is at; None where it is no checkout, or git is not there."""
    if not (checkout / ".git").exists():
        return None
    git = ("git", "-C", str(checkout))
    try:
        head = subprocess.run(
            (*git, "rev-parse", "--short=12", "HEAD"), capture_output=True, check=True, text=True
        )
        changed = subprocess.run(
            (*git, "status", "--porcelain", "-uno"), capture_output=True, check=True, text=True
        )
    except (OSError, subprocess.CalledProcessError):
        return None
    return head.stdout.strip() + ("+" if changed.stdout else "")
