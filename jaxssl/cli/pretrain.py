"""``pretrain CONFIG --out DIR``: train an encoder; the same command again resumes."""

import dataclasses
from collections.abc import Collection, Sequence
from pathlib import Path
from typing import Annotated, Generic

import jax
import tyro

from jaxssl.cli import arguments, console, option_names, parts_by_name, view_sizes
from jaxssl.runs import pretrain, recipe, standardising
from jaxssl.runs.recipe import D, E, M


@dataclasses.dataclass(frozen=True)
class Pretrain(Generic[M, E, D]):
    """Pretrains an encoder. The same command on the same --out resumes where it stopped.

    An encoder of images may be named, --encoder resnet-50 or vit-s/16 or convnext-tiny, in the
    place of the recipe's; and without a recipe a method, --method dino. See docs/training.md.

    Attributes:
        out: run directory; gets config.json, metrics.jsonl and checkpoints/.
        recipe: what to run.
        init_from: run directory; this run begins with its encoder, and with all else that agrees.
        init_from_step: which of its checkpoints; the newest if left out.
        encoder_weights: the encoder begins with published weights: a file as import takes it, or a
            name that is downloaded, timm:NAME, hf:OWNER/NAME or torchvision:NAME.
        tokenizer: run directory of the VQ autoencoder whose words are named, by methods that do.
        tokenizer_step: which of its checkpoints; the newest if left out.
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
    encoder_weights: str | None = None
    tokenizer: Path | None = None
    tokenizer_step: int | None = None
    restore_config: bool = False
    coordinator: str | None = None
    num_processes: int | None = None
    process_id: int | None = None

    def unused(self) -> dict[str, str]:
        """What asks for another option to be there."""
        needs = {"coordinator": "num_processes", "process_id": "num_processes"}
        needs |= {"init_from_step": "init_from", "tokenizer_step": "tokenizer"}
        return {
            name: f"it takes --{other.replace('_', '-')} too"
            for name, other in needs.items()
            if not getattr(self, other)
        }


def run(words: Sequence[str]) -> None:
    """``jaxssl pretrain CONFIG --out DIR [--field value …]``."""
    if words and words[0] in ("-h", "--help", arguments.ALL):
        words = ["simclr_fashion_mnist", *words]
    name, default, overrides = parts_by_name.load(words)
    sizes = view_sizes.following(default, overrides)
    # Narrowed to the config's own kinds, so that each of their fields is an option.
    options = arguments.parse(
        arguments.bound(Pretrain, default.method, default.encoder, default.data),
        [*overrides, *sizes],
        prog=f"jaxssl pretrain {name}",
        default=Pretrain(out=tyro.MISSING, recipe=default),
        usual=arguments.USUAL,
    )
    _join_processes(options)
    shown = console.literal(quiet=jax.process_index() > 0)
    if sizes:
        shown.out(view_sizes.describe(sizes, overrides), highlight=False)
    typed = option_names.typed(overrides)
    asked = _left_open(options.recipe, typed)
    if options.init_from is not None:
        start = recipe.Start(str(options.init_from), options.init_from_step)
        asked = dataclasses.replace(asked, start=start)
    if options.encoder_weights is not None:
        weights = recipe.Published(options.encoder_weights)
        asked = dataclasses.replace(asked, encoder_weights=weights)
    if options.tokenizer is not None:
        tokenizer = recipe.Start(str(options.tokenizer), options.tokenizer_step)
        asked = dataclasses.replace(asked, tokenizer=tokenizer)
    to_measure = _to_measure(asked, default, typed)
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


def _left_open(asked: recipe.Recipe, typed: Collection[str]) -> recipe.Recipe:
    """The recipe that leaves nothing to data and machine that somebody typed."""
    fit = asked.fit
    if fit is None:
        return asked
    moments = {f"encoder.{name}" for name in standardising.FIELDS} & set(typed)
    closing = {
        "max_batch": {"training.batch-size", "training.micro-batch"} & set(typed),
        "dtype": "encoder.dtype" in typed,
        "grey": "data.channels" in typed or moments,
    }
    closed = {
        name: getattr(recipe.Fit(), name)
        for name, closes in closing.items()
        if closes and f"fit.{name.replace('_', '-')}" not in typed
    }
    kept = tuple(name for name in fit.moments if f"encoder.{name}" not in moments)
    return dataclasses.replace(asked, fit=dataclasses.replace(fit, moments=kept, **closed))


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
