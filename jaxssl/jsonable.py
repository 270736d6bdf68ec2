"""Frozen dataclasses of plain values to JSON and back, by their annotations."""

import dataclasses
import types
import typing
from collections.abc import Mapping
from typing import TypeVar

from jaxssl import words

T = TypeVar("T")
_BEFORE = "before"


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


def to_json(config: object) -> dict:
    """The fields of a dataclass as JSON values; nested dataclasses become nested objects."""
    return dataclasses.asdict(config)


def from_json(cls: type[T], fields: Mapping) -> T:
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
        ValueError: a field that ``cls`` does not have (names the nearest).
    """
    if hasattr(cls, "upgrade"):
        fields = cls.upgrade(dict(fields))
    hints = typing.get_type_hints(cls)
    names = [field.name for field in dataclasses.fields(cls)]
    for name in fields:
        if name not in names:
            raise ValueError(
                f"{cls.__name__}: a field must be one of {', '.join(names)}; got {name!r}."
                f"{words.nearest(name, names)}"
            )
    before = {
        field.name: field.metadata[_BEFORE]
        for field in dataclasses.fields(cls)
        if _BEFORE in field.metadata
    }
    return cls(**before | {name: _value(hints[name], value) for name, value in fields.items()})


def _value(hint: object, value: object) -> object:
    if isinstance(hint, types.UnionType) or typing.get_origin(hint) is typing.Union:
        if value is None:
            return None
        (hint,) = (option for option in typing.get_args(hint) if option is not type(None))
    if dataclasses.is_dataclass(hint):
        return from_json(hint, value)
    if typing.get_origin(hint) is tuple:
        inner, *rest = typing.get_args(hint)
        return tuple(_value(inner, each) if rest == [...] else each for each in value)
    if hint is float and isinstance(value, int):
        return float(value)
    return value
