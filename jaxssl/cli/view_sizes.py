"""What follows ``--data.image-size`` where it is not typed itself: every size in pixels.

Images are resized to that size, and views are cut out of them, resized to sizes of their own. Who
asks for other images means other views: those sizes change in proportion, as if they had been typed
too. The sizes of views are the integer fields ``size`` of the method's views; a method with further
lengths in pixels names those fields in ``PIXELS``.
"""

import dataclasses
from collections.abc import Iterator, Sequence

from jaxssl.cli import option_names
from jaxssl.runs.recipe import Recipe

IMAGE_SIZE = "data.image-size"


def following(recipe: Recipe, words: Sequence[str]) -> list[str]:
    """The options that follow from a command line that asks for another size of images.

    Args:
        recipe: the default, with the sizes that nobody typed.
        words: the options of the command line.

    Returns:
        Further words. None where the images keep their size, or where the size of the large views
        is typed; what is typed always holds.
    """
    typed = option_names.typed(words)
    before = getattr(recipe.data, "image_size", None)
    after = _number(typed.get(IMAGE_SIZE))
    views = dict(_view_sizes(recipe.method, "method"))
    largest = max(views.values(), default=0)
    large = {name for name, size in views.items() if size == largest}
    if not before or not after or after == before or large & typed.keys():
        return []
    encoder, option = recipe.encoder, "encoder"
    if hasattr(encoder, "image"):  # one of several networks
        encoder, option = encoder.image, "encoder.image"
    # A ViT wants whole patches; of the large views that is the user's to say.
    patch = _number(typed.get(f"{option}.patch-size")) or getattr(encoder, "patch_size", 1)
    sizes = {}
    for name, size in views.items():
        size = _scaled(size, after, before)
        sizes[name] = size if name in large else max(round(size / patch), 1) * patch
    grid = getattr(encoder, "position_grid", None)
    if grid is not None and grid == largest // encoder.patch_size:
        sizes[f"{option}.position-grid"] = max(_scaled(largest, after, before) // patch, 1)
    if views.keys().isdisjoint(typed):
        for field in getattr(recipe.method, "PIXELS", ()):
            length = getattr(recipe.method, field)
            # Rounded down, so that as many fit side by side as before.
            sizes[f"method.{field.replace('_', '-')}"] = length * after // before or min(length, 1)
    return [
        word
        for name, size in sizes.items()
        if name not in typed
        for word in (f"--{name}", str(size))
    ]


def describe(words: Sequence[str]) -> str:
    """A line about the options that were added; nothing where there are none."""
    return f"as --{IMAGE_SIZE} asks: {' '.join(words)}" if words else ""


def _view_sizes(config: object, prefix: str) -> Iterator[tuple[str, int]]:
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
