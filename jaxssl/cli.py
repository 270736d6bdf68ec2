"""The command line: argv → config → one call."""

import dataclasses
import json
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Generic

import jax
import tyro
from rich.console import Console

import jaxssl
from jaxssl import arguments, cpu, data, methods, models, parallel, recipe
from jaxssl.recipe import E, M
from jaxssl.training import log, loop, optimizers

CONFIG_FILE = "config.json"

USAGE = """usage: jaxssl COMMAND ...

  pretrain CONFIG --out DIR   train an encoder; the same command again resumes

jaxssl COMMAND --help lists a command's options."""


@dataclasses.dataclass(frozen=True)
class Pretrain(Generic[M, E]):
    """Pretrains an encoder. The same command on the same --out resumes where it stopped.

    Attributes:
        out: run directory; gets config.json, metrics.jsonl and checkpoints/.
        recipe: what to run.
        coordinator: host:port of process 0, for a run of several processes.
        num_processes: processes of the run; with 0, the cluster's own variables decide (Slurm, TPU
            pod, Kubernetes).
        process_id: this process, from 0.
    """

    out: Path
    recipe: Annotated[recipe.Recipe[M, E], tyro.conf.arg(name="")]
    coordinator: str | None = None
    num_processes: int = 1
    process_id: int | None = None


def main(argv: Sequence[str] | None = None) -> int:
    """Runs one command; returns its exit status: 0, 1 (the run failed) or 2 (wrong input)."""
    argv = list(sys.argv[1:] if argv is None else argv)
    commands = {"pretrain": pretrain}
    if not argv or argv[0] in ("-h", "--help"):
        print(USAGE)
        return 0 if argv else 2
    if argv[0] == "--version":
        print(jaxssl.__version__)
        return 0
    cpu.tune()
    try:
        if argv[0] not in commands:
            raise arguments.UsageError(
                f"{argv[0]}: no such command; the commands are {', '.join(commands)}."
            )
        commands[argv[0]](argv[1:])
    except log.DivergedError as error:
        return _failed(error, 1)
    except (ValueError, TypeError, OSError, ImportError) as error:
        return _failed(error, 2)
    return 0


def pretrain(words: Sequence[str]) -> None:
    """``jaxssl pretrain CONFIG --out DIR [--field value …]``."""
    if not words or words[0].startswith("-"):
        raise arguments.UsageError(
            "pretrain: must be followed by a config; the shipped ones are "
            f"{', '.join(sorted(p.stem for p in recipe.shipped_directory().glob('[!_]*.py')))}."
        )
    name, *overrides = words
    default = recipe.load(name)
    # Narrowed to the config's own method and encoder, so that each of their fields is an option.
    cls = Pretrain[type(default.method), type(default.encoder)]
    options = arguments.parse(
        cls,
        overrides,
        prog=f"jaxssl pretrain {name}",
        default=Pretrain(out=tyro.MISSING, recipe=default),
    )
    _join_processes(options)
    run(options.recipe, options.out, Console(quiet=jax.process_index() > 0))


def run(config: recipe.Recipe, out: Path, console: Console) -> loop.Outcome:
    """Pretrains as a recipe says.

    Args:
        config: the recipe.
        out: run directory, new or of the same recipe.
        console: where the progress goes.

    Returns:
        How the run ended.
    """
    training = config.training
    parallel.check_batch_size(training.batch_size, jax.device_count())
    encoder = config.encoder.build(axis_name=loop.AXIS)
    method = config.method.build(encoder, axis_name=loop.AXIS)
    source = data.open_source(config.data, config.data.train_split)
    loader = data.Loader(
        source,
        batch_size=training.batch_size,
        seed=training.seed,
        process_index=jax.process_index(),
        process_count=jax.process_count(),
        num_threads=config.data.num_threads,
    )
    plan = {
        "batch_size": training.batch_size,
        "steps_per_epoch": loader.steps_per_epoch,
        "total_steps": loop.total_steps(training, loader.steps_per_epoch),
    }
    described = recipe.to_json(config)
    encoder_name, encoder_fields = models.encoder_fields(config.encoder)
    meta = {
        "encoder": {"name": encoder_name, "fields": encoder_fields},
        "image_size": config.method.augment.size,
        "channels": config.data.channels,
        "config": described,
        "plan": plan,
        "dataset": {
            "name": source.name,
            "split": config.data.train_split,
            "size": len(source),
            "fingerprint": source.fingerprint,
        },
        "versions": {"jaxssl": jaxssl.__version__, "jax": jax.__version__},
    }
    optimizer = optimizers.build(config.optimizer, **plan)
    _claim(out, {"config": described, "dataset": meta["dataset"]})
    peak = optimizers.peak_learning_rate(config.optimizer, training.batch_size)
    console.print(
        f"{type(config.method).__name__} of a {encoder_name} on {source.name}: {len(source):,} "
        f"images; {config.optimizer.name} with learning rate {peak:g} = "
        f"{config.optimizer.base_learning_rate:g} x {training.batch_size} / 256",
        soft_wrap=True,
        highlight=False,
    )
    outcome = loop.train(
        method,
        optimizer,
        loader,
        training=training,
        run=config.run,
        schedule=optimizers.schedule(config.optimizer, **plan),
        out=out,
        meta=meta,
        console=console,
    )
    ending = "stopped and saved" if outcome.stopped else "done"
    console.print(f"{ending} after step {outcome.step} of {outcome.total_steps}: {out}")
    return outcome


def _claim(out: Path, identity: dict) -> None:
    """Writes config.json into a new run directory; refuses the directory of another run."""
    path = out / CONFIG_FILE
    if path.exists():
        found = json.loads(path.read_text())
        ours = json.loads(json.dumps(identity))
        differing = recipe.differing_fields(
            recipe.without_run(ours["config"]) | {"dataset": ours["dataset"]},
            recipe.without_run(found["config"]) | {"dataset": found["dataset"]},
        )
        if differing:
            raise ValueError(
                f"--out {out}: must be new or the directory of this very run; it holds another "
                f"one, which differs in (now, there): {', '.join(differing[:5])}. Choose another "
                f"--out."
            )
    elif out.is_dir() and any(out.iterdir()):
        raise ValueError(
            f"--out {out}: must be new, empty or a run directory; got files without a "
            f"{CONFIG_FILE}. Choose another --out."
        )
    if jax.process_index() == 0:
        out.mkdir(parents=True, exist_ok=True)
        recipe.write(path, json.dumps(identity, indent=1) + "\n")


def _join_processes(options: Pretrain) -> None:
    """Joins the other processes of the run, before anything touches a device."""
    if options.num_processes == 1:
        return
    if options.num_processes == 0:
        jax.distributed.initialize()
        return
    if options.coordinator is None or options.process_id is None:
        raise ValueError(
            f"--num-processes {options.num_processes}: needs --coordinator HOST:PORT and "
            f"--process-id 0 to {options.num_processes - 1}; got {options.coordinator} and "
            f"{options.process_id}."
        )
    jax.distributed.initialize(options.coordinator, options.num_processes, options.process_id)


def _failed(error: Exception, status: int) -> int:
    if os.environ.get("JAXSSL_TRACEBACK"):
        raise error
    print(f"jaxssl: {' '.join(str(error).split())}", file=sys.stderr)
    return status
