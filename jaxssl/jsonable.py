"""Frozen dataclasses of plain values to JSON and back, by their annotations."""

import dataclasses
import json
import types
import typing
from collections.abc import Iterable, Mapping
from typing import Any, TypeVar

from jaxssl import words

T = TypeVar("T")
_BEFORE = "before"
_PLAIN = {
    bool: "true or false",
    int: "a whole number of less than 64 bits",
    float: "a number",
    str: "text",
}


def added(default: T, *, before: T) -> T:
    """A field of a dataclass whose default is not what records from before the field mean.

        activated: bool = added(True, before=False)

    Args:
        default: the field's default, immutable.
        before: the value that ``from_json`` gives a record without the field.

    Returns:
        What ``dataclasses.field`` returns.
    """
    return dataclasses.field(default=default, metadata={_BEFORE: before})


def to_json(config: Any) -> dict:
    """The fields of a dataclass as JSON values; nested dataclasses become nested objects.

    Raises:
        ValueError: a value that is not of its field's type, and could not be read back.
    """
    fields = dataclasses.asdict(config)
    from_json(type(config), fields)
    return fields


def from_json(cls: type[T], fields: Any) -> T:
    """Rebuilds a dataclass from what ``to_json`` gave, after a trip through JSON.

    Where the class has a class method ``upgrade(fields) -> fields``, that sees the fields first and
    turns what records of earlier versions hold into today's.

    Args:
        cls: a dataclass whose fields are plain values, tuples of them, or dataclasses. Where it has
            a class method ``upgrade``, that turns the fields of an earlier version into its own.
        fields: field name to JSON value; missing fields take their defaults, or what ``added``
            says was so before they were there.

    Returns:
        An instance of ``cls``, equal to the one that was written.

    Raises:
        ValueError: a field that ``cls`` does not have (names the nearest); one that is missing; a
            value that is not of the field's type.
    """
    owner = cls.__name__
    _check_object(fields, owner)
    if upgrade := getattr(cls, "upgrade", None):
        try:
            fields = upgrade(dict(fields))
        except KeyError as error:
            name = error.args[0]
            raise ValueError(f"{_below(owner, name)} must be there; got none.") from error
    known = dataclasses.fields(cls)  # type: ignore[arg-type]  # a dataclass has no type of its own
    names = [field.name for field in known]
    for name in fields:
        if name not in names:
            raise ValueError(
                f"{owner}: a field must be one of {', '.join(names)}; got {name!r}."
                f"{words.nearest(name, names)}"
            )
    before = {field.name: field.metadata[_BEFORE] for field in known if _BEFORE in field.metadata}
    needed = [
        field.name
        for field in known
        if field.default is field.default_factory is dataclasses.MISSING
    ]
    _check_there(fields, needed, owner)
    hints = typing.get_type_hints(cls)
    read_fields = {
        name: read(hints[name], value, _below(owner, name)) for name, value in fields.items()
    }
    return cls(**before | read_fields)


def parse(text: str | bytes, where: str) -> Any:
    """The value of a JSON text.

    Args:
        text: maybe damaged.
        where: what it is called in the message, such as the path of its file.

    Raises:
        ValueError: it is none.
    """
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:  # of brackets within brackets
        raise ValueError(f"{where} must be JSON; got other text: {error}.") from error


def read(hint: Any, value: Any, where: str) -> Any:
    """A JSON value as an annotation says; checks all the way down.

    Args:
        hint: int, float, bool, str, a Literal, a tuple or list of them, a dataclass, a NamedTuple,
            a TypedDict, or a union of such. What else it may be, the value is left as it is.
        value: after a trip through JSON.
        where: what the value is called in messages, such as "ImageData: image_size".

    Returns:
        The value, with tuples for lists and instances for objects where ``hint`` says so.

    Raises:
        ValueError: it is something else; names the innermost field.
    """
    origin, options = typing.get_origin(hint), typing.get_args(hint)
    if isinstance(hint, types.UnionType) or origin is typing.Union:
        return _one_of(options, value, where)
    if isinstance(hint, type) and dataclasses.is_dataclass(hint):
        _check_object(value, where)
        return from_json(hint, value)
    if typing.is_typeddict(hint) or hasattr(hint, "_field_defaults"):  # a NamedTuple
        return _entries(hint, value, where)
    if origin is tuple:
        return _items(options, value, where)
    if origin is typing.Literal:
        holds = any(type(value) is type(each) and value == each for each in options)
        _check(holds, where, f"one of {', '.join(map(repr, options))}", value)
    elif hint in (dict, list):
        _check(isinstance(value, hint), where, {dict: "an object", list: "a list"}[hint], value)
    elif hint in _PLAIN:
        _check(_is_plain(hint, value), where, _PLAIN[hint], value)
        return hint(value)
    return value


def _is_plain(hint: type, value: Any) -> bool:
    if hint is float and isinstance(value, int) and abs(value) > 2**1023:
        return False  # float() would overflow
    allowed: Any = (int, float) if hint is float else hint
    if not isinstance(value, allowed) or (isinstance(value, bool) and hint is not bool):
        return False
    return hint is not int or -(2**63) <= value < 2**63


def _one_of(options: tuple, value: Any, where: str) -> Any:
    if value is None and type(None) in options:
        return None
    *others, last = [option for option in options if option is not type(None)]
    for option in others:
        try:
            return read(option, value, where)
        except ValueError:
            continue
    return read(last, value, where)


def _entries(hint: Any, value: Any, where: str) -> Any:
    """An object with the entries of a TypedDict, maybe more, or of a NamedTuple."""
    _check_object(value, where)
    hints = typing.get_type_hints(hint)
    is_open = typing.is_typeddict(hint)
    needed = hint.__required_keys__ if is_open else hints.keys() - hint._field_defaults.keys()
    _check_there(value, sorted(needed), where)
    entries = {
        name: read(each, value[name], _below(where, name))
        for name, each in hints.items()
        if name in value
    }
    return {**value, **entries} if is_open else hint(**entries)


def _items(options: tuple, value: Any, where: str) -> tuple:
    _check(isinstance(value, (list, tuple)), where, "a list", value)
    if options[1:] == (...,):
        options = options[:1] * len(value)
    _check(len(value) == len(options), where, f"a list of {len(options)}", value)
    return tuple(read(option, each, where) for option, each in zip(options, value))


def _check_object(value: object, where: str) -> None:
    _check(isinstance(value, Mapping), where, "an object, name to value", value)


def _check_there(fields: Mapping, names: Iterable[str], where: str) -> None:
    for name in names:
        if name not in fields:
            raise ValueError(f"{_below(where, name)} must be there; got none.")


def _below(where: str, name: str) -> str:
    """ "Owner: field.entry" of "Owner: field"."""
    return f"{where}.{name}" if ": " in where else f"{where}: {name}"


def _check(holds: bool, where: str, must: str, got: object) -> None:
    if not holds:
        shown = repr(got)
        shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
        raise ValueError(f"{where} must be {must}; got {shown}.")
