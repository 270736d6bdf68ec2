"""Rows of the results table, from the result files below a directory: seeds side by side.

Of each encoder a row has the linear probe and the kNN of its pooled features, the linear probe of
every stage as a grid, and few labels of the same grids. Pixels and principal components are one
vector, which stands in for both. A row keeps what every seed and draw gave, so that means, spreads
and the choice of a layer are made when it is shown (table.py).
"""

import collections
import dataclasses
import json
import re
from pathlib import Path

import table_tuned

from jaxssl import named
from jaxssl.evaluation import evaluate, linear, protocol, random_encoder, subject


@dataclasses.dataclass(frozen=True)
class Asked:
    """What the table shows of every encoder.

    Attributes:
        train_split: what probes are fitted to.
        test_split: what is predicted.
        max_features: of a stage as a grid, for linear probes of all labels.
        few_max_features: the same for few labels, whose fits cost no more for finer grids.
        per_class: budgets of few labels, in labels a class.
        l2_grid: penalties that a linear probe tries; it goes on beyond the ends.
        fine_tuned: parts of the labels that encoders are fine-tuned by.
        fine_tuned_draws: how many sets of labels at each.
        fine_tuned_grid: side of the grid that the classifier on top reads; 1: pooled features.
        fine_tuned_head: what that classifier begins with, "new" or "probe"; from scratch new.
    """

    train_split: str = "train"
    test_split: str = "test"
    max_features: int = 2048
    few_max_features: int = 9000
    per_class: tuple[int, ...] = (10, 100)
    l2_grid: tuple[float, ...] = linear.LinearConfig().l2_grid
    fine_tuned: tuple[float, ...] = ()
    fine_tuned_draws: int = 3
    fine_tuned_grid: int = 1
    fine_tuned_head: str = "new"


def collect(out, asked):
    """The rows of the finished runs below a directory, title to row."""
    return titled([row(own, seeds) for own, seeds in gather(out, asked).values()])


def gather(out, asked):
    """Row keys of the encoders below a directory: what the row is, and its measurements by seed."""
    found = {}
    for run in sorted(path.parent for path in Path(out).glob("*/seconds.json")):
        for records in encoders(run, asked).values():
            parts = measured(records, asked)
            if not {"linear", "knn"} <= parts.keys():
                continue
            record = pooled_record(records)
            own = row_of(record, record["subject"]["encoder"])
            if own["encoder"] == "trained":
                own["recipe"] = run.name.rpartition("-")[0]
                seed = record["subject"]["pretraining_seed"]
                parts["seconds"] = json.loads((run / "seconds.json").read_text())
            else:
                seed = record["subject"].get("weights_seed", 0)
            if own["encoder"] in subject.NETWORKS:
                parts["tuned"] = table_tuned.measured(out, tuned_name(run, own), asked)
            _, seeds = found.setdefault(row_key(own), (own, {}))
            # Baselines may lie in several runs; the one that was measured furthest counts.
            if seed not in seeds or _extent(parts) > _extent(seeds[seed]):
                seeds[seed] = parts
    return found


def encoders(run, asked):
    """The results of a run's newest evaluated step on the asked splits, by encoder and its seed."""
    found = collections.defaultdict(list)
    step = protocol.newest_step(run)
    for record in () if step is None else protocol.read(run, step):
        data, who = record["protocol"], record["subject"]
        if (data["train_split"], data["test_split"]) != (asked.train_split, asked.test_split):
            continue
        # Another held-out part would choose other layers; other random encoders are no match.
        if data["seed"] or who.get("weights", random_encoder.RULE) != random_encoder.RULE:
            continue
        found[who["encoder"], who.get("weights_seed", 0)].append(record)
    return found


def pooled_record(records):
    """The linear probe of the pooled features among the results of one encoder, or None."""
    return next((each for each in records if _is_pooled(each, "linear")), None)


def measured(records, asked):
    """What the table shows of one encoder, as far as its results have it.

    Returns:
        ``linear`` and ``knn`` of the pooled features; ``grids``, the linear results of each layer
        in order; ``few``, budgets of each layer of the finest grids.
    """
    parts = {
        evaluator: record["results"]
        for record in records
        for evaluator in ("linear", "knn")
        if _is_pooled(record, evaluator)
    }
    few = [
        record["results"]["layers"]
        for record in records
        if record["protocol"]["evaluator"] == "few-label"
    ]
    if any(record["subject"]["encoder"] in subject.NETWORKS for record in records):
        grids = [
            record["results"]["stages"]
            for record in records
            if record["protocol"]["evaluator"] == "linear" and _is_gridded(record, asked)
        ]
        few = [layers for layers in few if all(name.endswith(" grid") for name in layers)]
    else:
        grids = [[parts["linear"]]] if "linear" in parts else []
    # What was measured with fewer numbers may lie beside.
    if grids:
        parts["grids"] = max(grids, key=lambda each: sum(layer["num_features"] for layer in each))
    if few:
        parts["few"] = max(few, key=lambda layers: sum(map(_num_cells, layers)))
    return parts


def layer_names(parts):
    """The layers of one encoder's measurements, in order."""
    return [layer["layer"] for layer in parts.get("grids", ())]


def lacking(parts, names, few_names, asked):
    """Which measurements of an encoder with these layers are not there yet."""
    lacks = {each for each in ("linear", "knn") if each not in parts}
    if layer_names(parts) != names:
        lacks.add("grids")
    few = parts.get("few", {})
    budgets = next(iter(few.values()), {})
    if set(few) != set(few_names) or any(
        f"{count} per class" not in budgets for count in asked.per_class
    ):
        lacks.add("few")
    return lacks


def row_of(record, encoder):
    """What tells the row of an encoder from others, given the record of a run with the same data.

    A trained run has its recipe besides; pixels depend on the images alone. A random encoder's
    branches are opened, so that architectures which differ in how they begin share one.
    """
    data, who = record["protocol"], record["subject"]
    architecture = {"trained": who["architecture"], "random": without_start(who["architecture"])}
    return {
        "data": f"{data['dataset']}, {data['image_size']} pixels",
        "channels": data["channels"],
        "encoder": encoder,
        "architecture": architecture.get(encoder),
        "num_features": who["num_features"] if encoder == "pca" else None,
        "recipe": None,
    }


def row_key(row):
    names = ("data", "channels", "encoder", "architecture", "num_features", "recipe")
    return json.dumps([row[name] for name in names], sort_keys=True)


def network_key(row):
    """Equal for a trained encoder and the random one that it is compared with."""
    architecture = without_start(row["architecture"])
    return json.dumps([row["data"], row["channels"], architecture], sort_keys=True)


def tuned_name(run, own):
    """What fine-tuned runs of a row are called after: the run, or its network from scratch."""
    if own["encoder"] == "trained":
        return run.name
    return f"scratch-{protocol.stamp(network_key(own))}"


def without_start(architecture):
    """A recorded architecture without ``zero_init_residual``, at any depth."""
    if not isinstance(architecture, dict):
        return architecture
    return {
        name: without_start(value)
        for name, value in architecture.items()
        if name != "zero_init_residual"
    }


def row(own, seeds):
    """A row of the table as JSON values: lists with an entry for each seed, accuracies in percent.

    None stands where a seed lacks a measurement, or has it of other layers than the first.
    """
    numbers = sorted(seeds)
    parts = [seeds[number] for number in numbers]
    names = next((layer_names(each) for each in parts if "grids" in each), None)
    grids = [each["grids"] if layer_names(each) == names else None for each in parts]
    first = next((each for each in grids if each), [])
    return own | {
        "seeds": numbers,
        "linear": [100 * each["linear"]["test_accuracy"] for each in parts],
        "knn": [100 * each["knn"]["k=20"]["accuracy"] for each in parts],
        "layers": names,
        "layer_features": [layer["num_features"] for layer in first],
        "stages": [_percents(each, lambda layer: layer["test_accuracy"]) for each in grids],
        "stages_holdout": [_percents(each, evaluate.held_out) for each in grids],
        "few": _few_labels([each.get("few") for each in parts]),
        "tuned": _fine_tuned(own, [each.get("tuned", {}) for each in parts]),
        "seconds": [each.get("seconds") for each in parts],
    }


def titled(rows):
    """Rows by title: each data set's recipes, then random encoders, PCA and pixels."""
    kinds = ("trained", "random", "pca", "pixels")
    rows = sorted(
        rows,
        key=lambda row: (
            *(row["data"], row["channels"], kinds.index(row["encoder"])),
            *(row["recipe"] or "", row["num_features"] or 0),
        ),
    )
    several = len({(row["data"], row["channels"]) for row in rows}) > 1
    first = {}  # network -> the first recipe that has it
    found = {}
    for row in rows:
        if row["encoder"] == "trained":
            title = row["recipe"]
            first.setdefault(network_key(row), title)
        elif row["encoder"] == "random":
            recipe = first.get(network_key(row))
            if recipe is None:
                continue  # its trained encoders are not measured (yet)
            title = f"random {named.short(row['architecture']['name'])} of {recipe}"
        else:
            title = {"pca": f"PCA, {row['num_features']} features"}.get(row["encoder"], "pixels")
            if several:
                title += f" ({row['data']}, {row['channels']} channels)"
        found[title] = row
    return found


def _is_pooled(record, evaluator):
    data = record["protocol"]
    return data["evaluator"] == evaluator and data["layer"] == "pooled"


def _is_gridded(record, asked):
    """Whether every stage was measured as a grid, and none finer than asked for."""
    stages = record["results"].get("stages", ())
    return bool(stages) and all(
        layer["layer"].endswith(" grid")
        and (
            layer["num_features"] <= asked.max_features
            or layer["layer"].endswith(" 1 x 1 grid")  # no coarser one exists
        )
        for layer in stages
    )


def _extent(parts):
    """How much was measured of an encoder, for comparison: parts, numbers of a layer, budgets."""
    numbers = sum(layer["num_features"] for layer in parts.get("grids", ()))
    return len(parts), numbers, len(next(iter(parts.get("few", {}).values()), ()))


def _few_labels(few):
    """Budgets: for each seed the layers' accuracies, by mean and by draw, and validated losses.

    None stands for a seed that was not measured, or at other layers than the first.
    """
    names = next((list(layers) for layers in few if layers), [])
    few = [layers if layers and set(layers) == set(names) else None for layers in few]
    budgets = {
        budget
        for layers in few
        for budgets in (layers or {}).values()
        for budget in budgets
        if budget.endswith(" per class")
    }
    return {
        budget: [
            layers and {name: _few_label(layers[name].get(budget)) for name in names}
            for layers in few
        ]
        for budget in sorted(budgets, key=lambda each: int(each.split()[0]))
    }


def _fine_tuned(own, tuned):
    """Accuracies by part of the labels, of all seeds and draws; networks from scratch have one."""
    of_seeds = tuned if own["encoder"] == "trained" else tuned[:1]
    names = sorted({name for each in of_seeds for name in each}, key=lambda x: float(x.split()[0]))
    return {name: [value for each in of_seeds for value in each.get(name, ())] for name in names}


def _num_cells(name):
    """Cells of the grid that a layer's name tells, 1 without one."""
    found = re.search(r"(\d+) x (\d+) grid", name)
    return int(found[1]) * int(found[2]) if found else 1


def _few_label(budget):
    return budget and {
        "accuracy": 100 * budget["test_accuracy"],
        "cv_loss": budget["cv_loss"],
        "draws": [100 * draw["test_accuracy"] for draw in budget["draws"]],
    }


def _percents(layers, read):
    return layers and [100 * read(layer) for layer in layers]
