"""A recipe: everything that defines a run, in one frozen dataclass that a config file returns."""

import contextlib
import dataclasses
import difflib
import importlib.machinery
import importlib.util
import json
import sys
import traceback
import types
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Generic, TypeVar

from jaxssl import data, jsonable, models
from jaxssl.training.loop import RunConfig, TrainingConfig
from jaxssl.training.optimizers import OptimizerConfig
from jaxssl.types import DataConfig, MethodConfig

M = TypeVar("M", bound=MethodConfig)
E = TypeVar("E", bound=models.EncoderConfig)
D = TypeVar("D", bound=DataConfig)


@dataclasses.dataclass(frozen=True)
class Recipe(Generic[M, E, D]):
    """What to pretrain, on what, and how.

    Attributes:
        method: the self-supervised method and its hyper-parameters.
        encoder: the network that is kept.
        data: the data set.
        optimizer: optimizer and learning-rate schedule.
        training: batch size, epochs and seed.
        run: backend, logging and checkpoints; changes no number of the run.
    """

    method: M
    encoder: E
    data: D
    optimizer: OptimizerConfig
    training: TrainingConfig
    run: RunConfig = RunConfig()


def load(name: str) -> Recipe:
    """The recipe of a config file.

    Args:
        name: path of a Python file with ``get_config()``, or the name of a shipped one.

    Returns:
        What its ``get_config()`` returns.

    Raises:
        FileNotFoundError: no such file and no such name (names the nearest).
        ValueError: a file without ``get_config()``, or one that returns something else or raises.
    """
    shipped = {path.stem: path for path in shipped_directory().glob("[!_]*.py")}
    path = shipped.get(name, Path(name))
    if not path.is_file():
        near = difflib.get_close_matches(path.stem, shipped, n=1, cutoff=0.0)
        raise FileNotFoundError(
            f"config: must be the path of a config file or one of {', '.join(sorted(shipped))}; "
            f"got {name!r}. Nearest: {near[0]}."
        )
    with _blaming(path):
        module = _run(path)
    if not hasattr(module, "get_config"):
        raise ValueError(f"config {path}: must define get_config(); got a file without it.")
    with _blaming(path):
        config = module.get_config()
    if not isinstance(config, Recipe):
        raise ValueError(
            f"config {path}: get_config() must return a jaxssl.Recipe; got {type(config).__name__}."
        )
    return config


def _run(path: Path) -> types.ModuleType:
    name = f"jaxssl_config_{path.stem}"
    loader = importlib.machinery.SourceFileLoader(name, str(path))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader(name, loader))
    sys.modules[name] = module  # where the annotations of classes that it defines are looked up
    loader.exec_module(module)
    return module


@contextlib.contextmanager
def _blaming(path: Path) -> Iterator[None]:
    """Turns whatever a config file raises into one ValueError that names the file and the line."""
    try:
        yield
    except Exception as error:
        lines = [
            frame.lineno
            for frame in traceback.extract_tb(error.__traceback__)
            if frame.filename == str(path)
        ]
        if isinstance(error, SyntaxError):
            lines.append(error.lineno)
        place = f"{path}, line {lines[-1]}" if lines else f"{path}"
        raise ValueError(
            f"config {place}: must run as Python; got {type(error).__name__}: {error}"
        ) from error


def shipped_directory() -> Path:
    """Where the shipped config files are: in the wheel, or beside the package in a checkout."""
    spec = importlib.util.find_spec("jaxssl.recipes")
    if spec is not None and spec.origin is not None:
        return Path(spec.origin).parent
    return Path(__file__).parent.parent / "configs"


def to_json(recipe: Recipe) -> dict:
    """The recipe as JSON values, with the names of its method and encoder beside their fields."""
    encoder_name, encoder_fields = models.encoder_fields(recipe.encoder)
    return jsonable.to_json(recipe) | {
        "method": {
            "name": type(recipe.method).__name__,
            "fields": jsonable.to_json(recipe.method),
        },
        "encoder": {"name": encoder_name, "fields": encoder_fields},
        "data": data.to_json(recipe.data),
    }


def from_json(config: Mapping, methods: Mapping[str, type[MethodConfig]]) -> Recipe:
    """The inverse of ``to_json``, also after a trip through JSON.

    Args:
        config: what ``to_json`` gave.
        methods: config class of each method by name (``jaxssl.methods.all_configs()``).
    """
    method, encoder = config["method"], config["encoder"]
    return Recipe(
        method=jsonable.from_json(methods[method["name"]], method["fields"]),
        encoder=models.encoder_config(encoder["name"], encoder["fields"]),
        data=data.from_json(config["data"]),
        optimizer=jsonable.from_json(OptimizerConfig, config["optimizer"]),
        training=jsonable.from_json(TrainingConfig, config["training"]),
        run=jsonable.from_json(RunConfig, config["run"]),
    )


def completed(config: Mapping, method: type[MethodConfig]) -> dict:
    """A recorded recipe with the fields that jaxssl has gained since, at their defaults.

    Args:
        config: what ``to_json`` gave, after a trip through JSON.
        method: config class of the method that the recipe is expected to have.

    Returns:
        The same with all of today's fields; ``config`` itself if it is of another method or has a
        field that is no more.
    """
    if config["method"]["name"] != method.__name__:
        return dict(config)
    try:
        return json.loads(json.dumps(to_json(from_json(config, {method.__name__: method}))))
    except ValueError:
        return dict(config)


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


def without_run(config: Mapping) -> dict:
    """The part of a recipe's JSON that defines the numbers of a run."""
    fields = {
        name: value for name, value in config["data"]["fields"].items() if name != "num_threads"
    }
    kept = {name: value for name, value in config.items() if name != "run"}
    return kept | {"data": {**config["data"], "fields": fields}}
