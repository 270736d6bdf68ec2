"""From a recipe to a trained encoder in a run directory."""

import contextlib
import dataclasses
import functools
from collections.abc import Callable, Collection, Iterator
from pathlib import Path
from typing import Any

import jax
import numpy as np
from rich.console import Console

import jaxssl
from jaxssl import checkpoints, cropping, data, draws, inputs, models, named, parallel
from jaxssl.runs import (
    changed_data,
    first_lines,
    fitting,
    host_crops,
    identity,
    invocations,
    labelled,
    probed,
    published,
    record,
    restoring,
    standardising,
    value_range,
)
from jaxssl.runs import directory as directories
from jaxssl.runs import start as starts
from jaxssl.runs import tokenizer as tokenizers
from jaxssl.runs.directory import RunDirectory
from jaxssl.runs.recipe import Recipe
from jaxssl.training import loop, memory, optimizers
from jaxssl.training.job import Job
from jaxssl.types import Array, Batch, MethodConfig, PyTree

NUM_SAMPLED = 5000  # images that the statistics of a data set are taken from


def run(
    recipe: Recipe,
    out: Path,
    console: Console,
    to_measure: Collection[str] = (),
    *,
    restore_config: bool = False,
) -> loop.Outcome:
    """Pretrains as a recipe says; the same recipe on the same directory goes on.

    Args:
        recipe: what is run.
        out: run directory, new or of the same recipe.
        console: where the progress goes.
        to_measure: of the encoder's "mean" and "std", those to be taken from the data; see
            ``standardising.settle``.
        restore_config: write a damaged config.json anew from the newest checkpoint.

    Returns:
        How the run ended.

    Raises:
        ValueError: a directory that is in use, of another run, or of something else; or a recipe
            whose parts do not fit each other. Nothing is written.
    """
    directory = RunDirectory(out)
    recipe.training.check_devices(jax.device_count())
    _check_encoder(recipe)
    with directories.hold(directory):
        note = restoring.restore_config(directory) if restore_config else ""
        if note:
            console.print(note, soft_wrap=True, highlight=False, markup=False)
        directories.check_is_run(directory)
        say = functools.partial(console.out, highlight=False)
        recipe, to_measure, weights = published.settle(recipe, to_measure, directory, say)
        if recipe.start is not None:
            start = starts.resolve(recipe.start, directory, part="start", caller="init_from")
            recipe = dataclasses.replace(recipe, start=start)
        recipe = tokenizers.resolve(recipe, directory)
        recipe, source = _open(recipe, to_measure, directory, say)
        prepared = prepare_once(recipe, source, directory)
        make_job = functools.partial(_made, prepared, source)
        batch_size, note = fitting.settle_batch(recipe, len(source), make_job)
        if note:
            say(note)
        recipe, prepared = (fitting.with_batch(each, batch_size) for each in (recipe, prepared))
        with _loader(recipe, source) as loader:
            known = identity.as_recorded(identity.of(recipe, source), source, directory)
            job = build(prepared, source, loader)
            probes = probed.watchers_of(prepared, source)
            job = dataclasses.replace(job, meta={**job.meta, "identity": known})
            if not checkpoints.complete_steps(directory.path):
                if recipe.start is not None:
                    job = starts.begin_from(job, prepared, source)
                if weights is not None:
                    job = published.begin_with(job, prepared, weights)
                if recipe.tokenizer is not None:
                    job = tokenizers.begin_with(job, recipe.tokenizer)
            memory.check(job, recipe.run.device_memory_gb)
            changes = ""
            if recipe.run.accept_changed_data:
                changes = changed_data.accept(directory, known, prepared, job.plan)
            identity.claim(directory, known, changes_data=bool(changes))
            invocations.note(directory)
            if changes:
                console.print(changes, soft_wrap=True, markup=False, highlight=False)
            watchers = [*loop.watchers_of(recipe.run, directory, console), *probes]
            outcome = loop.train(job, recipe.run, directory, console, watchers)
    console.out(f"{_ending(outcome)} after step {outcome.step} of {outcome.total_steps}: {out}")
    return outcome


def _open(
    recipe: Recipe, to_measure: Collection[str], directory: RunDirectory, say: Callable[[str], None]
) -> tuple[Recipe, data.Source]:
    """The training split as far as it is learned from, and the recipe with what follows from it."""
    recipe = fitting.begin(value_range.as_recorded(recipe, directory), directory)
    source = labelled.keep(recipe, recipe.data.open(recipe.data.train_split))
    recipe, note = fitting.settle_channels(recipe, source)
    if note:
        say(note)
        source = labelled.keep(recipe, recipe.data.open(recipe.data.train_split))
    recipe = value_range.as_measured(recipe, source)
    recipe = host_crops.settle(recipe, source, directory)
    fields = to_measure or (recipe.fit.moments if recipe.fit is not None else ())
    recipe, note = standardising.settle(recipe, fields, source, directory)
    if note:
        say(note)
    return recipe, source


@contextlib.contextmanager
def _made(recipe: Recipe, source: data.Source, batch_size: int) -> Iterator[Job]:
    """The job of another batch, while its data are read."""
    recipe = fitting.with_batch(recipe, batch_size)
    with _loader(recipe, source) as loader:
        yield build(recipe, source, loader)


def build(recipe: Recipe, source: data.Source, loader: data.Loader) -> Job:
    """Builds every part of a run.

    Args:
        recipe: with its method prepared for the data set.
        source: the training split.
        loader: of it.
    """
    _check_vocabulary(recipe)
    axis_name = parallel.axis_of(recipe.run.backend)
    encoder = recipe.encoder.build(axis_name=axis_name)
    if recipe.training.num_micro_batches > 1:
        encoder = models.over_micro_batches(encoder, recipe.training.num_micro_batches)
    method = recipe.method.build(encoder, axis_name=axis_name)
    plan = recipe.training.plan(loader.steps_per_epoch, freezes=method.frozen is not None)
    example = inputs.of_example(jax.tree.map(lambda rows: rows[0], loader.example(whole=True)))
    fed = inputs.of_method(method, example)

    def pooled_features(variables: PyTree, batch: Batch) -> Array:
        made = jax.vmap(method.inputs)(draws.without_labels(cropping.first_view(batch)))
        return encoder.apply(variables, *inputs.read(fed, made), train=False).pooled

    meta = {
        "encoder": named.to_json(recipe.encoder),
        "inputs": inputs.to_json(fed),
        "example": inputs.to_json(example),
        "config": record.to_json(recipe),
        "plan": plan._asdict(),
        "dataset": identity.dataset(recipe, source),
        "versions": {"jaxssl": jaxssl.__version__, "jax": jax.__version__},
    }
    return Job(
        method=method,
        optimizer=optimizers.build(recipe.optimizer, plan),
        schedule=optimizers.schedule(recipe.optimizer, plan),
        loader=loader,
        plan=plan,
        seed=recipe.training.seed,
        meta=meta,
        pooled_features=pooled_features,
        about="\n".join(first_lines.of(recipe, source, method, example)),
        unit=recipe.data.unit,
        backend=recipe.run.backend,
        shard=recipe.run.shard,
        num_micro_batches=recipe.training.num_micro_batches,
    )


def prepare(method: MethodConfig, source: data.Source) -> MethodConfig:
    """The method with what it asks of a data set, where it asks for anything.

    Args:
        method: a config; see ``types.MethodConfig``.
        source: of the training split.
    """
    if labelled.reads(method):
        reading: Any = method
        return reading.with_classes(labelled.class_names(method, source))
    if not hasattr(method, "prepare"):
        return method
    return method.prepare(len(source), functools.partial(_sample, source))


def prepare_once(recipe: Recipe, source: data.Source, directory: RunDirectory) -> Recipe:
    """The recipe with its method prepared for the data set, and for the words that it names.

    A run that is resumed keeps what it began with, to the last bit, whatever machine goes on.
    """
    method = recipe.method
    is_asked = hasattr(method, "prepare") or labelled.reads(method) or tokenizers.names(method)
    if is_asked and checkpoints.complete_steps(directory.path):
        recorded = checkpoints.read_meta(directory.path)["config"]["method"]
        if named.short(recorded["name"]) == named.short(method):  # else refused by claim
            return dataclasses.replace(recipe, method=record.method_from_json(recorded))
    if recipe.tokenizer is not None:
        method = tokenizers.hand_over(recipe.tokenizer, method)
    return dataclasses.replace(recipe, method=prepare(method, source))


def _check_encoder(recipe: Recipe) -> None:
    """Refuses an encoder that the method cannot have before any data are read.

    Methods that are told something of the data first are built when it is known.
    """
    method = recipe.method
    if hasattr(method, "prepare") or labelled.reads(method) or tokenizers.names(method):
        return
    axis_name = parallel.axis_of(recipe.run.backend)
    method.build(recipe.encoder.build(axis_name=axis_name), axis_name=axis_name)


def _check_vocabulary(recipe: Recipe) -> None:
    """Refuses an encoder of another number of tokens than the data have."""
    network = getattr(recipe.encoder, "text", recipe.encoder)
    theirs, ours = (getattr(part, "vocabulary", None) for part in (recipe.data, network))
    if theirs is not None and ours is not None and theirs != ours:
        option = "encoder.vocabulary" if network is recipe.encoder else "encoder.text.vocabulary"
        raise ValueError(
            f"{option}: must be that of the data, {theirs:,} tokens with the separator "
            f"and the mask; got {ours:,}. Set --{option} {theirs}."
        )


def _loader(recipe: Recipe, source: data.Source) -> data.Loader:
    return data.Loader(
        source,
        batch_size=recipe.training.batch_size,
        seed=recipe.training.seed,
        process=(jax.process_index(), jax.process_count()),
        num_threads=recipe.data.num_threads,
        num_workers=getattr(recipe.data, "num_workers", 0),  # texts are in memory
        labels=labelled.reads(recipe.method),
        crops=host_crops.asked_for(recipe),
    )


def _sample(source: data.Source, count: int | None = None) -> np.ndarray:
    """Images spread evenly over a split, of clips all their frames; uint8 [N, H, W, C]."""
    count = count or NUM_SAMPLED
    columns = source[0]
    if "video" in columns:
        num_clips = max(count // len(columns["video"]), 1)
        clips = data.sample(source, num_clips).columns["video"]
        return clips.reshape(-1, *clips.shape[2:])
    return data.sample(source, count).columns["image"]


def _ending(outcome: loop.Outcome) -> str:
    if not outcome.saved:
        return "stopped, not saved since it may have collapsed,"
    return "stopped and saved" if outcome.stopped else "done"
