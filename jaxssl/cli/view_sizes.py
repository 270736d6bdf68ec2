"""What follows from ``--data.image-size`` and a ViT's patches, where it is not typed itself.

Images are resized to that size, and views are cut out of them, resized to sizes of their own. Who
asks for other images means other views: those sizes change in proportion, as if they had been typed
too. The sizes of views are the integer fields ``size`` of the method's views; a method with further
lengths in pixels names those fields in ``PIXELS``. Small views are whole patches of a ViT.
"""

import dataclasses
from collections.abc import Iterator, Sequence
from typing import Any

from jaxssl.cli import option_names
from jaxssl.runs.recipe import Recipe

IMAGE_SIZE = "data.image-size"


def following(recipe: Recipe, words: Sequence[str]) -> list[str]:
    """The options that follow from a command line: sizes that must be others than the recipe's.

    Args:
        recipe: the default, with the sizes that nobody typed.
        words: the options of the command line.

    Returns:
        Further words. None where images and patches keep their size, or where the size of the large
        views is typed; what is typed always holds.
    """
    typed = option_names.typed(words)
    before = getattr(recipe.data, "image_size", None)
    after = _number(typed.get(IMAGE_SIZE)) or before
    views = dict(_view_sizes(recipe.method, "method"))
    largest = max(views.values(), default=0)
    large = {name for name, size in views.items() if size == largest}
    if not before or not after or large & typed.keys():
        return []
    encoder: Any = recipe.encoder
    option = "encoder"
    if hasattr(encoder, "image"):  # one of several networks
        encoder, option = encoder.image, "encoder.image"
    # A ViT wants whole patches; of the large views that is the user's to say.
    asked = _number(typed.get(f"{option}.patch-size"))
    patch = asked or int(getattr(encoder, "patch_size", None) or 1)
    sizes, shipped = {}, dict(views)
    for name, size in views.items():
        size = _scaled(size, after, before)
        sizes[name] = size if name in large else max(round(size / patch), 1) * patch
    grid = getattr(encoder, "position_grid", None)
    if grid is not None and grid == largest // encoder.patch_size:
        shipped[f"{option}.position-grid"] = grid
        sizes[f"{option}.position-grid"] = max(_scaled(largest, after, before) // patch, 1)
    if views.keys().isdisjoint(typed):
        for field in getattr(recipe.method, "PIXELS", ()):
            length = getattr(recipe.method, field)
            name = f"method.{field.replace('_', '-')}"
            shipped[name] = length
            # Rounded down, so that as many fit side by side as before.
            sizes[name] = length * after // before or min(length, 1)
    return [
        word
        for name, size in sizes.items()
        if name not in typed and size != shipped[name]
        for word in (f"--{name}", str(size))
    ]


def describe(words: Sequence[str], line: Sequence[str]) -> str:
    """A line about the options that were added.

    Args:
        words: at least one; see ``following``.
        line: the options of the command line.
    """
    asks = f"--{IMAGE_SIZE} asks" if IMAGE_SIZE in option_names.typed(line) else "patches ask"
    return f"as {asks}: {' '.join(words)}"


def _view_sizes(config: Any, prefix: str) -> Iterator[tuple[str, int]]:
    """The sizes of all views below a config, by the names of their options."""
    for field in dataclasses.fields(config):
        value = getattr(config, field.name)
        name = f"{prefix}.{field.name.replace('_', '-')}"
        if dataclasses.is_dataclass(value):
            yield from _view_sizes(value, name)
        elif field.name == "size" and isinstance(value, int) and callable(config):
            yield name, value


def _scaled(size: int, after: int, before: int) -> int:
    return max(round(size * after / before), 1)


def _number(word: str | None) -> int | None:
    """What was typed, where it is a number; whatever else it is, the parser refuses."""
    return int(word) if word is not None and word.isdecimal() else None
