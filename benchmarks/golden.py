"""Records golden curves: the first rows of recipes under several seeds, into configs/golden.

Command: python benchmarks/golden.py --recipes simclr_fashion_mnist

Each run is the shipped recipe, ended after --steps steps, with nearest neighbours judged at the
last of them; ``jaxssl compare RUN --golden`` holds other runs against it. A recipe that names the
words of a tokenizer takes one of each seed, trained before:

    jaxssl pretrain vq_autoencoder_fashion_mnist --out runs/vq_autoencoder-1 --training.seed 1
"""

import argparse
import contextlib
import dataclasses
import datetime
import importlib.metadata
import json
import os
from pathlib import Path

import jax

import jaxssl
from jaxssl import files, watching
from jaxssl.runs import golden
from jaxssl.runs.directory import RunDirectory
from jaxssl.runs.recipe import Start
from jaxssl.training import allocator, writers


class _Enough(Exception):
    """The rows that were asked for are there."""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipes", nargs="+", required=True, help="names of shipped ones")
    parser.add_argument("--seeds", nargs="+", type=int, default=(0, 1, 2))
    parser.add_argument("--steps", type=int, default=100)
    parser.add_argument(
        "--no-probe", action="store_true", help="no neighbours: of texts, of images without labels"
    )
    parser.add_argument("--tokenizers", nargs="+", help="runs, one for each seed")
    parser.add_argument("--out", type=Path, default=Path("runs/golden"), help="of the runs")
    parser.add_argument("--folder", type=Path, default=golden.folder(), help="of what is recorded")
    options = parser.parse_args()
    tokenizers = options.tokenizers or [None] * len(options.seeds)
    if len(tokenizers) != len(options.seeds):
        parser.error(f"--tokenizers: one for each of {len(options.seeds)} seeds")
    allocator.tune()
    about = {
        "date": datetime.date.today().isoformat(),
        "device": f"{jax.device_count()} {jax.devices()[0].device_kind} device",
        "versions": {each: importlib.metadata.version(each) for each in ("jax", "flax", "optax")},
    }
    if (count := len(os.sched_getaffinity(0))) and jax.default_backend() == "cpu":
        about["device"] += f", {count} core{'s' * (count > 1)}"
    for name in options.recipes:
        runs = [options.out / f"{name}-{seed}" for seed in options.seeds]
        for seed, tokenizer, run in zip(options.seeds, tokenizers, runs, strict=True):
            train(name, run, seed, options.steps, tokenizer, probe=not options.no_probe)
        options.folder.mkdir(exist_ok=True)
        text = json.dumps(golden.to_json(name, runs, about), indent=1)
        files.write_whole(options.folder / f"{name}.json", text + "\n")
        print(f"{name}: {options.folder / name}.json", flush=True)


def train(name, run, seed, steps, tokenizer, *, probe):
    """The first steps of one seed, unless they are there."""
    if _has(run, steps):
        return
    recipe = jaxssl.load_recipe(name)
    recipe = dataclasses.replace(
        recipe,
        training=dataclasses.replace(recipe.training, seed=seed),
        tokenizer=None if tokenizer is None else Start(tokenizer),
        run=dataclasses.replace(recipe.run, probe=("knn",) * probe, probe_every=steps),
    )

    def stop(row):
        if row["step"] >= steps:
            raise _Enough

    with contextlib.suppress(_Enough):
        jaxssl.pretrain(recipe, run, watchers=[watching.Callback(stop)])
    if not _has(run, steps):  # it was told to stop
        raise SystemExit(f"{run}: stopped before step {steps}, and nothing is recorded.")


def _has(run, steps):
    """Whether a run has logged that step."""
    rows = RunDirectory(run).metrics
    return rows.exists() and any(row["step"] >= steps for row in writers.read(rows))


if __name__ == "__main__":
    main()
