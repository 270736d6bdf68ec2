"""The results table: recipes and seeds under the same probes; beside random, PCA and pixels.

Command: python benchmarks/table.py --recipes simclr_fashion_mnist --seeds 0 1 2 --out runs/table

Trains what is not yet trained and evaluates what is not yet evaluated; then prints Markdown of all
that lies in OUT, mean and standard deviation over seeds, and writes the numbers behind it to
OUT/table.json. Several processes may share OUT, each with its own recipes and core:

    taskset -c 0 python benchmarks/table.py --recipes simclr_fashion_mnist &
    taskset -c 1 python benchmarks/table.py --recipes mae_fashion_mnist rotation_fashion_mnist

--only-table trains and evaluates nothing; --print FILE shows a table.json.
"""

import argparse
import contextlib
import datetime
import fcntl
import importlib.metadata
import json
import os
import statistics
import subprocess
import sys
import time
from pathlib import Path

from jaxssl import cpu, recipe
from jaxssl.evaluation import evaluate, knn, linear, preparation, protocol, subject


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipes", nargs="+", help="names or paths; all shipped ones by default")
    parser.add_argument("--seeds", nargs="+", type=int, default=(0, 1, 2))
    parser.add_argument("--out", type=Path, default=Path("runs/table"))
    parser.add_argument("--no-stages", action="store_true", help="measure pooled features only")
    parser.add_argument("--only-table", action="store_true", help="of what lies in OUT")
    parser.add_argument("--print", type=Path, metavar="FILE", help="show this table.json")
    parser.add_argument("overrides", nargs="*", help="further options of jaxssl pretrain, after --")
    options = parser.parse_args()
    if options.print:
        show(json.loads(options.print.read_text()))
        return
    failed = [] if options.only_table else fill(options)
    record = {
        "date": datetime.date.today().isoformat(),
        "command": f"python benchmarks/table.py {' '.join(sys.argv[1:])}",
        "cores": len(os.sched_getaffinity(0)),
        "versions": {
            name: importlib.metadata.version(name) for name in ("jaxssl", "jax", "flax", "optax")
        },
        "rows": collect(options.out),
    }
    recipe.write(options.out / "table.json", json.dumps(record, indent=1) + "\n")
    show(record)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def fill(options):
    """Trains and evaluates what OUT lacks; returns the runs that failed."""
    cpu.tune()
    shipped = sorted(path.stem for path in recipe.shipped_directory().glob("[!_]*.py"))
    trained, failed = [], []
    for name in options.recipes or shipped:
        for seed in options.seeds:
            run = options.out / f"{Path(name).stem}-{seed}"
            try:
                train(name, run, seed, options.overrides)
                measure(run, subject.Subject("trained", stages=not options.no_stages))
                trained.append((run, seed))
            except (subprocess.CalledProcessError, ValueError, OSError) as error:
                print(f"{run.name}: {error}", file=sys.stderr)
                failed.append(run.name)
    with locked(options.out / "baselines.lock"):  # or two processes would measure the same ones
        for run, seed in trained:
            measure_baselines(run, seed, stages=not options.no_stages)
    return failed


def train(name, run, seed, overrides):
    """Trains, or finishes, one run; its wall time is kept beside it."""
    if (run / "seconds.json").exists():
        return
    start = time.monotonic()
    words = ("pretrain", name, "--out", run, "--training.seed", seed, *overrides)
    subprocess.run([sys.executable, "-m", "jaxssl", *map(str, words)], check=True)
    recipe.write(run / "seconds.json", json.dumps(time.monotonic() - start))


def measure(run, asked):
    """Linear and kNN accuracies of one encoder, where its result files lack them."""
    found = [
        record
        for record in newest_records(run)
        if record["subject"]["encoder"] == asked.encoder
        and record["subject"].get("weights_seed", 0) == asked.weights_seed
    ]
    staged = asked.stages and asked.is_network
    complete = {
        record["protocol"]["evaluator"]
        for record in found
        if not staged or "stages" in record["results"]
    }
    if complete >= {"linear", "knn"}:
        return
    prepared = preparation.prepare(run, asked)
    evaluate.linear_eval(run, asked, linear.LinearConfig(), prepared)
    evaluate.knn_eval(run, asked, knn.KnnConfig(), prepared)


def newest_records(run):
    """Results of pooled features of the newest step that has any, on the run's own splits."""
    steps = [int(path.name.removeprefix("step-")) for path in run.glob("evaluation/step-*")]
    if not steps:
        return []
    return [
        record
        for record in protocol.read(run, max(steps))
        if record["protocol"]["evaluator"] in ("linear", "knn")
        and record["protocol"]["layer"] == "pooled"
        and record["protocol"]["test_split"] == "test"
    ]


def measure_baselines(run, seed, *, stages):
    """What a trained run is compared with, where no run beside it has been used for that."""
    record = next(each for each in newest_records(run) if each["subject"]["encoder"] == "trained")
    rows = {row_key(row): row for row in collect(run.parent).values()}
    for encoder in ("random", "pca", "pixels"):
        row = rows.get(row_key(row_of(record, encoder)))
        # Only a random encoder has a seed, and stages.
        is_random = encoder == "random"
        done = row is not None and (not is_random or seed in row["seeds"])
        if done and is_random and stages:
            done = row["stages"][row["seeds"].index(seed)] is not None
        if not done:
            seed_of = seed if is_random else 0
            measure(run, subject.Subject(encoder, weights_seed=seed_of, stages=stages))


@contextlib.contextmanager
def locked(path):
    """Keeps other processes that ask for the same file waiting."""
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def collect(out):
    """The rows of the table from the result files below OUT: title to row, seeds side by side."""
    rows, seeds = {}, {}
    for run, record, vote in evaluated(out):
        own = row_of(record, record["subject"]["encoder"])
        is_trained = own["encoder"] == "trained"
        if is_trained:
            own["recipe"] = run.name.rpartition("-")[0]
            seed = record["subject"]["pretraining_seed"]
        else:
            seed = record["subject"].get("weights_seed", 0)
        stages = record["results"].get("stages")
        values = {
            "linear": 100 * record["results"]["test_accuracy"],
            "stages": stages and [100 * stage["test_accuracy"] for stage in stages],
            "stages_holdout": stages and [100 * evaluate.held_out(stage) for stage in stages],
            "knn": 100 * vote["results"]["k=20"]["accuracy"],
            "seconds": read(run / "seconds.json") if is_trained else None,
        }
        found = seeds.setdefault(row_key(own), {})
        rows.setdefault(row_key(own), own)
        if seed not in found or found[seed]["stages"] is None:  # baselines may lie in several runs
            found[seed] = values
    for key, row in rows.items():
        row["seeds"] = sorted(seeds[key])
        for column in seeds[key][row["seeds"][0]]:
            row[column] = [seeds[key][seed][column] for seed in row["seeds"]]
    return titled(rows.values())


def evaluated(out):
    """The finished runs below a directory with each linear record and the kNN record beside it."""
    for run in sorted(path.parent for path in out.glob("*/seconds.json")):
        pairs = {}
        for record in newest_records(run):
            who = record["subject"]["encoder"], record["subject"].get("weights_seed", 0)
            pairs.setdefault(who, {})[record["protocol"]["evaluator"]] = record
        for pair in pairs.values():
            if pair.keys() == {"linear", "knn"}:
                yield run, pair["linear"], pair["knn"]


def row_of(record, encoder):
    """What tells the row of an encoder from others, given the record of a run with the same data.

    A trained run has its recipe besides; pixels depend on the images alone.
    """
    data, measured = record["protocol"], record["subject"]
    return {
        "data": f"{data['dataset']}, {data['image_size']} pixels",
        "channels": data["channels"],
        "encoder": encoder,
        "architecture": measured["architecture"] if encoder in subject.NETWORKS else None,
        "num_features": measured["num_features"] if encoder == "pca" else None,
        "recipe": None,
    }


def row_key(row):
    names = ("data", "channels", "encoder", "architecture", "num_features", "recipe")
    return json.dumps([row[name] for name in names], sort_keys=True)


def titled(rows):
    """Rows by title: each data set's recipes, then random encoders, PCA and pixels."""
    kinds = ("trained", "random", "pca", "pixels")
    rows = sorted(
        rows, key=lambda row: (row["data"], kinds.index(row["encoder"]), row["recipe"] or "")
    )
    first = {}  # data and architecture -> the first recipe that has it
    found = {}
    for row in rows:
        network = json.dumps([row["data"], row["architecture"]], sort_keys=True)
        if row["encoder"] == "trained":
            title = row["recipe"]
            first.setdefault(network, title)
        elif row["encoder"] == "random":
            title = f"random {row['architecture']['name']} of {first.get(network)}"
        else:
            title = {"pca": f"PCA, {row['num_features']} features"}.get(row["encoder"], "pixels")
        if row["encoder"] != "trained" and len({each["data"] for each in rows}) > 1:
            title += f" ({row['data']})"
        found[title] = row
    return found


def best_stage(row):
    """Accuracies per seed of the stage with the best held-out accuracy, and its number; or None."""
    stages = row.get("stages") or [None]
    if None in stages:
        return None
    means = [statistics.mean(seeds) for seeds in zip(*row["stages_holdout"], strict=True)]
    best = max(range(len(means)), key=means.__getitem__)
    return [accuracies[best] for accuracies in stages], best


def show(record):
    print(markdown(record), stages_markdown(record), sep="\n\n")


def stages_markdown(record):
    """Linear accuracy at every stage or block of every network that has some."""
    rows = {
        name: list(zip(*row["stages"], strict=True))
        for name, row in record["rows"].items()
        if None not in (row.get("stages") or [None])
    }
    count = max((len(stages) for stages in rows.values()), default=0)
    lines = [
        f"| encoder | {' | '.join(f'stage {stage}' for stage in range(count))} |",
        "|---" * (count + 1) + "|",
    ]
    for name, stages in rows.items():
        cells = [spread(stage) for stage in stages] + [""] * (count - len(stages))
        lines.append(f"| {name} | {' | '.join(cells)} |")
    return "\n".join(lines)


def markdown(record):
    """The table of a table.json; older ones have no stages."""
    lines = [
        "| encoder | linear (pooled), % | best stage, % | kNN (k = 20), % | minutes |",
        "|---|---|---|---|---|",
    ]
    for name, row in record["rows"].items():
        best = best_stage(row)
        stage = "" if best is None else f"{spread(best[0])} (stage {best[1]})"
        seconds = [each for each in row["seconds"] or () if each is not None]
        minutes = f"{statistics.median(seconds) / 60:.1f}" if seconds else ""
        cells = (name, spread(row["linear"]), stage, spread(row["knn"]), minutes)
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def spread(values):
    """Mean and sample standard deviation."""
    mean = statistics.mean(values)
    return f"{mean:.2f} ± {statistics.stdev(values):.2f}" if len(values) > 1 else f"{mean:.2f}"


def read(path):
    return json.loads(path.read_text())


if __name__ == "__main__":
    main()
