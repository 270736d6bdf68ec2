"""The results table: every recipe, several seeds, the same probes; beside random, PCA and pixels.

Command: python benchmarks/fashion_mnist.py --seeds 0 1 2 --out runs/table

Trains what is not yet trained, evaluates what is not yet evaluated, prints a Markdown table of the
mean and standard deviation over seeds, and writes the numbers behind it to OUT/table.json.
"""

import argparse
import datetime
import importlib.metadata
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from jaxssl import cpu, recipe
from jaxssl.evaluation import evaluate, knn, linear

RECIPES = ("simclr_fashion_mnist", "mae_fashion_mnist", "rotation_fashion_mnist")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipes", nargs="+", default=RECIPES)
    parser.add_argument("--seeds", nargs="+", type=int, default=(0, 1, 2))
    parser.add_argument("--out", type=Path, default=Path("runs/table"))
    parser.add_argument("overrides", nargs="*", help="further options of jaxssl pretrain, after --")
    options = parser.parse_args()
    cpu.tune()
    runs = {
        name: [options.out / f"{name}-{seed}" for seed in options.seeds] for name in options.recipes
    }
    rows, encoders = {}, []
    for name, directories in runs.items():
        for seed, run in zip(options.seeds, directories):
            train(name, run, seed, options.overrides)
        rows[name] = measure(directories, options.seeds, "trained")
        encoder = recipe.load(name).encoder
        if encoder not in encoders:  # recipes that share an encoder share its random weights
            encoders.append(encoder)
            title = f"random {type(encoder).__name__.removesuffix('Config')}"
            rows[title] = measure(directories, options.seeds, "random")
    first = runs[options.recipes[0]][:1]
    for baseline in ("pca", "pixels"):
        rows[baseline] = measure(first, options.seeds[:1], baseline)
    record = {
        "date": datetime.date.today().isoformat(),
        "command": f"python benchmarks/fashion_mnist.py {' '.join(sys.argv[1:])}",
        "cores": len(os.sched_getaffinity(0)),
        "versions": {
            name: importlib.metadata.version(name) for name in ("jaxssl", "jax", "flax", "optax")
        },
        "seeds": list(options.seeds),
        "rows": rows,
    }
    (options.out / "table.json").write_text(json.dumps(record, indent=1) + "\n")
    print(table(record))


def train(name, run, seed, overrides):
    """Trains, or finishes, one run; its wall time is kept beside it."""
    if (run / "seconds.json").exists():
        return
    start = time.monotonic()
    words = ("pretrain", name, "--out", run, "--training.seed", seed, *overrides)
    subprocess.run([sys.executable, "-m", "jaxssl", *map(str, words)], check=True)
    (run / "seconds.json").write_text(json.dumps(time.monotonic() - start))


def measure(directories, seeds, encoder):
    """Accuracies in per cent, one per seed."""
    linear_accuracies, knn_accuracies, seconds = [], [], []
    for run, seed in zip(directories, seeds):
        subject = evaluate.Subject(encoder=encoder, seed=seed if encoder == "random" else 0)
        paths = [evaluate.result_path(run, name, subject) for name in ("linear", "knn")]
        if not all(path.exists() for path in paths):
            prepared = evaluate.prepare(run, subject)
            evaluate.linear_eval(run, subject, linear.LinearConfig(), prepared)
            evaluate.knn_eval(run, subject, knn.KnnConfig(), prepared)
        probe, neighbours = (json.loads(path.read_text())["results"] for path in paths)
        linear_accuracies.append(100 * probe["test_accuracy"])
        knn_accuracies.append(100 * neighbours["k=20"]["accuracy"])
        seconds.append(json.loads((run / "seconds.json").read_text()))
    return {
        "linear": linear_accuracies,
        "knn": knn_accuracies,
        "seconds": seconds if encoder == "trained" else None,
    }


def table(record):
    lines = ["| encoder | linear, % | kNN (k = 20), % | minutes |", "|---|---|---|---|"]
    for name, row in record["rows"].items():
        minutes = "" if row["seconds"] is None else f"{statistics.median(row['seconds']) / 60:.1f}"
        lines.append(f"| {name} | {spread(row['linear'])} | {spread(row['knn'])} | {minutes} |")
    return "\n".join(lines)


def spread(values):
    """Mean and sample standard deviation."""
    mean = statistics.mean(values)
    return f"{mean:.2f} ± {statistics.stdev(values):.2f}" if len(values) > 1 else f"{mean:.2f}"


if __name__ == "__main__":
    main()
