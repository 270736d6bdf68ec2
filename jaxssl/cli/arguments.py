"""From the words of a command line to typed values: tyro parses, errors come back as one line."""

import contextlib
import io
import os
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Annotated, Any, TypeVar

import tyro

from jaxssl.cli import option_names, short_help
from jaxssl.cli.option_names import UsageError

T = TypeVar("T")

RunPath = Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]
ALL = "--help-all"
# Of those that run a recipe, whose fields are options: what everybody sets, in the order of help.
USUAL = (
    "out", "data.path", "data.image-size", "data.channels", "training.batch-size",
    "training.epochs", "training.seed", "optimizer.base-learning-rate", "optimizer.weight-decay",
    "encoder", "fraction", "per-class", "init-from", "encoder-weights", "run.log-every",
    "run.checkpoint-every", "run.tensorboard", "num-processes",
)  # fmt: skip


def parse(
    cls: type[T],
    words: Sequence[str],
    *,
    prog: str,
    default: T | None = None,
    usual: Sequence[str] = (),
) -> T:
    """Parses a command line into a dataclass.

    Args:
        cls: the dataclass; fields become options, nested ones with a dotted name.
        words: the command line after the command's name.
        prog: the command's name, for the help text.
        default: where options that are not given take their values; its class's defaults if None.
        usual: the options that --help shows, where those are not all; --help-all shows them.

    Returns:
        An instance of ``cls``.

    Raises:
        UsageError: an option that does not exist (names the nearest), a value that does not fit,
            or an option that nothing uses beside the others: a dataclass may have ``unused()``,
            which maps such fields to what would use them.
        SystemExit: help was asked for, and printed.
    """
    if not {"-h", "--help", ALL}.isdisjoint(words):
        _help(cls, prog=prog, default=default, usual=() if ALL in words else usual)
    # A script for shells to complete the options, which is tyro's own.
    if not any(word.startswith("--tyro-") for word in words):
        option_names.check_known(words, option_names.of(cls, default))
    text = io.StringIO()
    try:
        with contextlib.redirect_stderr(text), _columns("100000"):
            made = _parsed(cls, words, prog=prog, default=default)
    except SystemExit as exit_:
        if exit_.code in (0, None):
            raise
        raise UsageError(f"{prog}: {_first_paragraph(text.getvalue())}") from None
    option_names.check_used(made, cls, option_names.typed(words))
    return made


def bound(cls: type[T], *parts: object) -> type[T]:
    """A generic dataclass of the classes of its parts, so that their fields are options."""
    generic: Any = cls
    return generic[tuple(map(type, parts))]


def _help(cls: type, *, prog: str, default: object, usual: Sequence[str]) -> None:
    """Prints the usual options, or all where there are no such, and ends the command."""
    if not usual:
        with _columns(os.environ.get("COLUMNS") or "100"):
            _parsed(cls, ["--help"], prog=prog, default=default)
    text = io.StringIO()
    with contextlib.redirect_stdout(text), contextlib.suppress(SystemExit), _columns("100"):
        _parsed(cls, ["--help"], prog=prog, default=default)
    print(short_help.show(prog, short_help.entries(text.getvalue()), usual))
    raise SystemExit(0)


def _parsed(cls: type[T], words: Sequence[str], *, prog: str, default: T | None) -> T:
    # Whether an optional part is there is the default's to say, not a subcommand's.
    config = (tyro.conf.AvoidSubcommands,)
    made: Any = tyro.cli(cls, args=list(words), prog=prog, default=default, config=config)
    return made


@contextlib.contextmanager
def _columns(number: str) -> Iterator[None]:
    """Lines of so many characters, which tyro takes from the environment."""
    before = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = number
    try:
        yield
    finally:
        os.environ.pop("COLUMNS")
        if before is not None:
            os.environ["COLUMNS"] = before


def _first_paragraph(text: str) -> str:
    """The message inside tyro's box: without the frame, its title and the help that follows."""
    lines = [line.strip(" │") for line in text.splitlines() if line.startswith("│")]
    message = []
    for line in lines:
        if re.fullmatch("─+", line):
            break
        message.append(line)
    return " ".join(message) if message else " ".join(text.split())
