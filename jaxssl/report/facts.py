"""What a run is: command, commit, date, device, versions, data, size; and all of its recipe."""

import jax
import numpy as np

from jaxssl import named
from jaxssl.report.page import Table
from jaxssl.runs import invocations, recipes_apart
from jaxssl.runs.opened import OpenedRun
from jaxssl.training import writers
from jaxssl.types import PyTree


def about(run: OpenedRun) -> Table:
    """The facts of a run, those that are not recorded left out."""
    meta, recipe = run.meta, run.recipe
    dataset = meta["dataset"]
    calls = invocations.read(run.directory)
    rows = []
    if calls:
        last = calls[-1]
        rows.append(("command", last["command"]))
        dates = dict.fromkeys(call["date"] for call in calls)
        rows.append(("begun" if len(dates) == 1 else "begun, went on", ", ".join(dates)))
        rows.append(("device", f"{last['num_devices']} x {last['device']}"))
        if "commit" in last:
            rows.append(("commit of jaxssl", last["commit"]))
    if seconds := _seconds(run):
        rows.append(("training", f"{_duration(seconds)}, without compiling"))
    of_calls = calls[-1]["versions"] if calls else meta["versions"]
    rows.append(("versions", ", ".join(f"{name} {each}" for name, each in of_calls.items())))
    size = f"{dataset['size']:,} {recipe.data.unit}"
    rows.append(("data set", f"{dataset['name']}, {dataset['split']}: {size}"))
    method, encoder = named.short(recipe.method), named.short(recipe.encoder)
    rows.append(("method, encoder", f"{method}, {encoder}"))
    own, whole = _count(run.params["encoder"]), _count(run.params)
    rows.append(("parameters", f"{own:,} of the encoder, {whole:,} in all"))
    optimizer, training = recipe.optimizer, recipe.training
    rows.append(
        (
            "optimisation",
            f"{optimizer.name}, base learning rate {optimizer.base_learning_rate:g}, batches of "
            f"{training.batch_size:,}, {training.epochs:g} epochs, seed {training.seed}",
        )
    )
    rows.append(("step shown", f"{run.step:,} of {meta['plan']['total_steps']:,}"))
    if (start := recipe.start) is not None:
        head = "; a head fitted to the labels" if start.fit_head else ""
        head = f"; the head {start.probe}" if start.probe else head
        rows.append(("begun with", f"the encoder of {start.run}, step {start.step}{head}"))
    if recipe.encoder_weights is not None:
        rows.append(("begun with", recipe.encoder_weights.source))
    return Table("This run", "", (), tuple(rows), "facts")


def recipe_of(run: OpenedRun) -> Table:
    """Every field of the recipe as it was asked for."""
    fields = recipes_apart.fields_of(run.meta.get("identity", run.meta))
    rows = tuple((name, recipes_apart.shown(value)) for name, value in fields.items())
    return Table("Recipe", "Every field that changes a number.", (), rows, "facts", folded=True)


def _count(params: PyTree) -> int:
    return sum(int(np.prod(leaf.shape)) for leaf in jax.tree.leaves(params))


def _seconds(run: OpenedRun) -> float:
    """What the steps of the rows took, by the speed that was logged with each."""
    path = run.directory.metrics
    rows = writers.read(path) if path.exists() else []
    seconds, before = 0.0, 0
    for row in rows:
        if row["step"] <= run.step:
            num_examples = (row["step"] - before) * run.meta["plan"]["batch_size"]
            seconds += num_examples / row["images_per_second"]
            before = row["step"]
    return seconds


def _duration(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} seconds"
    return f"{seconds / 60:.0f} minutes" if seconds < 7200 else f"{seconds / 3600:.1f} hours"
