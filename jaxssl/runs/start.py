"""A run that begins with what another one has learnt."""

import dataclasses
import functools
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp

from jaxssl import checkpoints, inputs, named, parallel
from jaxssl.checkpoints import parts
from jaxssl.runs import directory as directories
from jaxssl.runs.directory import RunDirectory
from jaxssl.runs.recipe import Recipe, Start
from jaxssl.training.job import Job
from jaxssl.types import PyTree, TrainState


def resolve(start: Start, directory: RunDirectory) -> Start:
    """The start with its step and what identifies its content.

    A run that has saved needs the other one no more: asked for the same run and step by name, it
    takes the record of what it began with.

    Args:
        start: what is asked for.
        directory: of the run that begins with it, or goes on.

    Raises:
        CheckpointError: a run without a checkpoint, or without that one.
    """
    run = str(Path(start.run).absolute())
    found = directories.read_identity(directory)
    if found is not None and checkpoints.complete_steps(directory.path):
        recorded = found["config"].get("start") or {}
        if recorded.get("run") == run and start.step in (None, recorded["step"]):
            return Start(**recorded)
    step, sha256 = parts.fingerprint(run, start.step)
    return Start(run, step, sha256)


def begin_from(job: Job, recipe: Recipe) -> Job:
    """A job whose first state is that of ``recipe.start``, as far as the two agree.

    The encoder is the one that evaluation would restore. Of a run of the same method follow the
    other groups of parameters, and what the method keeps beside them, wherever a group has the same
    leaves; the rest, and the optimizer's state, begin anew.

    Args:
        job: what is run, built without a start.
        recipe: of it, with a start that ``resolve`` gave.

    Raises:
        CheckpointError: another encoder, of which up to five leaves are named; or a damaged file.
    """
    start = recipe.start
    meta = checkpoints.read_meta(start.run, start.step)
    encoder = recipe.encoder.build()
    fed = inputs.shapes(_fed(inputs.of_meta(meta), inputs.of_meta(job.meta))).values()
    like = jax.eval_shape(lambda *x: encoder.init(jax.random.key(0), *x, train=False), *fed)
    parts.check_encoder(start.run, like, start.step)
    groups = _groups(jax.eval_shape(job.initial_state))
    is_same_method = meta["config"]["method"]["name"] == named.to_json(recipe.method)["name"]
    taken = parts.agreeing(start.run, groups, start.step) if is_same_method else {}
    # A name counts as taken when both its parameters and its state are; the encoder always is.
    anew = {_name(group) for group in groups.keys() - taken.keys()} - {"encoder"}
    begun = [name for name in dict.fromkeys(map(_name, groups)) if name not in anew]
    about = f"starting from {start.run} after step {start.step}: {', '.join(begun)}"
    if anew:
        about += f"; anew: {', '.join(sorted(anew))}"
    return dataclasses.replace(
        job,
        about=f"{job.about}\n{about}".strip(),
        started=functools.partial(_first_state, job, recipe, taken),
    )


def init_at(module: Any, variables: PyTree) -> Any:
    """A linen module whose ``init`` gives these variables: what copies them copies what it should.

    Args:
        module: an encoder, whatever a method may ask of it.
        variables: of it.
    """
    begun = module.clone()
    # Past linen's own __setattr__: an instance of the very class, which methods look at.
    object.__setattr__(begun, "init", lambda key, *args, **kwargs: variables)
    return begun


def _first_state(job: Job, recipe: Recipe, taken: dict[str, PyTree]) -> TrainState:
    start = recipe.start
    variables = parts.restore_variables(start.run, start.step)
    values = parts.restore_agreeing(start.run, taken, start.step) if taken else {}

    def begin(variables: PyTree, values: dict[str, PyTree]) -> TrainState:
        # A copy each, since the state is donated.
        variables, values = jax.tree.map(jnp.copy, (variables, values))
        encoder = init_at(recipe.encoder.build(axis_name=parallel.AXIS), variables)
        method = recipe.method.build(encoder, axis_name=parallel.AXIS)
        state = dataclasses.replace(job, method=method).initial_state()
        params, kept = (
            {name: values.get(f"{kind}/{name}", tree) for name, tree in trees.items()}
            for kind, trees in (("params", state.params), ("state", state.state))
        )
        return TrainState(state.step, params, kept, job.optimizer.init(params))

    return jax.jit(begin)(variables, values)


def _groups(state: TrainState) -> dict[str, PyTree]:
    """The entries of parameters and of the method's state, by their paths."""
    kinds = (("params", state.params), ("state", state.state))
    return {f"{kind}/{name}": tree for kind, trees in kinds for name, tree in trees.items()}


def _name(group: str) -> str:
    """ "projector" of "params/projector"."""
    return group.partition("/")[2]


def _fed(there: inputs.Inputs, here: inputs.Inputs) -> inputs.Inputs:
    """What an encoder was fed there, with the channels of here.

    Sizes may differ, to which a table of positions is resized; channels may not.
    """
    shapes = {each.name: each.shape for each in here}
    return tuple(
        each._replace(shape=(*each.shape[:-1], *shapes.get(each.name, each.shape)[-1:]))
        for each in there
    )
