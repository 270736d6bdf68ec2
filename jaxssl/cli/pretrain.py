"""``pretrain CONFIG --out DIR``: train an encoder; the same command again resumes."""

import dataclasses
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated, Generic

import jax
import tyro

from jaxssl.cli import arguments, console, option_names, view_sizes
from jaxssl.runs import pretrain, recipe, standardising
from jaxssl.runs.recipe import D, E, M


@dataclasses.dataclass(frozen=True)
class Pretrain(Generic[M, E, D]):
    """Pretrains an encoder. The same command on the same --out resumes where it stopped.

    Attributes:
        out: run directory; gets config.json, metrics.jsonl and checkpoints/.
        recipe: what to run.
        init_from: run directory; this run begins with its encoder, and with all else that agrees.
        init_from_step: which of its checkpoints; the newest if left out.
        restore_config: write a damaged config.json anew from the newest checkpoint.
        coordinator: host:port of process 0, for a run of several processes.
        num_processes: processes of the run, one if left out; with 0, the cluster's own variables
            decide (Slurm, TPU pod, Kubernetes).
        process_id: this process, from 0.
    """

    out: Path
    recipe: Annotated[recipe.Recipe[M, E, D], tyro.conf.arg(name="")]
    init_from: Path | None = None
    init_from_step: int | None = None
    restore_config: bool = False
    coordinator: str | None = None
    num_processes: int | None = None
    process_id: int | None = None

    def unused(self) -> dict[str, str]:
        """What asks for another option to be there."""
        needs = {"coordinator": "num_processes", "process_id": "num_processes"}
        needs["init_from_step"] = "init_from"
        return {
            name: f"it takes --{other.replace('_', '-')} too"
            for name, other in needs.items()
            if not getattr(self, other)
        }


def run(words: Sequence[str]) -> None:
    """``jaxssl pretrain CONFIG --out DIR [--field value …]``."""
    if words and words[0] in ("-h", "--help"):
        words = ["simclr_fashion_mnist", "--help"]
    if not words or words[0].startswith("-"):
        raise recipe.NoRecipeError(
            "pretrain: must be followed by a config, a file of your own or one of these:"
        )
    name, *overrides = words
    default = recipe.load(name)
    sizes = view_sizes.following(default, overrides)
    # Narrowed to the config's own kinds, so that each of their fields is an option.
    options = arguments.parse(
        Pretrain[type(default.method), type(default.encoder), type(default.data)],
        [*overrides, *sizes],
        prog=f"jaxssl pretrain {name}",
        default=Pretrain(out=tyro.MISSING, recipe=default),
    )
    _join_processes(options)
    shown = console.literal(quiet=jax.process_index() > 0)
    if sizes:
        shown.out(view_sizes.describe(sizes), highlight=False)
    asked = options.recipe
    if options.init_from is not None:
        start = recipe.Start(str(options.init_from), options.init_from_step)
        asked = dataclasses.replace(asked, start=start)
    to_measure = _to_measure(asked, default, option_names.typed(overrides))
    restores = options.restore_config
    pretrain.run(asked, options.out, shown, to_measure, restore_config=restores)


def _to_measure(
    asked: recipe.Recipe, default: recipe.Recipe, typed: Collection[str]
) -> tuple[str, ...]:
    """Of the encoder's mean and std those that nobody typed, where the data are not the recipe's.

    The recipe's own are those of its data.
    """
    path, usual = (getattr(each.data, "path", None) for each in (asked, default))
    if path == usual:
        return ()
    return tuple(
        name
        for name in standardising.FIELDS
        if hasattr(asked.encoder, name) and f"encoder.{name}" not in typed
    )


def _join_processes(options: Pretrain) -> None:
    """Joins the other processes of the run, before anything touches a device."""
    if options.num_processes in (None, 1):
        return
    if options.num_processes == 0:
        jax.distributed.initialize()
        return
    numbered = options.process_id in range(options.num_processes)
    if options.coordinator is None or not numbered:
        raise ValueError(
            f"--num-processes {options.num_processes}: needs --coordinator HOST:PORT and "
            f"--process-id 0 to {options.num_processes - 1}; got {options.coordinator} and "
            f"{options.process_id}."
        )
    jax.distributed.initialize(options.coordinator, options.num_processes, options.process_id)
