"""From the words of a command line to typed values: tyro parses, errors come back as one line."""

import contextlib
import io
import os
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import tyro

from jaxssl.cli import option_names
from jaxssl.cli.option_names import UsageError

T = TypeVar("T")

RunPath = Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]


def parse(cls: type[T], words: Sequence[str], *, prog: str, default: T | None = None) -> T:
    """Parses a command line into a dataclass.

    Args:
        cls: the dataclass; fields become options, nested ones with a dotted name.
        words: the command line after the command's name.
        prog: the command's name, for the help text.
        default: where options that are not given take their values; its class's defaults if None.

    Returns:
        An instance of ``cls``.

    Raises:
        UsageError: an option that does not exist (names the nearest), a value that does not fit,
            or an option that nothing uses beside the others: a dataclass may have ``unused()``,
            which maps such fields to what would use them.
    """
    asks_for_help = not {"-h", "--help"}.isdisjoint(words)
    if not asks_for_help:
        option_names.check_known(words, option_names.of(cls, default))
    text = io.StringIO()
    columns = os.environ.get("COLUMNS")
    os.environ["COLUMNS"] = columns or "100" if asks_for_help else "100000"
    try:
        with contextlib.redirect_stderr(text):
            # Whether an optional part is there is the default's to say, not a subcommand's.
            config = (tyro.conf.AvoidSubcommands,)
            made = tyro.cli(cls, args=list(words), prog=prog, default=default, config=config)
    except SystemExit as exit_:
        if exit_.code in (0, None):
            raise
        raise UsageError(f"{prog}: {_first_paragraph(text.getvalue())}") from None
    finally:
        os.environ.pop("COLUMNS")
        if columns is not None:
            os.environ["COLUMNS"] = columns
    option_names.check_used(made, cls, option_names.typed(words))
    return made


def _first_paragraph(text: str) -> str:
    """The message inside tyro's box: without the frame, its title and the help that follows."""
    lines = [line.strip(" │") for line in text.splitlines() if line.startswith("│")]
    message = []
    for line in lines:
        if re.fullmatch("─+", line):
            break
        message.append(line)
    return " ".join(message) if message else " ".join(text.split())
