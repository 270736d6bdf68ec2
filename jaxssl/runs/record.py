"""A recipe as a run directory and its checkpoints record it, and what makes a run the same run."""

import dataclasses
import json
from collections.abc import Collection, Mapping
from typing import Any

from jaxssl import data, jsonable, named
from jaxssl.runs.recipe import Fit, Labels, Published, Recipe, Start
from jaxssl.training.config import RunConfig, TrainingConfig
from jaxssl.training.optimizers import OptimizerConfig
from jaxssl.types import MethodConfig

# Fields of a data set that let it be read at all, and change no number of what is read.
ALLOWING = ("num_threads", "num_workers", "max_pixels", "max_unreadable")
# Parts of a recipe that are recorded where there are any.
_OPTIONAL = {
    "start": Start,
    "encoder_weights": Published,
    "labels": Labels,
    "tokenizer": Start,
    "fit": Fit,
}
# Where what a run begins with lies: its content is what counts.
_PLACES = {"start": ("run", "probe"), "tokenizer": ("run", "probe"), "encoder_weights": ("source",)}


def to_json(recipe: Recipe) -> dict:
    """The recipe as JSON values; method, encoder and data set by the names of their classes.

    Watchers are left out: they change no number, and need not be there when a run is looked at.
    """
    unwatched = dataclasses.replace(recipe.run, watchers=())
    run = {name: value for name, value in jsonable.to_json(unwatched).items() if name != "watchers"}
    optional = {
        name: jsonable.to_json(part)
        for name in _OPTIONAL
        if (part := getattr(recipe, name)) is not None
    }
    return {
        "method": named.to_json(recipe.method),
        "encoder": named.to_json(recipe.encoder),
        "data": named.to_json(recipe.data),
        "optimizer": jsonable.to_json(recipe.optimizer),
        "training": jsonable.to_json(recipe.training),
        "run": run,
        **optional,
    }


def from_json(config: Mapping) -> Recipe:
    """The inverse of ``to_json``, also after a trip through JSON, and of earlier versions.

    Args:
        config: what ``to_json`` gave.

    Raises:
        ValueError: a class that is no more, or a field that it does not have.
    """
    return Recipe(
        method=method_from_json(config["method"]),
        encoder=named.from_json(config["encoder"], room="jaxssl.models", does="build"),
        data=data.from_json(config["data"]),
        optimizer=jsonable.from_json(OptimizerConfig, config["optimizer"]),
        training=jsonable.from_json(TrainingConfig, config["training"]),
        run=jsonable.from_json(RunConfig, config["run"]),
        **{
            name: jsonable.from_json(cls, config[name])
            for name, cls in _OPTIONAL.items()
            if name in config
        },
    )


def method_from_json(entry: Mapping) -> MethodConfig:
    """The method of a recorded recipe."""
    return named.from_json(entry, room="jaxssl.methods", does="build")


def complete(config: Mapping, asked: Mapping) -> dict:
    """A recorded recipe in the words and with the fields of today, those it lacks at their default.

    Args:
        config: what ``to_json`` gave, after a trip through JSON.
        asked: of the recipe that it is to be compared with, the same. Before kinds of data were
            named, images and clips were described alike; the record is read as what is asked for.

    Returns:
        The same recorded anew; ``config`` itself where it cannot be read any more.
    """
    try:
        recipe = from_json(config)
        if "fields" not in config["data"] and named.short(asked["data"]["name"]) == "ClipData":
            clips = jsonable.from_json(data.ClipData, config["data"])
            recipe = dataclasses.replace(recipe, data=clips)
        return through_json(to_json(recipe))
    except (ValueError, TypeError, KeyError):
        return dict(config)


def through_json(value: object) -> Any:
    """What is left of a value after it was written and read; tuples are lists."""
    return json.loads(json.dumps(value))


def differing_fields(ours: Mapping, theirs: Mapping, prefix: str = "") -> list[str]:
    """Dotted names of the entries that differ between two JSON objects, "name (ours, theirs)"."""
    names = []
    for name in sorted(ours.keys() | theirs.keys()):
        a, b = ours.get(name), theirs.get(name)
        if isinstance(a, Mapping) and isinstance(b, Mapping):
            names += differing_fields(a, b, f"{prefix}{name}.")
        elif a != b:
            names.append(f"{prefix}{name} ({a}, {b})")
    return names


def differences(ours: Mapping, theirs: Mapping, *, any_data: bool = False) -> list[str]:
    """What makes two runs different ones: their recipes and their data; see ``differing_fields``.

    Where the content of the data is the same, it may lie and be read anywhere.

    Args:
        ours: "config" and "dataset" as a run directory records them.
        theirs: the same of the run that is found there, maybe of an earlier version.
        any_data: whether the content of the data does not count either.
    """
    ours, theirs = through_json(ours), dict(theirs)
    theirs["config"] = complete(theirs["config"], ours["config"])
    same_content = ours["dataset"]["fingerprint"] == theirs["dataset"].get("fingerprint")
    if any_data:
        same_content, theirs["dataset"] = True, ours["dataset"]
    mine, other = (
        without_place(each) if same_content else each
        for each in (
            without_run(run["config"]) | {"dataset": run["dataset"]} for run in (ours, theirs)
        )
    )
    return differing_fields(mine, other)


def without_run(config: Mapping) -> dict:
    """The part of a recipe's JSON that defines the numbers of a run."""
    kept = {name: value for name, value in config.items() if name != "run"}
    for part in _PLACES.keys() & kept.keys():
        places = _PLACES[part]
        kept[part] = {name: value for name, value in kept[part].items() if name not in places}
    return kept | {"data": _without_fields(config["data"], ALLOWING)}


def without_place(run: Mapping) -> dict:
    """A recipe's JSON and "dataset" without where data lie, and how they come into memory."""
    dataset = {name: value for name, value in run["dataset"].items() if name != "name"}
    data_config = _without_fields(run["data"], ("path", "data_dir", "in_memory"))
    return {**run, "dataset": dataset, "data": data_config}


def _without_fields(entry: Mapping, names: Collection[str]) -> dict:
    fields = {name: value for name, value in entry["fields"].items() if name not in names}
    return {**entry, "fields": fields}
