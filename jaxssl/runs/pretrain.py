"""From a recipe to a trained encoder in a run directory."""

import contextlib
import dataclasses
import functools
import json
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.experimental import multihost_utils
from rich.console import Console

import jaxssl
from jaxssl import checkpoints, cropping, data, draws, files, inputs, models, named, parallel
from jaxssl.runs import (
    changed_data,
    fitting,
    host_crops,
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
from jaxssl.types import Array, Batch, Method, MethodConfig, PyTree

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
            identity = _as_recorded(_identity(recipe, source), source, directory)
            job = build(prepared, source, loader)
            probes = probed.watchers_of(prepared, source)
            job = dataclasses.replace(job, meta={**job.meta, "identity": identity})
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
                changes = changed_data.accept(directory, identity, prepared, job.plan)
            claim(directory, identity, changes_data=bool(changes))
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
        "dataset": _dataset(recipe, source),
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
        about="\n".join(
            [
                _about(recipe, source),
                *data.account_of(source).notes,
                *_about_views(recipe, method, example),
            ]
        ),
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


def claim(directory: RunDirectory, identity: Mapping, *, changes_data: bool = False) -> None:
    """Writes config.json into a run directory that is new, of this run, or has saved nothing.

    Args:
        directory: of the run.
        identity: what config.json is to say.
        changes_data: whether the run goes on with other data; see ``changed_data.accept``.

    It is written once, and again only where it says another thing: where data lie, or how it runs.

    Raises:
        ValueError: it holds another run.
    """
    found = directories.read_identity(directory)
    if found is not None and checkpoints.complete_steps(directory.path):
        differing = record.differences(identity, found)
        if differing and not changes_data:
            fix = "Choose another --out."
            if not record.differences(identity, found, any_data=True):
                fix = (
                    "Choose another --out, bring the data back, or go on with them as they are: "
                    "--run.accept-changed-data."
                )
            raise ValueError(
                f"--out {directory.path}: must be new or the directory of this very run; it holds "
                f"another one, which differs in (now, there): {', '.join(differing[:5])}. {fix}"
            )
    if jax.process_count() > 1:  # what the first one writes, the others must not find
        multihost_utils.sync_global_devices("jaxssl: run directory checked")
    if jax.process_index() == 0 and found != record.through_json(identity):
        files.write_whole(directory.config, json.dumps(identity, indent=1) + "\n")


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


def _identity(recipe: Recipe, source: data.Source) -> dict:
    """What makes a run this run, as config.json records it."""
    return {"config": record.to_json(recipe), "dataset": _dataset(recipe, source)}


def _as_recorded(identity: dict, source: data.Source, directory: RunDirectory) -> dict:
    """The identity by the fingerprint that the directory holds, where an earlier version made it.

    Films were read whole for it, which only such a record is worth.
    """
    found = directories.read_identity(directory)
    if found is None or not hasattr(source, "former_fingerprint"):
        return identity
    dataset, recorded = identity["dataset"], found["dataset"].get("fingerprint")
    if recorded == dataset["fingerprint"] or recorded != source.former_fingerprint():
        return identity
    return {**identity, "dataset": {**dataset, "fingerprint": recorded}}


def _dataset(recipe: Recipe, source: data.Source) -> dict:
    return {
        "name": source.name,
        "split": recipe.data.train_split,
        "size": len(source),
        "fingerprint": source.fingerprint,
    }


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


def _about(recipe: Recipe, source: data.Source) -> str:
    """The line about method, data and learning rate."""
    optimizer, batch_size = recipe.optimizer, recipe.training.batch_size
    peak = optimizers.peak_learning_rate(optimizer, batch_size)
    how_many = f"{len(source):,} {recipe.data.unit}"
    if divided := data.account_of(source).divided:
        how_many = f"{divided} (--data.train-split all takes them too)"
    if labelled.reads(recipe.method):
        how_many += f" with their labels{labelled.describe(recipe.labels)}"
    return (
        f"{named.short(recipe.method)} of a {named.short(recipe.encoder)} on {source.name}: "
        f"{how_many}{value_range.describe(recipe)}; {optimizer.name} with learning rate {peak:g} = "
        f"{optimizer.base_learning_rate:g} x {batch_size} / 256"
    )


def _about_views(recipe: Recipe, method: Method, example: inputs.Inputs) -> list[str]:
    """The line about what the network sees, where it sees images: sizes, mean and deviation."""
    one = {name: jax.ShapeDtypeStruct(shape, dtype) for name, shape, dtype in example}
    made = jax.eval_shape(method.view, jax.eval_shape(lambda: jax.random.key(0)), one)
    seen: tuple[int, ...] = next(
        (one[name].shape for name in ("image", "video") if name in one), ()
    )
    sizes = {
        leaf.shape[-3:]
        for leaf in jax.tree.leaves(made)
        if leaf.ndim >= 3
        and leaf.shape[-1:] == seen[-1:]
        and jnp.issubdtype(leaf.dtype, jnp.floating)
    }
    if not sizes:
        return []
    views = " and ".join(" x ".join(map(str, size)) for size in sorted(sizes, reverse=True))
    line = f"views {views}, of {recipe.data.unit} {' x '.join(map(str, seen))}"
    if host_crops.is_host(recipe):
        line = f"views {views}, cut out of whole {recipe.data.unit} (--data.crops host)"
    mean, std = (getattr(recipe.encoder, name, None) for name in ("mean", "std"))
    if mean is not None and std is not None:
        line += f"; the encoder's mean {_numbers(mean)} and std {_numbers(std)}"
    if seen and seen[-1] not in (1, 3):
        line += "; no change of saturation or hue and no greyscale, which RGB alone has"
    return [line]


def _numbers(values: float | tuple[float, ...]) -> str:
    return " ".join(f"{value:g}" for value in np.ravel(values))


def _ending(outcome: loop.Outcome) -> str:
    if not outcome.saved:
        return "stopped, not saved since it may have collapsed,"
    return "stopped and saved" if outcome.stopped else "done"
