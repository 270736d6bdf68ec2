"""Who makes the random crops of a run's views: the host, of whole pictures, or the device."""

import dataclasses

from jaxssl import checkpoints, cropping, data, named
from jaxssl.runs.directory import RunDirectory
from jaxssl.runs.recipe import Recipe
from jaxssl.types import DataConfig


def settle(recipe: Recipe, source: data.Source, directory: RunDirectory) -> Recipe:
    """The recipe with who makes the crops, where its data leave that open.

    A run that goes on keeps what it began with. A new one has the host make them where it can, and
    where what part of a picture is cut out is drawn too: a crop of one size is published as one out
    of a picture that was resized before.

    Args:
        recipe: as asked for; its data may know of no crops at all.
        source: the training split.
        directory: of the run. That it is this run is checked later.

    Raises:
        ValueError: the host is asked for and cannot make them, of such data or for such a method.
    """
    if not hasattr(recipe.data, "crops"):
        return recipe
    crops, asked = recipe.data.crops, cropping.of_method(recipe.method)
    if crops is None and checkpoints.complete_steps(directory.path):
        recorded = checkpoints.read_meta(directory.path)["config"]["data"]
        crops = getattr(data.from_json(recorded), "crops", None)
    if crops is None:
        varies = bool(asked) and all(each.varies for each in asked)
        crops = "host" if varies and data.can_crop(source) else "device"
    if crops == "host":
        _check(recipe, source, asked)
    return dataclasses.replace(recipe, data=dataclasses.replace(recipe.data, crops=crops))


def leave_open(config: DataConfig) -> DataConfig:
    """The data of a run for another one, which is to find for itself who makes its crops."""
    return dataclasses.replace(config, crops=None) if hasattr(config, "crops") else config


def asked_for(recipe: Recipe) -> tuple[cropping.Crop, ...]:
    """The crops that the host makes in a run; none where the device does.

    Args:
        recipe: that ``settle`` gave.
    """
    return cropping.of_method(recipe.method) if is_host(recipe) else ()


def is_host(recipe: Recipe) -> bool:
    """Whether the host makes the crops of a run."""
    return getattr(recipe.data, "crops", None) == "host"


def _check(recipe: Recipe, source: data.Source, asked: tuple[cropping.Crop, ...]) -> None:
    if not asked:
        raise ValueError(
            "--data.crops host: the views of the method must begin with a random crop and need no "
            f"more of an image; got {named.short(recipe.method)}"
            f"{_augmentation(recipe)}. Use --data.crops device."
        )
    if not data.can_crop(source):
        kept = recipe.data.unit == "images" and getattr(recipe.data, "in_memory", False)
        fix = ", or leave --data.in-memory out" if kept else ""
        raise ValueError(
            f"--data.crops host: the data must be {recipe.data.unit} in files that are decoded on "
            f"demand, such as a folder of photos; got {source.name}, which holds them as arrays of "
            f"{recipe.data.image_size} pixels. Use --data.crops device{fix}."
        )


def _augmentation(recipe: Recipe) -> str:
    """The name of what makes the views, where there is one that makes no crop."""
    augment = getattr(recipe.method, "augment", None)
    if augment is None or hasattr(augment, "host_crops"):
        return ""
    return f" with {type(augment).__name__}"
