"""What a recipe leaves to the data and the machine (``recipe.Fit``): settled once for a run."""

import contextlib
import dataclasses
from collections.abc import Callable

import jax
import numpy as np
from jax.experimental import multihost_utils

from jaxssl import checkpoints, data, inputs
from jaxssl import meta as meta_lib
from jaxssl.pretext import greyness
from jaxssl.runs.directory import RunDirectory
from jaxssl.runs.recipe import Fit, Recipe
from jaxssl.training import memory
from jaxssl.training.job import Job

NUM_LOOKED_AT = 64  # images, for colours
MIN_STEPS = 16  # of an epoch, below which a batch does not grow


def begin(recipe: Recipe, directory: RunDirectory) -> Recipe:
    """What is settled before the data are opened.

    Args:
        recipe: as asked for.
        directory: of the run. That it is this run is checked later.

    Returns:
        For a run that goes on, the recipe with what it began with. For a new one, with the compute
        dtype of an accelerator, where one is there, and with the channels of the run whose encoder
        it begins with.
    """
    fit = recipe.fit
    if fit is None:
        return recipe
    if checkpoints.complete_steps(directory.path):
        return _as_recorded(recipe, fit, checkpoints.read_meta(directory.path)["config"])
    if fit.dtype is not None and jax.default_backend() != "cpu":
        recipe = _with(recipe, "encoder", dtype=fit.dtype)
    if recipe.start is not None and fit.grey:
        meta = checkpoints.read_meta(recipe.start.run, recipe.start.step)
        if meta_lib.is_imported(meta):
            _, channels = inputs.square_side(inputs.of_meta(meta))
            recipe = _with(recipe, "data", channels=channels)
        else:
            recipe = _with_channels(recipe, meta["config"])
        recipe = dataclasses.replace(recipe, fit=dataclasses.replace(fit, grey=False))
    return recipe


def settle_channels(recipe: Recipe, source: data.Source) -> tuple[Recipe, str]:
    """The recipe with 1 channel where the images are grey, though read with 3.

    Args:
        recipe: what is run.
        source: the training split, as the recipe opens it.

    Returns:
        The recipe, and a line that says so; "" where it stays as it was.
    """
    follows = recipe.fit is not None and recipe.fit.grey
    if not follows or getattr(recipe.encoder, "color_space", None) != "rgb":
        return recipe, ""  # Lab images are made of RGB ones
    if getattr(recipe.data, "channels", None) != 3 or "image" not in source[0]:
        return recipe, ""
    images = data.sample(source, NUM_LOOKED_AT).columns["image"]
    if any(map(greyness.has_color, images)):
        return recipe, ""
    line = f"--data.channels 1: of {len(images)} images looked at, none holds a colour"
    return _with(recipe, "data", channels=1), line


def settle_batch(
    recipe: Recipe,
    num_examples: int,
    make_job: Callable[[int], contextlib.AbstractContextManager[Job]],
) -> tuple[int, str]:
    """The batch that the data are enough for, and the devices have the memory for.

    Args:
        recipe: what is run.
        num_examples: of the training split.
        make_job: from a batch to the run with it, which is traced and not compiled.

    Returns:
        Examples of a global batch, and a line about it; "" where it is the recipe's.
    """
    asked = recipe.training.batch_size
    most = recipe.fit.max_batch if recipe.fit is not None else None
    if most is None:
        return asked, ""
    size = asked
    while size > num_examples and (half := memory.halve(size)):
        size = half
    line = f"--training.batch-size {size}: there are {num_examples} {recipe.data.unit}"
    limit = memory.find_limit(recipe.run.device_memory_gb)
    if limit is None:
        return size, line if size < asked else ""
    if jax.process_count() > 1:  # what one of them has is what all of them need
        limit = float(np.min(multihost_utils.process_allgather(np.float32(limit))))
    with make_job(size) as job:
        size = memory.fit_batch(job, min(most, num_examples // MIN_STEPS), limit)
    return size, (
        f"--training.batch-size {size}: what {limit / memory.GB:.1f} GB a device hold, of at most "
        f"{most} and of {num_examples:,} {recipe.data.unit}"
    )


def with_batch(recipe: Recipe, batch_size: int) -> Recipe:
    """The recipe of a batch, which leaves nothing to be settled."""
    return dataclasses.replace(_with(recipe, "training", batch_size=batch_size), fit=None)


def _as_recorded(recipe: Recipe, fit: Fit, config: dict) -> Recipe:
    if fit.max_batch is not None:
        recipe = _with(recipe, "training", batch_size=config["training"]["batch_size"])
    if fit.dtype is not None and "dtype" in config["encoder"]["fields"]:
        recipe = _with(recipe, "encoder", dtype=config["encoder"]["fields"]["dtype"])
    if fit.grey:
        recipe = _with_channels(recipe, config)
    # The moments are looked for among what is recorded by ``standardising``.
    return dataclasses.replace(recipe, fit=Fit(moments=fit.moments))


def _with_channels(recipe: Recipe, config: dict) -> Recipe:
    """The recipe with the channels that another one is recorded with, where it has any."""
    channels = config["data"].get("fields", {}).get("channels")
    return recipe if channels is None else _with(recipe, "data", channels=channels)


def _with(recipe: Recipe, part: str, **fields: object) -> Recipe:
    changed = dataclasses.replace(getattr(recipe, part), **fields)
    return dataclasses.replace(recipe, **{part: changed})
