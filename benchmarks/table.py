"""The results table: recipes and seeds under the same probes; beside random, PCA and pixels.

Command: python benchmarks/table.py --recipes simclr_fashion_mnist --seeds 0 1 2 --out runs/table

Trains what is not yet trained and measures what is not yet measured; then prints Markdown of all
that lies in OUT, mean and standard deviation over seeds, and writes the numbers behind it to
OUT/table.json. Every recipe has its own network with random weights in the table, of three seeds or
more. Several processes may share OUT, each with its own recipes and core:

    taskset -c 0 python benchmarks/table.py --recipes simclr_fashion_mnist &
    taskset -c 1 python benchmarks/table.py --recipes mae_fashion_mnist rotation_fashion_mnist

Where other work shares the cores, the core of one's own matters: the small fits of few labels took
fifteen times as long with two threads of linear algebra that had to wait for each other.

Every stage's map is averaged over a grid of at most --max-features numbers, for few labels, whose
fits do not cost more for it, of at most --few-max-features. The best layer is the
one with the best accuracy on the held-out part of the training split, of few labels the one with
the lowest cross-validated loss, both averaged over seeds; the test split has no say. To choose
between recipes, leave the test split alone too: pretrain and measure on parts of the training split
(the numbers go to OUT/table-fit-validation.json),

    python benchmarks/table.py --train-split fit --test-split validation -- --data.train-split fit

With --fine-tuned 0.01 0.1 every encoder is fine-tuned by these parts of the labels, by several
draws of them, and so is its network from scratch, whose numbers stand with the random encoder's;
with --fine-tuned-grid 4 by a classifier of 4 x 4 cells of the map, with --fine-tuned-head probe one
that is fitted before.

--only-table trains and measures nothing; --print FILE shows a table.json.
"""

import argparse
import datetime
import importlib.metadata
import json
import os
import statistics
import sys
from pathlib import Path

import table_rows
import table_runs

from jaxssl import files, named
from jaxssl.evaluation import summary
from jaxssl.runs import recipe
from jaxssl.training import allocator

ASKED = table_rows.Asked()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--recipes", nargs="+", help="names or paths; all shipped ones by default")
    parser.add_argument("--seeds", nargs="+", type=int, default=(0, 1, 2))
    parser.add_argument("--random-seeds", type=int, default=3, help="random encoders at least")
    parser.add_argument("--out", type=Path, default=Path("runs/table"))
    parser.add_argument("--max-features", type=int, default=ASKED.max_features, help="of a grid")
    parser.add_argument("--few-max-features", type=int, default=ASKED.few_max_features)
    parser.add_argument("--per-class", nargs="+", type=int, default=ASKED.per_class)
    parser.add_argument("--l2-grid", nargs="+", type=float, default=ASKED.l2_grid)
    parser.add_argument(
        "--fine-tuned", nargs="+", type=float, default=(), help="parts of the labels, such as 0.01"
    )
    parser.add_argument("--fine-tuned-draws", type=int, default=ASKED.fine_tuned_draws)
    parser.add_argument(
        "--fine-tuned-grid", type=int, default=ASKED.fine_tuned_grid, help="that its head reads"
    )
    parser.add_argument(
        "--fine-tuned-head", choices=("new", "probe"), default=ASKED.fine_tuned_head
    )
    parser.add_argument("--train-split", default=ASKED.train_split, help="probes are fitted to it")
    parser.add_argument("--test-split", default=ASKED.test_split, help="is predicted")
    parser.add_argument("--only-table", action="store_true", help="of what lies in OUT")
    parser.add_argument("--print", type=Path, metavar="FILE", help="show this table.json")
    parser.add_argument("overrides", nargs="*", help="further options of jaxssl pretrain, after --")
    options = parser.parse_args()
    if options.print:
        show(read(options.print))
        return
    asked = table_rows.Asked(
        options.train_split,
        options.test_split,
        options.max_features,
        options.few_max_features,
        tuple(options.per_class),
        tuple(options.l2_grid),
        tuple(options.fine_tuned),
        options.fine_tuned_draws,
        options.fine_tuned_grid,
        options.fine_tuned_head,
    )
    failed = [] if options.only_table else fill(options, asked)
    splits = (asked.train_split, asked.test_split)
    record = {
        "date": datetime.date.today().isoformat(),
        "command": f"python benchmarks/table.py {' '.join(sys.argv[1:])}",
        "cores": len(os.sched_getaffinity(0)),
        "versions": {
            name: importlib.metadata.version(name) for name in ("jaxssl", "jax", "flax", "optax")
        },
        "splits": splits,
        "max_features": asked.max_features,
        "rows": collect(options.out, asked),
    }
    own = splits == (ASKED.train_split, ASKED.test_split)
    name = "table.json" if own else f"table-{'-'.join(splits)}.json"
    files.write_whole(options.out / name, json.dumps(record, indent=1) + "\n")
    show(record)
    if failed:
        sys.exit(f"failed: {', '.join(failed)}")


def fill(options, asked):
    """Trains and measures what OUT lacks; returns what failed."""
    allocator.tune()
    shipped = sorted(path.stem for path in recipe.shipped_directory().glob("[!_]*.py"))
    return table_runs.fill(
        options.out,
        options.recipes or shipped,
        options.seeds,
        asked=asked,
        random_seeds=options.random_seeds,
        overrides=options.overrides,
    )


def collect(out, asked=ASKED):
    """The rows of the table from the result files below OUT: title to row, seeds side by side."""
    return table_rows.collect(out, asked)


def show(record):
    print(markdown(record), stages_markdown(record), sep="\n\n")


def markdown(record):
    """The tables of a table.json, a sentence under each; older ones as far as they go."""
    return "\n\n".join(
        f"**{heading}**\n\n{table(rows)}\n\n{sentence(rows)}"
        for heading, rows in groups(record["rows"])
    )


def groups(rows):
    """Headings and rows of the tables: long recipes, then others, of each data set.

    Under the recipes of a table stand the random encoders of their networks, PCA and pixels.
    """
    for is_long in (True, False):
        trained = {}
        for name, row in rows.items():
            if row["encoder"] == "trained" and name.endswith("_long") == is_long:
                trained.setdefault((row["data"], row["channels"]), {})[name] = row
        for (data, channels), members in trained.items():
            recipes = {}
            for name, row in members.items():
                recipes.setdefault(table_rows.network_key(row), []).append(name)
            found = dict(members)
            for row in rows.values():
                if (row["data"], row["channels"]) != (data, channels):
                    continue
                if row["encoder"] == "random" and table_rows.network_key(row) in recipes:
                    first, *others = recipes[table_rows.network_key(row)]
                    more = f" and {len(others)} more" if others else ""
                    network = named.short(row["architecture"]["name"])
                    found[f"random {network} of {first}{more}"] = row
                elif row["encoder"] == "pca":
                    found[f"PCA, {row['num_features']} features"] = row
                elif row["encoder"] == "pixels":
                    found["pixels"] = row
            yield f"{data}{', long recipes' if is_long else ''}", found


def table(rows):
    """One table: accuracies on the test split in percent, mean and spread over seeds."""
    budgets = {name: int(name.split()[0]) for row in rows.values() for name in row.get("few", ())}
    budgets = sorted(budgets, key=budgets.get)
    parts = dict.fromkeys(name for row in rows.values() for name in row.get("tuned", ()))
    is_gridded = any(row.get("layers") for row in rows.values())
    heads = [
        "encoder",
        f"linear, best {'layer as a grid' if is_gridded else 'stage'}, %",
        "linear, pooled, %",
        "kNN, pooled (k = 20), %",
        *(f"{budget.removesuffix(' per class')} labels a class, %" for budget in budgets),
        *(f"{part} of the labels, fine-tuned, %" for part in parts),
        "minutes",
        "seeds",
    ]
    lines = [f"| {' | '.join(heads)} |", "|---" * len(heads) + "|"]
    for name, row in rows.items():
        best = best_stage(row)
        few = [few_labels(row, budget) for budget in budgets]
        tuned = row.get("tuned", {})
        seconds = [each for each in row["seconds"] or () if each is not None]
        cells = [
            name,
            "" if best is None else cell(*best),
            summary.spread(row["linear"]),
            summary.spread(row["knn"]),
            *("" if each is None else summary.spread(each) for each in few),
            *(summary.spread(tuned[part]) if part in tuned else "" for part in parts),
            f"{statistics.median(seconds) / 60:.1f}" if seconds else "",
            str(len(row["seeds"])),
        ]
        lines.append(f"| {' | '.join(cells)} |")
    return "\n".join(lines)


def sentence(rows):
    """Which recipes of a table lose to pixels, or do not beat their random encoder."""
    bests = {name: best_stage(row) for name, row in rows.items()}
    accuracy = {name: best and statistics.mean(best[0]) for name, best in bests.items()}
    pixels = accuracy.get("pixels")
    random = {
        table_rows.network_key(row): accuracy[name]
        for name, row in rows.items()
        if row["encoder"] == "random"
    }
    below, beaten, unknown = [], [], []
    for name, row in rows.items():
        if row["encoder"] == "trained":
            own = random.get(table_rows.network_key(row))
            if None in (accuracy[name], pixels, own):
                unknown.append(name)
                continue
            if accuracy[name] < pixels:
                below.append(name)
            if accuracy[name] <= own:
                beaten.append(name)
    rest = f" (not compared for want of measurements: {', '.join(unknown)})" if unknown else ""
    return (
        f"By the best layer, below pixels: {', '.join(below) or 'none'}; not above the random "
        f"encoder of the same architecture: {', '.join(beaten) or 'none'}{rest}."
    )


def best_stage(row):
    """Accuracies per seed of the layer with the best held-out accuracy, and its name; or None."""
    stages = row.get("stages") or [None]
    if None in stages:
        return None
    means = [statistics.mean(seeds) for seeds in zip(*row["stages_holdout"], strict=True)]
    best = max(range(len(means)), key=means.__getitem__)
    names = row.get("layers") or [f"stage {number}" for number in range(len(means))]
    return [accuracies[best] for accuracies in stages], names[best]


def few_labels(row, budget):
    """Accuracies per seed of the layer with the lowest cross-validated loss; or None."""
    seeds = row.get("few", {}).get(budget, [None])
    if None in seeds or None in (layer for layers in seeds for layer in layers.values()):
        return None
    losses = {name: [layers[name]["cv_loss"] for layers in seeds] for name in seeds[0]}
    best = list(losses)[-1]  # where nothing could be left out, as of one label a class
    if not any(None in each for each in losses.values()):
        best = min(losses, key=lambda name: statistics.mean(losses[name]))
    return [layers[best]["accuracy"] for layers in seeds]


def stages_markdown(record):
    """Linear accuracy at every stage or block of every network that has some."""
    networks = {
        name: row
        for name, row in record["rows"].items()
        if row["encoder"] in ("trained", "random") and best_stage(row) is not None
    }
    count = max((len(row["stages"][0]) for row in networks.values()), default=0)
    lines = [
        f"| encoder | {' | '.join(f'stage {stage}' for stage in range(count))} |",
        "|---" * (count + 1) + "|",
    ]
    for name, row in networks.items():
        stages = list(zip(*row["stages"], strict=True))
        grids = [grid(layer) for layer in row.get("layers") or [""] * len(stages)]
        cells = [cell(stage, note) for stage, note in zip(stages, grids, strict=True)]
        lines.append(f"| {' | '.join([name, *cells, *[''] * (count - len(stages))])} |")
    return "\n".join(lines)


def cell(accuracies, note):
    """Mean and spread, and what they are of, such as "stage 0, 7 x 7"."""
    note = "" if note == "pooled" else note.replace(" as a ", ", ").removesuffix(" grid")
    return f"{summary.spread(accuracies)} ({note})" if note else summary.spread(accuracies)


def grid(layer):
    """The grid of a layer by its name, such as "7 x 7"; empty without one."""
    return layer.partition(" as a ")[2].removesuffix(" grid")


def read(path):
    return json.loads(path.read_text())


if __name__ == "__main__":
    main()
