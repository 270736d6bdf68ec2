"""From the words of a command line to typed values: tyro parses, errors come back as one line."""

import contextlib
import dataclasses
import io
import itertools
import os
import re
import typing
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated, TypeVar

import tyro

from jaxssl import words

T = TypeVar("T")

RunPath = Annotated[tyro.conf.Positional[Path], tyro.conf.arg(metavar="RUN")]


class UsageError(ValueError):
    """A command line that cannot be understood; its text is one line."""


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
        _check_names(words, _option_names(cls, default))
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
    _check_used(made, typed(words), cls)
    return made


def typed(line: Sequence[str]) -> dict[str, str]:
    """The options of a command line by their names, with dashes, each with its first value.

    Args:
        line: the command line after the command's name.

    Returns:
        "training.batch-size" to "512"; an empty value where none follows.
    """
    found = {}
    for word, after in itertools.zip_longest(line, line[1:], fillvalue=""):
        if _is_option(word):
            option, equals, value = word.partition("=")
            found[_name(option)] = value if equals else "" if _is_option(after) else after
    return found


def _option_names(cls: type, default: object, prefix: str = "") -> set[str]:
    """Every option of a dataclass as it is typed, e.g. training.batch-size.

    A part that may be None has options where the default has the part.
    """
    arguments = dict(zip(_parameters(cls), typing.get_args(cls)))
    origin = typing.get_origin(cls) or cls
    hints = typing.get_type_hints(origin, include_extras=True)
    names = set()
    for field in dataclasses.fields(origin):
        hint = hints[field.name]
        flat = typing.get_origin(hint) is typing.Annotated
        hint = typing.get_args(hint)[0] if flat else hint
        hint = _bound(hint, arguments)
        name = prefix + field.name.replace("_", "-")
        value = getattr(origin if default is None else default, field.name, None)
        choices = typing.get_args(hint)
        if dataclasses.is_dataclass(typing.get_origin(hint) or hint):
            names |= _option_names(hint, value, prefix if flat else f"{name}.")
        elif type(None) in choices and any(map(dataclasses.is_dataclass, choices)):
            if value is not None:
                names |= _option_names(type(value), value, f"{name}.")
        else:
            names.add(name)
            if hint is bool:
                head, _, last = name.rpartition(".")
                names.add(f"{head}.no-{last}" if head else f"no-{last}")
    return names


def _parameters(cls: type) -> tuple:
    origin = typing.get_origin(cls)
    return getattr(origin, "__parameters__", ()) if origin else ()


def _bound(hint: object, arguments: dict) -> object:
    """A type variable's value, or a generic dataclass with the values of its type variables."""
    if dataclasses.is_dataclass(origin := typing.get_origin(hint)):
        return origin[tuple(arguments.get(part, part) for part in typing.get_args(hint))]
    return arguments.get(hint, hint)


def _is_option(word: str) -> bool:
    return word.startswith("--") and word != "--"


def _name(option: str) -> str:
    return option.removeprefix("--").replace("_", "-")


def _check_names(line: Sequence[str], names: set[str]) -> None:
    for option in (word.partition("=")[0] for word in line if _is_option(word)):
        if (name := _name(option)) not in names:
            near = words.nearest(f"--{name}", [f"--{each}" for each in names])
            raise UsageError(f"{option}: no such option.{near}")


def _check_used(config: object, names: Collection[str], cls: type, prefix: str = "") -> None:
    """Refuses typed options that the config, or a part of it, would not look at."""
    origin = typing.get_origin(cls) or cls
    hints = typing.get_type_hints(origin, include_extras=True)
    reasons = config.unused() if hasattr(config, "unused") else {}
    for field in dataclasses.fields(config):
        name = prefix + field.name.replace("_", "-")
        if field.name in reasons and any(f"{each}.".startswith(f"{name}.") for each in names):
            raise UsageError(f"--{name}: nothing uses it; {reasons[field.name]}.")
        value = getattr(config, field.name)
        if dataclasses.is_dataclass(value):
            flat = typing.get_origin(hints[field.name]) is typing.Annotated
            _check_used(value, names, type(value), prefix if flat else f"{name}.")


def _first_paragraph(text: str) -> str:
    """The message inside tyro's box: without the frame, its title and the help that follows."""
    lines = [line.strip(" │") for line in text.splitlines() if line.startswith("│")]
    message = []
    for line in lines:
        if re.fullmatch("─+", line):
            break
        message.append(line)
    return " ".join(message) if message else " ".join(text.split())
