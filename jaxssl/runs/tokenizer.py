"""A run that names the words of a tokenizer, which another run has trained."""

import dataclasses
from typing import Any

import jax

from jaxssl import checkpoints, inputs, named
from jaxssl.checkpoints import parts
from jaxssl.runs import record
from jaxssl.runs import start as starts
from jaxssl.runs.directory import RunDirectory
from jaxssl.runs.recipe import Recipe, Start
from jaxssl.training.job import Job
from jaxssl.types import MethodConfig, PyTree, TrainState

ENTRY = "tokenizer"  # of the method's state; see ``types.MethodConfig``


def names(method: MethodConfig) -> bool:
    """Whether a method names the words of a tokenizer."""
    return hasattr(method, "with_tokenizer")


def resolve(recipe: Recipe, directory: RunDirectory) -> Recipe:
    """The recipe with the step and the fingerprint of its tokenizer; see ``start.resolve``.

    Args:
        recipe: what is asked for.
        directory: of the run that begins, or goes on.

    Raises:
        ValueError: a tokenizer for a method that names no words.
        CheckpointError: a run without a checkpoint, or without that one.
    """
    if recipe.tokenizer is None:
        return recipe
    if not names(recipe.method):
        raise ValueError(
            "tokenizer: the method must be one that names its words; got "
            f"{named.short(recipe.method)}. Leave --tokenizer out."
        )
    found = starts.resolve(recipe.tokenizer, directory, part="tokenizer", caller="tokenizer")
    return dataclasses.replace(recipe, tokenizer=found)


def hand_over(tokenizer: Start, method: MethodConfig) -> MethodConfig:
    """The method with what the tokenizer's run recorded of itself.

    Args:
        tokenizer: that ``resolve`` gave.
        method: that names its words.

    Raises:
        ValueError: a run that is no tokenizer.
    """
    recorded = record.from_json(checkpoints.read_meta(tokenizer.run, tokenizer.step)["config"])
    naming: Any = method
    return naming.with_tokenizer(recorded.method, recorded.encoder)


def begin_with(job: Job, tokenizer: Start) -> Job:
    """A job that begins with the tokenizer's parameters in the state of its method.

    From the first checkpoint on they are the run's own, and the tokenizer's run is not read again.

    Args:
        job: what is run, its method built for the tokenizer.
        tokenizer: that ``resolve`` gave.

    Raises:
        CheckpointError: a tokenizer of images with other channels, or a damaged file.
    """
    meta = checkpoints.read_meta(tokenizer.run, tokenizer.step)
    theirs, ours = (_channels(inputs.of_meta(each)) for each in (meta, job.meta))
    if theirs != ours:
        raise checkpoints.CheckpointError(
            f"tokenizer {tokenizer.run}: must be of images like those of this run, with {ours} "
            f"channels; got {theirs}. Train one on the same data."
        )
    like = {"params": jax.eval_shape(job.initial_state).state[ENTRY]}

    def begin() -> TrainState:
        assert tokenizer.step is not None
        restored = parts.restore_agreeing(tokenizer.run, like, tokenizer.step)
        return keep(job.begin(), {ENTRY: restored["params"]})

    about = f"words of {tokenizer.run} after step {tokenizer.step}"
    return dataclasses.replace(job, about=f"{job.about}\n{about}".strip(), started=begin)


def keep(state: TrainState, kept: PyTree) -> TrainState:
    """A state with the tokenizer that another state of a method has, if it has one."""
    own = {ENTRY: kept[ENTRY]} if ENTRY in kept else {}
    return dataclasses.replace(state, state={**state.state, **own})


def _channels(fed: inputs.Inputs) -> int:
    return next(each.shape[-1] for each in fed if each.name == "image")
