"""A run that begins with what another one has learnt."""

import dataclasses
import functools
import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxssl import checkpoints, data, inputs, named, parallel
from jaxssl import meta as meta_lib
from jaxssl.checkpoints import parts
from jaxssl.evaluation import kept_probe, layers
from jaxssl.runs import directory as directories
from jaxssl.runs import fitted_head
from jaxssl.runs.directory import RunDirectory
from jaxssl.runs.recipe import Recipe, Start
from jaxssl.training.job import Job
from jaxssl.types import PyTree, TrainState


class Resolved(NamedTuple):
    """What of a start is read, once ``resolve`` has found it.

    Attributes:
        run: directory.
        step: of its checkpoint.
        probe: file of the head's probe; "" without one.
    """

    run: str
    step: int
    probe: str


def resolve(start: Start, directory: RunDirectory, *, part: str, caller: str) -> Start:
    """The start with its step and what identifies its content.

    A run that has saved needs the other one no more: asked for the same run and step by name, it
    takes the record of what it began with.

    Args:
        start: what is asked for.
        directory: of the run that begins with it, or goes on.
        part: of the recipe that it is, "start" or "tokenizer".
        caller: what messages begin with.

    Raises:
        CheckpointError: a run without a checkpoint, or without that one.
        FileNotFoundError: no such probe.
    """
    run = str(Path(start.run).absolute())
    found = directories.read_identity(directory)
    if found is not None and checkpoints.complete_steps(directory.path):
        recorded = found["config"].get(part) or {}
        same_head = (recorded.get("probe", ""), recorded.get("fit_head", False)) == (
            start.probe,
            start.fit_head,
        )
        if recorded.get("run") == run and start.step in (None, recorded["step"]) and same_head:
            return Start(**recorded)
    step, sha256 = parts.fingerprint(run, start.step, caller=caller)
    probe = hashlib.sha256(Path(start.probe).read_bytes()).hexdigest() if start.probe else ""
    return Start(run, step, sha256, start.probe, probe, start.fit_head)


def begin_from(job: Job, recipe: Recipe, source: data.Source) -> Job:
    """A job whose first state is that of ``recipe.start``, as far as the two agree.

    The encoder is the one that evaluation would restore. Of a run of the same method follow the
    other groups of parameters, and what the method keeps beside them, wherever a group has the same
    leaves; the rest, and the optimizer's state, begin anew. With a probe the head is that, or one
    that is fitted to the labels that are kept.

    Args:
        job: what is run, built without a start.
        recipe: of it, with a start that ``resolve`` gave.
        source: what it learns from.

    Raises:
        CheckpointError: another encoder, of which up to five leaves are named; or a damaged file.
        ValueError: a probe of another encoder, of other classes or of another layer; a head that is
            no classifier; a fit to all labels.
    """
    _check_head(recipe)
    start = _start_of(recipe)
    meta = checkpoints.read_meta(start.run, start.step)
    encoder = recipe.encoder.build()
    fed = inputs.shapes(_fed(inputs.of_meta(meta), inputs.of_meta(job.meta))).values()
    like = jax.eval_shape(lambda *x: encoder.init(jax.random.key(0), *x, train=False), *fed)
    parts.check_encoder(start.run, like, start.step)
    groups = _groups(job.like)
    is_same_method = meta_lib.method_name(meta) == named.to_json(recipe.method)["name"]
    taken = parts.agreeing(start.run, groups, start.step) if is_same_method else {}
    # A name counts as taken when both its parameters and its state are; the encoder always is.
    head = _read_head(recipe) if start.probe else None
    fits = recipe.start is not None and recipe.start.fit_head
    known = {"encoder", "head"} if fits or head is not None else {"encoder"}
    anew = {_name(group) for group in groups.keys() - taken.keys()} - known
    begun = [name for name in dict.fromkeys(map(_name, groups)) if name not in anew]
    about = f"starting from {start.run} after step {start.step}: {', '.join(begun)}"
    if head is not None:
        about += f"; head: the probe {start.probe}"
    if fits:
        about += f"; head: the linear classifier of these {len(source):,} labels"
    if anew:
        about += f"; anew: {', '.join(sorted(anew))}"
    return dataclasses.replace(
        job,
        about=f"{job.about}\n{about}".strip(),
        started=functools.partial(_restored, job, recipe, taken, head, source if fits else None),
    )


def first_state(
    job: Job,
    recipe: Recipe,
    variables: PyTree,
    values: Mapping[str, PyTree],
    *,
    head: tuple[np.ndarray, np.ndarray] | None = None,
) -> TrainState:
    """The state that a run begins with whose encoder has these variables.

    Args:
        job: what is run, built without a start.
        recipe: of it.
        variables: of its encoder.
        values: of other groups of the state, by their paths, "params/projector".
        head: kernel [D, K] and bias [K] of a linear classifier in the place of the method's.
    """

    def begin(variables: PyTree, values: Mapping[str, PyTree]) -> TrainState:
        # A copy each, since the state is donated.
        variables, values = jax.tree.map(jnp.copy, (variables, values))
        axis_name = parallel.axis_of(job.backend)
        encoder = init_at(recipe.encoder.build(axis_name=axis_name), variables)
        method = recipe.method.build(encoder, axis_name=axis_name)
        state = dataclasses.replace(job, method=method).initial_state()
        params, kept = (
            {name: values.get(f"{kind}/{name}", tree) for name, tree in trees.items()}
            for kind, trees in (("params", state.params), ("state", state.state))
        )
        if head is not None:
            params, kept = recipe.method.with_classifier(params, kept, *map(jnp.asarray, head))
        return TrainState(state.step, params, kept, job.optimizer.init(params))

    return jax.jit(begin)(variables, values)


def _start_of(recipe: Recipe) -> Resolved:
    """The start that ``resolve`` gave."""
    start = recipe.start
    assert start is not None and start.step is not None
    return Resolved(start.run, start.step, start.probe)


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


def _check_head(recipe: Recipe) -> None:
    """Refuses a start of the head that the method or the labels cannot have."""
    start = recipe.start
    assert start is not None
    name = "start.fit_head" if start.fit_head else "start.probe"
    if (start.probe or start.fit_head) and not hasattr(recipe.method, "with_classifier"):
        raise ValueError(
            f"{name}: must go with a method whose head names classes; got "
            f"{named.short(recipe.method)}. Leave it out, or fine-tune: jaxssl finetune."
        )
    if start.fit_head and recipe.labels is None:
        raise ValueError(
            "start.fit_head: must go with few labels, which the head is fitted to at once; got all "
            "of them. Fit a probe to them, jaxssl linear-eval, and give it as start.probe."
        )
    if start.fit_head and start.probe:
        raise ValueError(
            f"start.fit_head: must go without a probe; got {start.probe}. Leave one of them out."
        )


def _read_head(recipe: Recipe) -> tuple[np.ndarray, np.ndarray]:
    """Kernel [D, K] and bias [K] of the probe that a recipe's head begins with, float32."""
    start = _start_of(recipe)
    probe = kept_probe.restore_probe(start.run, start.probe)
    if probe.layer != layers.POOLED.name:
        raise ValueError(
            f"start.probe {start.probe}: must read the pooled features, as the head does; got one "
            f"of {probe.layer}. Fit such a one: jaxssl linear-eval {start.run}."
        )
    if probe.about.step != start.step:
        raise ValueError(
            f"start.probe {start.probe}: must be of step {start.step}, as the encoder is; got one "
            f"of step {probe.about.step}. Fit such a one: jaxssl linear-eval {start.run} --step "
            f"{start.step}."
        )
    names = recipe.method.class_names
    if probe.class_names != names:
        raise ValueError(
            f"start.probe {start.probe}: its classes must be those of the data, "
            f"{', '.join(names)}; got {', '.join(probe.class_names)}. Begin "
            "with a new head."
        )
    kernel, bias = probe.folded()
    return kernel.astype(np.float32), bias.astype(np.float32)


def _restored(
    job: Job,
    recipe: Recipe,
    taken: dict[str, PyTree],
    head: tuple[np.ndarray, np.ndarray] | None,
    fitted_to: data.Source | None,
) -> TrainState:
    start = _start_of(recipe)
    variables = parts.restore_variables(start.run, start.step)
    values = parts.restore_agreeing(start.run, taken, start.step) if taken else {}
    if fitted_to is not None:
        # Of the encoder as it begins, whose positions may have been resized.
        begun = first_state(job, recipe, variables, values)
        begun_encoder = job.method.encoder(begun.params, begun.state)
        head = fitted_head.fit(recipe, begun_encoder, fitted_to)
    return first_state(job, recipe, variables, values, head=head)


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
