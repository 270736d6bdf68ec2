"""Configs in JSON by the name of their class: methods, encoders and data sets alike.

    {"name": "jaxssl.models.vit:ViTConfig", "fields": {"size": "S", …}}

A name is a module and a frozen dataclass in it, so that one of a user's own needs no table: what
can be imported can be read back. Nothing but such a class is ever made from a name.
"""

import dataclasses
import importlib
import pkgutil
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any, TypedDict, TypeGuard

from jaxssl import jsonable, words

_SEPARATOR = ":"


class Entry(TypedDict):
    """A config in JSON."""

    name: str
    fields: dict


def to_json(config: object) -> Entry:
    """The class and the fields of a config, a frozen dataclass of plain values."""
    cls = type(config)
    name = f"{cls.__module__}{_SEPARATOR}{cls.__qualname__}"
    return {"name": name, "fields": jsonable.to_json(config)}


def from_json(entry: Mapping, *, room: str, does: str) -> Any:
    """The inverse of ``to_json``, also after a trip through JSON.

    Args:
        entry: name and fields. A name without a module, as records of earlier versions have them
            ("SimCLR", "ViT"), is looked for in ``room``.
        room: the package of jaxssl that holds configs of this kind, "jaxssl.models".
        does: the method that makes a config one of this kind, "build" or "open".

    Returns:
        An instance of the class, equal to the one that was written.

    Raises:
        ValueError: a class that cannot be imported or is no config of this kind (names the
            nearest), or a field that it does not have or that is of another type.
    """
    entry = jsonable.read(Entry, entry, room)
    return jsonable.from_json(find(entry["name"], room=room, does=does), entry["fields"])


def find(name: str, *, room: str, does: str) -> type:
    """The class of a name; see ``from_json``."""
    if _SEPARATOR in name:
        return _imported(name, does)
    known = all_of(room, does=does)
    for candidate in (name, f"{name}Config"):
        if candidate in known:
            return known[candidate]
    shown = [short(known_class) for known_class in known.values()]
    raise ValueError(
        f"{room}: must be one of {', '.join(shown)}, or module:class of your own; got {name!r}."
        f"{words.nearest(name, shown)}"
    )


def short(config: object) -> str:
    """What a config is called in messages and reports: "ViT" of a ViTConfig, "SimCLR" of a SimCLR.

    Args:
        config: a config, its class, or the name of one in JSON.
    """
    if isinstance(config, str):
        name = config.rpartition(_SEPARATOR)[2]
    else:
        name = (config if isinstance(config, type) else type(config)).__qualname__
    return name.removesuffix("Config")


def all_of(room: str, *, does: str) -> dict[str, type]:
    """Every config of a kind that a package of jaxssl holds, by the name of its class.

    A new file is found by walking the package; there is no list to edit.

    Args:
        room: the package, "jaxssl.methods".
        does: the method that makes a config one of this kind.
    """
    found = {}
    for module in modules_of(room):
        for name, value in vars(module).items():
            if _is_config(value, does) and value.__module__ == module.__name__:
                found[name] = value
    return found


def modules_of(room: str) -> Iterator[ModuleType]:
    """The modules of a package, imported, in the order of their names."""
    for info in pkgutil.iter_modules(importlib.import_module(room).__path__):
        yield importlib.import_module(f"{room}.{info.name}")


def _is_config(value: Any, does: str) -> TypeGuard[type]:
    return (
        isinstance(value, type)
        and dataclasses.is_dataclass(value)
        and value.__dataclass_params__.frozen  # type: ignore[attr-defined]  # not in typeshed
        and callable(getattr(value, does, None))
    )


def _imported(name: str, does: str) -> type:
    module_name, _, class_name = name.partition(_SEPARATOR)
    try:
        module = importlib.import_module(module_name)
    except ImportError as error:
        raise ValueError(
            f"{name}: the module must be importable; got {error}. A class that a config file "
            "defines must lie in a module on the Python path before a record of it can be read."
        ) from error
    value = vars(module).get(class_name)
    if not _is_config(value, does):
        raise ValueError(
            f"{name}: must be a frozen dataclass with {does}(); got "
            f"{'no such class' if value is None else type(value).__name__}."
            f"{words.nearest(class_name, _classes(module, does))}"
        )
    return value


def _classes(module: ModuleType, does: str) -> list[str]:
    return [name for name, value in vars(module).items() if _is_config(value, does)]
