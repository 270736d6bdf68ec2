"""The range of values that a run scales images of more than 8 bits by: measured once, and kept."""

import dataclasses

from jaxssl import checkpoints, data
from jaxssl.runs.directory import RunDirectory
from jaxssl.runs.recipe import Recipe


def as_recorded(recipe: Recipe, directory: RunDirectory) -> Recipe:
    """The recipe with the range that a run began with, where none is asked for.

    Args:
        recipe: as asked for; its data may have no range at all.
        directory: of the run. That it is this run is checked later.
    """
    is_open = getattr(recipe.data, "value_range", ()) is None
    if not is_open or not checkpoints.complete_steps(directory.path):
        return recipe
    recorded = data.from_json(checkpoints.read_meta(directory.path)["config"]["data"])
    return _with(recipe, getattr(recorded, "value_range", None))


def as_measured(recipe: Recipe, source: data.Source) -> Recipe:
    """The recipe with the range that its source has measured, where it has."""
    measured = getattr(source, "value_range", None)
    if measured is None or not hasattr(recipe.data, "value_range"):
        return recipe
    return _with(recipe, measured)


def describe(recipe: Recipe) -> str:
    """Which values are black and white, where the data have others than those of uint8."""
    if (value_range := getattr(recipe.data, "value_range", None)) is None:
        return ""
    low, high = value_range
    return f"; values {low:g} to {high:g} are 0 to 255 (--data.value-range)"


def _with(recipe: Recipe, value_range: tuple[float, float] | None) -> Recipe:
    return dataclasses.replace(
        recipe, data=dataclasses.replace(recipe.data, value_range=value_range)
    )
