"""A run whose encoder begins with published weights."""

import dataclasses
import functools
from collections.abc import Callable, Collection
from pathlib import Path
from typing import NamedTuple

from jaxssl import checkpoints, inputs, interop, models
from jaxssl.interop import hub
from jaxssl.runs import directory as directories
from jaxssl.runs import encoders_apart
from jaxssl.runs import start as starts
from jaxssl.runs.directory import RunDirectory
from jaxssl.runs.recipe import Published, Recipe
from jaxssl.training.job import Job
from jaxssl.types import EncoderConfig, TrainState


class Found(NamedTuple):
    """Weights that a run is about to begin with.

    Attributes:
        file: where they lie.
        layout: of their names.
        mean: that they were trained with, of images in [0, 1].
        std: the same.
    """

    file: Path
    layout: str
    mean: tuple[float, ...]
    std: tuple[float, ...]


class Settled(NamedTuple):
    """What a run begins with.

    Attributes:
        recipe: with the sha256 of its weights, and what it leaves open as the weights have it.
        to_measure: of the encoder's "mean" and "std", those that are still to be measured.
        found: the weights; None where there are none, or where the run goes on.
    """

    recipe: Recipe
    to_measure: Collection[str]
    found: Found | None


def settle(
    recipe: Recipe,
    to_measure: Collection[str],
    directory: RunDirectory,
    say: Callable[[str], None],
) -> Settled:
    """Finds the weights of a recipe, if any, and what follows from them before data are read.

    Where mean and deviation are left to the data, they are those that the weights were trained
    with; where the channels are, those of the weights. A run that goes on does not read the weights
    again if they are asked for by the same name.

    Args:
        recipe: what is asked for.
        to_measure: of the encoder's "mean" and "std", those that nobody set.
        directory: of the run that begins, or goes on.
        say: prints a line.

    Raises:
        ValueError: weights beside another start, or of another encoder (names the first leaves that
            differ, and the options that fit); or as ``interop.load``.
        FileNotFoundError: as ``interop.load``.
        ImportError: as ``interop.load``.
    """
    if recipe.encoder_weights is None:
        return Settled(recipe, to_measure, None)
    source = recipe.encoder_weights.source
    caller = f"encoder_weights {source}"
    if recipe.start is not None:
        raise ValueError(
            f"{caller}: must be all that the encoder begins with; got init_from "
            f"{recipe.start.run} too. Leave one of the two out."
        )
    if not hub.is_name(source):
        source = str(Path(source).expanduser().absolute())
    recorded = _recorded(directory)
    if recorded is not None and recorded.get("source") == source:
        return Settled(_with_weights(recipe, source, recorded["sha256"]), to_measure, None)
    encoders_apart.check_kind(recipe.encoder, caller)
    file = hub.locate(source)
    theirs = interop.load(file, num_heads=_num_heads(recipe.encoder))
    origin = theirs.meta["origin"]["imported"]
    recipe = _with_weights(recipe, source, origin["sha256"])
    if recorded is not None:
        return Settled(recipe, to_measure, None)
    config, (_, channels) = theirs.module.config, inputs.square_side(theirs.inputs)
    if recipe.fit is not None and recipe.fit.grey:
        recipe = _with(recipe, "data", channels=channels)
    ours = encoders_apart.Fed(recipe.encoder, getattr(recipe.data, "channels", channels))
    encoders_apart.check(ours, encoders_apart.Fed(config, channels), caller)
    fields = tuple(to_measure)
    if recipe.fit is not None:
        fields = fields or recipe.fit.moments
        recipe = _with(recipe, "fit", moments=(), grey=False)
    if fields:
        say(f"{' and '.join(f'--encoder.{name}' for name in fields)}: those of {source}")
    recipe = _with(recipe, "encoder", **{name: getattr(config, name) for name in fields})
    return Settled(recipe, (), Found(file, origin["layout"], config.mean, config.std))


def begin_with(job: Job, recipe: Recipe, found: Found) -> Job:
    """A job whose encoder begins with the weights that ``settle`` has found.

    Args:
        job: what is run, built without a start.
        recipe: of it, its method prepared.
        found: of ``settle``.
    """
    published = recipe.encoder_weights
    assert published is not None
    about = f"starting from {published.source} ({found.layout}): encoder"
    if (recipe.encoder.mean, recipe.encoder.std) != (found.mean, found.std):
        mean, std = (" ".join(f"{value:g}" for value in each) for each in (found.mean, found.std))
        about += f"; trained with --encoder.mean {mean} --encoder.std {std}"
    return dataclasses.replace(
        job,
        about=f"{job.about}\n{about}".strip(),
        started=functools.partial(_first_state, job, recipe, found.file),
    )


def _recorded(directory: RunDirectory) -> dict | None:
    """What a run that has saved began with, {} of one that began without; None of no such run."""
    identity = directories.read_identity(directory)
    if identity is None or not checkpoints.complete_steps(directory.path):
        return None
    return identity["config"].get("encoder_weights", {})


def _first_state(job: Job, recipe: Recipe, file: Path) -> TrainState:
    config = recipe.encoder
    table = job.like.params["encoder"].get("position")
    size = None if table is None else table.shape[0] * config.patch_size
    options = interop.ImportConfig(image_size=size)
    variables = interop.load(file, options, num_heads=_num_heads(config)).variables
    if getattr(config, "scan_layers", False):
        variables = {**variables, "params": models.stack_layers(variables["params"])}
    return starts.first_state(job, recipe, variables, {})


def _num_heads(config: EncoderConfig) -> int | None:
    return getattr(getattr(config, "dimensions", None), "num_heads", None)


def _with_weights(recipe: Recipe, source: str, sha256: str) -> Recipe:
    return dataclasses.replace(recipe, encoder_weights=Published(source, sha256))


def _with(recipe: Recipe, part: str, **fields: object) -> Recipe:
    changed = dataclasses.replace(getattr(recipe, part), **fields)
    return dataclasses.replace(recipe, **{part: changed})
