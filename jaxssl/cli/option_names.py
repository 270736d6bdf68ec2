"""The names of options: which there are, which were typed, and what to say of the others."""

import dataclasses
import itertools
import typing
from collections.abc import Collection, Sequence
from typing import Any

import tyro

from jaxssl import words

WITHIN_GROUP = 0.5  # how much alike names must be where the group is right; see words.CUTOFF


class UsageError(ValueError):
    """A command line that cannot be understood; its text is one line."""


def of(cls: Any, default: object, prefix: str = "") -> set[str]:
    """Every option of a dataclass as it is typed, e.g. training.batch-size.

    A part that may be None, or of several kinds, has the options of what the default holds. What is
    typed without a name is no option.

    Args:
        cls: the dataclass, bound where it is generic.
        default: where options that are not given take their values; its class's defaults if None.
        prefix: of all names.
    """
    arguments = dict(zip(_parameters(cls), typing.get_args(cls)))
    origin = typing.get_origin(cls) or cls
    hints = typing.get_type_hints(origin, include_extras=True)
    names = set()
    for field in dataclasses.fields(origin):
        hint = hints[field.name]
        if tyro.conf.Positional in typing.get_args(hint):
            continue
        flat = typing.get_origin(hint) is typing.Annotated
        hint = typing.get_args(hint)[0] if flat else hint
        hint = _bound(hint, arguments)
        name = prefix + field.name.replace("_", "-")
        value = getattr(origin if default is None else default, field.name, None)
        choices = typing.get_args(hint)
        if dataclasses.is_dataclass(typing.get_origin(hint) or hint):
            names |= of(hint, value, prefix if flat else f"{name}.")
        elif any(map(dataclasses.is_dataclass, choices)):
            if value is not None:
                names |= of(type(value), value, f"{name}.")
        else:
            names.add(name)
            if hint is bool:
                head, _, last = name.rpartition(".")
                names.add(f"{head}.no-{last}" if head else f"no-{last}")
    return names


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


def check_known(line: Sequence[str], names: Collection[str]) -> None:
    """Refuses options that do not exist.

    Args:
        line: the command line after the command's name.
        names: of all options.

    Raises:
        UsageError: names the option, and the nearest where one is near.
    """
    for option in (word.partition("=")[0] for word in line if _is_option(word)):
        if (name := _name(option)) not in names:
            raise UsageError(f"{option}: {_refusal(name, names)}")


def check_used(config: Any, cls: type, names: Collection[str], prefix: str = "") -> None:
    """Refuses typed options that the config, or a part of it, would not look at.

    Args:
        config: what was parsed. It, and each of its parts, may have ``unused()``, which maps the
            fields that it does not read beside the others to what would make it read them.
        cls: its class.
        names: what was typed.
        prefix: of all names.

    Raises:
        UsageError: names the option, and what would use it.
    """
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
            check_used(value, type(value), names, prefix if flat else f"{name}.")


def _refusal(name: str, names: Collection[str]) -> str:
    """Why there is no such option, and what may have been meant."""
    members = sorted(each for each in names if each.startswith(f"{name}."))
    if members:
        return (
            f"a group of {len(members)} options, which --help-all lists; which kind it is, the "
            "config file says."
        )
    group, _, last = name.rpartition(".")
    siblings = [each for each in names if group and each.startswith(f"{group}.")]
    if siblings:  # the group is right: its member is what was mistyped
        lasts = [each.rpartition(".")[2] for each in siblings]
        last = words.find_nearest(last, lasts, cutoff=WITHIN_GROUP) or ""
    meant = [each for each in siblings or names if each.rpartition(".")[2] == last]
    if not siblings and not meant and (near := words.find_nearest(name, names)):
        meant = [near]
    shown = " or ".join(f'"--{each}"' for each in sorted(meant)[:3])
    return "no such option." + (f" Did you mean {shown}?" if shown else "")


def _is_option(word: str) -> bool:
    return word.startswith("--") and word != "--"


def _name(option: str) -> str:
    return option.removeprefix("--").replace("_", "-")


def _parameters(cls: type) -> tuple:
    origin = typing.get_origin(cls)
    return getattr(origin, "__parameters__", ()) if origin else ()


def _bound(hint: Any, arguments: dict) -> Any:
    """A type variable's value, or a generic dataclass with the values of its type variables."""
    origin = typing.get_origin(hint)
    if dataclasses.is_dataclass(origin):
        generic: Any = origin
        return generic[tuple(arguments.get(part, part) for part in typing.get_args(hint))]
    return arguments.get(hint, hint)
