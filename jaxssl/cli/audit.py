"""``audit CONFIG_OR_RUN``: is the pretext task solvable, free of shortcuts, and useful?"""

import dataclasses
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Generic

import tyro

from jaxssl.audit import audit, measured, picture, table
from jaxssl.cli import arguments, console, view_sizes
from jaxssl.runs import recipe
from jaxssl.runs.directory import RunDirectory
from jaxssl.runs.recipe import D, E, M


@dataclasses.dataclass(frozen=True)
class AuditRun:
    """Audits a run: is its pretext task solvable, by no shortcut, and useful?

    Attributes:
        run: run directory.
        step: checkpoint; the newest by default.
        data_path: where the data set is, if not where pretraining found it.
        out: directory for audit.json and audit.png; RUN/audit by default.
        strict: exit status 1 where a shortcut is found.
        options: how much is measured, and what counts.
    """

    run: arguments.RunPath
    step: int | None = None
    data_path: str | None = None
    out: Path | None = None
    strict: bool = False
    options: Annotated[measured.Options, tyro.conf.arg(name="")] = measured.Options()


@dataclasses.dataclass(frozen=True)
class AuditConfig(Generic[M, E, D]):
    """Audits a recipe before it is trained: what do cheap cues know of the answers?

    Attributes:
        recipe: whose questions are asked.
        out: directory for audit.json and audit.png; nothing is written without one.
        strict: exit status 1 where a shortcut is found.
        options: how much is measured, and what counts.
    """

    recipe: Annotated[recipe.Recipe[M, E, D], tyro.conf.arg(name="")]
    out: Path | None = None
    strict: bool = False
    options: Annotated[measured.Options, tyro.conf.arg(name="")] = measured.Options()


def run(words: Sequence[str]) -> int:
    """``jaxssl audit CONFIG_OR_RUN``; a directory is a run, everything else a config."""
    if words and words[0] in ("-h", "--help", arguments.ALL):
        words = ["simclr_fashion_mnist", *words]
    if not words or words[0].startswith("-"):
        raise arguments.UsageError("audit: must be followed by a config or a run directory.")
    name, *overrides = words
    out: Path | None
    if Path(name).is_dir():
        of_run = arguments.parse(AuditRun, words, prog="jaxssl audit")
        record = audit.audit_run(
            of_run.run,
            of_run.options,
            step=of_run.step,
            data_path=of_run.data_path,
            out=of_run.out,
        )
        out, strict = of_run.out or RunDirectory(of_run.run).audit, of_run.strict
    else:
        default = recipe.load(name)
        sizes = view_sizes.following(default, overrides)
        options = arguments.parse(
            arguments.bound(AuditConfig, default.method, default.encoder, default.data),
            [*overrides, *sizes],
            prog=f"jaxssl audit {name}",
            default=AuditConfig(recipe=default),
        )
        out, strict = options.out, options.strict
        if sizes:
            print(view_sizes.describe(sizes, overrides))
        record = audit.audit_recipe(options.recipe, options.options, out)
    table.show(record, console.literal())
    if out is not None:
        print(out / audit.FILE)
        if path := picture.draw(record, out / picture.FILE):
            print(path)
    return int(strict and bool(record["results"]["shortcuts"]))
