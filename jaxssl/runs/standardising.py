"""The mean and deviation that an encoder standardises images by, where the recipe's do not hold."""

import dataclasses
from collections.abc import Collection
from pathlib import Path

from jaxssl import checkpoints, data
from jaxssl.runs.directory import RunDirectory
from jaxssl.runs.recipe import Recipe

FIELDS = ("mean", "std")


def settle(
    recipe: Recipe, fields: Collection[str], source: data.Source, directory: RunDirectory
) -> tuple[Recipe, str]:
    """The recipe with the mean and deviation of its data, measured once for a run.

    A run that goes on keeps what it began with, and one that starts from another run takes what
    those weights were trained with.

    Args:
        recipe: whose encoder standardises images of RGB or grey values.
        fields: of "mean" and "std", those that nobody set.
        source: the training split.
        directory: of the run.

    Returns:
        The recipe, and a line that says where the numbers are from; "" where nothing is measured.
    """
    if not fields or getattr(recipe.encoder, "color_space", None) != "rgb":
        return recipe, ""  # Lab has its own numbers, whatever is in the images
    names = " and ".join(f"--encoder.{name}" for name in fields)
    run: str | Path | None = None
    step = None
    if checkpoints.complete_steps(directory.path):
        run = directory.path
    elif recipe.start is not None:
        run, step = recipe.start.run, recipe.start.step
    if run is not None:
        recorded = checkpoints.read_meta(run, step)["encoder"].get("fields", {})
        if all(name in recorded for name in fields):
            values = {name: tuple(recorded[name]) for name in fields}
            return _with(recipe, values), f"{names}: those of {run}"
    moments = data.measure_moments(source, num_threads=recipe.data.num_threads)
    values = {name: getattr(moments, name) for name in fields}
    counted = f"{moments.num_examples:,} of {len(source):,} {recipe.data.unit}"
    return _with(recipe, values), f"{names}: measured on {counted}"


def _with(recipe: Recipe, values: dict[str, tuple[float, ...]]) -> Recipe:
    return dataclasses.replace(recipe, encoder=dataclasses.replace(recipe.encoder, **values))
