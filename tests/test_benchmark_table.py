"""The results table is built from what lies in a directory, whoever put it there."""

import contextlib
import dataclasses
import importlib
import json
import sys
import types
from pathlib import Path

import numpy as np
import pytest

from jaxssl.evaluation import evaluate, layers, preparation, protocol, random_encoder

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT / "benchmarks"))  # where a script there finds its neighbours
table, rows_of, runs_of = map(importlib.import_module, ("table", "table_rows", "table_runs"))

ASKED = rows_of.Asked(per_class=(10,))
NAMES = ("stage 0 as a 4 x 4 grid", "stage 1 as a 1 x 1 grid")
GRIDS = layers.Choice(layers.Layer(1, 1), (layers.Layer(0, 4), layers.Layer(1, 1)))


def linear(layer, accuracy, holdout, num_features=16):
    found = {"layer": layer, "test_accuracy": accuracy, "num_features": num_features}
    return found | {"candidates": [{"holdout_accuracy": holdout}]}


def few(accuracy, cv_loss):
    draws = [{"test_accuracy": accuracy - 0.1}, {"test_accuracy": accuracy + 0.1}]
    return {"10 per class": {"test_accuracy": accuracy, "cv_loss": cv_loss, "draws": draws}}


@pytest.fixture
def write(tmp_path):
    def write(run, encoder, seed, accuracy, grids=None, labels=None, **other):
        """One encoder's result files; grids are (test, held-out), labels (test, validated loss)."""
        subject = {"encoder": encoder, "pretraining_seed": seed, "step": other.get("step", 9)}
        subject["architecture"] = {
            "name": other.get("network", "ResNet"),
            "fields": {"zero_init_residual": other.get("zero", True)},
        }
        if encoder == "random":
            subject |= {
                "weights_seed": seed,
                "weights": other.get("weights", random_encoder.RULE),
            }
        dataset = other.get("dataset", "clothes")
        data = {"dataset": dataset, "image_size": 28, "channels": 1, "seed": other.get("part", 0)}
        data |= {"train_split": "train", "test_split": other.get("split", "test")}

        def write_file(evaluator, layer, results, num_features=128):
            described = data | {"evaluator": evaluator, "layer": layer}
            who = subject | {"num_features": num_features}
            place = protocol.path(tmp_path / run, described, who)
            protocol.write(place, protocol=described, subject=who, results=results)

        write_file("linear", "pooled", linear("pooled", accuracy, accuracy))
        write_file("knn", "pooled", {"k=20": {"accuracy": accuracy / 2}})
        names = NAMES if encoder in ("trained", "random") else ("pooled",)
        if grids:
            sizes = other.get("sizes", (16, 4096))  # the one cell of a map may be too many
            stages = [
                linear(name, *each, size)
                for name, each, size in zip(names, grids, sizes, strict=True)
            ]
            write_file("linear", names[-1], stages[-1] | {"stages": stages}, 16)
        if labels:
            budgets = {name: few(*each) for name, each in zip(names, labels, strict=True)}
            write_file("few-label", names[-1], {"layers": budgets}, 16)
        if other.get("seconds", True):
            (tmp_path / run / "seconds.json").write_text("90")

    return write


def lines_of(rows):
    return table.markdown({"rows": rows}).splitlines()


def test_seeds_stand_side_by_side_and_the_test_split_chooses_no_layer(tmp_path, write):
    write("a-1", "trained", 1, 0.6, [(0.9, 0.5), (0.8, 0.7)], [(0.3, 2.0), (0.6, 1.5)])
    write("a-0", "trained", 0, 0.5, [(0.9, 0.6), (0.7, 0.9)], [(0.5, 1.0), (0.4, 1.1)])
    row = table.collect(tmp_path)["a"]
    assert row["seeds"] == [0, 1]
    np.testing.assert_allclose(row["linear"], [50, 60])
    np.testing.assert_allclose(row["knn"], [25, 30])
    accuracies, name = table.best_stage(row)  # by the test split it would be the other one
    np.testing.assert_allclose(accuracies, [70, 80])
    assert name == NAMES[1]
    # Of the summed losses the second layer's is lower, of seed 0 alone the first one's.
    np.testing.assert_allclose(table.few_labels(row, "10 per class"), [40, 60])
    draws = row["few"]["10 per class"][0][NAMES[0]]["draws"]
    np.testing.assert_allclose(draws, [40, 60])
    assert lines_of({"a": row})[2:5] == [
        "| encoder | linear, best layer as a grid, % | linear, pooled, % | kNN, pooled (k = 20), % "
        "| 10 labels a class, % | minutes | seeds |",
        "|---|---|---|---|---|---|---|",
        "| a | 75.00 ± 7.07 (stage 1, 1 x 1) | 55.00 ± 7.07 | 27.50 ± 3.54 | 50.00 ± 14.14 | 1.5 "
        "| 2 |",
    ]


def test_one_label_a_class_can_choose_no_layer(tmp_path, write):
    write("a-0", "trained", 0, 0.5, [(0.9, 0.9)] * 2, [(0.5, None), (0.4, None)])
    row = table.collect(tmp_path)["a"]
    np.testing.assert_allclose(table.few_labels(row, "10 per class"), [40])


def test_a_seed_that_lacks_a_measurement_leaves_the_cell_empty(tmp_path, write):
    write("a-0", "trained", 0, 0.5, [(0.9, 0.6), (0.7, 0.9)], [(0.5, 1.0), (0.4, 1.1)])
    write("a-1", "trained", 1, 0.6)
    assert lines_of(table.collect(tmp_path))[4] == (
        "| a |  | 55.00 ± 7.07 | 27.50 ± 3.54 |  | 1.5 | 2 |"
    )


def test_every_stage_has_its_column(tmp_path, write):
    write("a-0", "trained", 0, 0.5, [(0.9, 0.6), (0.7, 0.9)])
    write("b-0", "trained", 0, 0.5)
    write("b-0", "pixels", 0, 0.6)
    assert table.stages_markdown({"rows": table.collect(tmp_path)}).splitlines() == [
        "| encoder | stage 0 | stage 1 |",
        "|---|---|---|",
        "| a | 90.00 (4 x 4) | 70.00 (1 x 1) |",
    ]


def test_architectures_that_differ_in_how_they_begin_share_the_random_encoder(tmp_path, write):
    write("a-0", "trained", 0, 0.5)
    write("b-0", "trained", 0, 0.6, zero=False)
    write("c-0", "trained", 0, 0.6, network="ViT")
    write("a-0", "random", 0, 0.3)
    write("b-0", "random", 0, 0.3, [(0.2, 0.2)] * 2, zero=False)  # measured again, with grids
    write("b-0", "random", 1, 0.3, zero=False)
    write("c-0", "random", 0, 0.4, network="ViT")
    write("c-0", "random", 1, 0.1, network="ViT", weights="as they were")
    write("b-0", "pca", 0, 0.7)
    write("b-0", "pixels", 0, 0.8)
    rows = table.collect(tmp_path)
    names = ["a", "b", "c", "random ResNet of a", "random ViT of c", "PCA, 128 features", "pixels"]
    assert list(rows) == names
    shared = rows["random ResNet of a"]
    assert shared["seeds"] == [0, 1]
    np.testing.assert_allclose(shared["stages"][0], [20, 20])
    assert rows["random ViT of c"]["seeds"] == [0]


def test_long_recipes_have_a_table_of_their_own_with_their_baselines(tmp_path, write):
    for run in ("a-0", "b_long-0", "c-0"):
        write(run, "trained", 0, 0.5, network="ViT" if run == "c-0" else "ResNet")
    write("a-0", "random", 0, 0.3)
    write("c-0", "random", 0, 0.3, network="ViT")
    write("a-0", "pixels", 0, 0.3)
    found = [(heading, list(rows)) for heading, rows in table.groups(table.collect(tmp_path))]
    assert found == [
        ("clothes, 28 pixels, long recipes", ["b_long", "random ResNet of b_long", "pixels"]),
        ("clothes, 28 pixels", ["a", "c", "random ResNet of a", "random ViT of c", "pixels"]),
    ]


def test_data_sets_have_tables_and_baselines_of_their_own(tmp_path, write):
    write("a-0", "trained", 0, 0.5)
    write("a-0", "pixels", 0, 0.5)
    write("b-0", "trained", 0, 0.9, dataset="photographs")
    write("b-0", "pixels", 0, 0.9, dataset="photographs")
    rows = table.collect(tmp_path)
    assert [name for name in rows if "pixels" in name] == [
        "pixels (clothes, 28 pixels, 1 channels)",
        "pixels (photographs, 28 pixels, 1 channels)",
    ]
    found = [
        (heading, {name: row["linear"] for name, row in own.items()})
        for heading, own in table.groups(rows)
    ]
    assert found == [
        ("clothes, 28 pixels", {"a": [50], "pixels": [50]}),
        ("photographs, 28 pixels", {"b": [90], "pixels": [90]}),
    ]


def test_the_sentence_names_what_loses(tmp_path, write):
    write("good-0", "trained", 0, 0.1, [(0.9, 0.9)] * 2)
    write("low-0", "trained", 0, 0.9, [(0.6, 0.6)] * 2)
    write("equal-0", "trained", 0, 0.9, [(0.5, 0.5)] * 2)
    write("unknown-0", "trained", 0, 0.9)
    write("good-0", "random", 0, 0.1, [(0.5, 0.5)] * 2)
    write("good-0", "pixels", 0, 0.7)
    rows = table.collect(tmp_path)
    assert lines_of(rows)[-1] == (
        "By the best layer, below pixels: equal, low; not above the random encoder of the same "
        "architecture: equal (not compared for want of measurements: unknown)."
    )
    for name in ("low", "equal", "unknown"):
        del rows[name]
    assert lines_of(rows)[-1] == (
        "By the best layer, below pixels: none; not above the random encoder of the same "
        "architecture: none."
    )


def test_unfinished_runs_other_splits_and_other_held_out_parts_are_left_out(tmp_path, write):
    write("a-0", "trained", 0, 0.5, seconds=False)
    write("b-0", "trained", 0, 0.5)
    (tmp_path / "b-0" / "evaluation" / "step-9" / "clothes" / "knn-trained.json").unlink()
    write("b-0", "random", 0, 0.5)  # of no trained encoder that is there
    write("c-0", "trained", 0, 0.5, split="validation")
    write("d-0", "trained", 0, 0.5, part=1)
    assert table.collect(tmp_path) == {}
    other = rows_of.Asked(test_split="validation")
    assert list(table.collect(tmp_path, other)) == ["c"]


def test_the_newest_step_counts(tmp_path, write):
    write("a-0", "trained", 0, 0.5)
    write("a-0", "trained", 0, 0.6, step=10)
    assert table.collect(tmp_path)["a"]["linear"] == [60]


def test_finer_grids_than_asked_for_are_not_shown(tmp_path, write):
    write("a-0", "trained", 0, 0.5, [(0.9, 0.6), (0.7, 0.9)], [(0.5, 1.0), (0.4, 1.1)])
    assert table.collect(tmp_path, rows_of.Asked(max_features=16))["a"]["layers"] == list(NAMES)
    row = table.collect(tmp_path, rows_of.Asked(max_features=15))["a"]
    assert row["layers"] is None


def test_few_labels_are_those_of_the_finest_grids(tmp_path, write):
    write("a-0", "trained", 0, 0.5, [(0.9, 0.6), (0.7, 0.9)], [(0.5, 1.0), (0.4, 1.1)])
    files = tmp_path / "a-0" / "evaluation" / "step-9" / "clothes"
    record = json.loads((files / "linear-trained.json").read_text())
    record["protocol"] |= {"evaluator": "few-label", "layer": NAMES[1]}
    for side, accuracy in ((2, 0.1), (10, 0.6)):
        layers_of = {f"stage 0 as a {side} x {side} grid": few(accuracy, 1.0)}
        record["results"] = {"layers": layers_of | {NAMES[1]: few(0.0, 2.0)}}
        (files / f"few-label-{side}.json").write_text(json.dumps(record))
    row = table.collect(tmp_path)["a"]
    np.testing.assert_allclose(table.few_labels(row, "10 per class"), [60])
    assert row["layers"] == list(NAMES)


def test_fine_tuned_accuracies_are_of_all_draws_and_those_from_scratch_of_the_network(
    tmp_path, write, monkeypatch
):
    def run(words, check):
        """Fine-tunes at once: 80 % by one percent of the labels of draw 0, 1 % more by draw 1."""
        of, place = Path(words[4]), Path(words[6])
        options = dict(zip(words[7::2], words[8::2], strict=True))
        assert options.pop("--fraction") == "0.01" and of.name == "a-0"
        grids.append(options["--method.grid"])
        heads.append(options.get("--head"))
        right = {"trained": 0.8, "random": 0.5}[options["--encoder"]] + int(options["--draw"]) / 100
        described = {"evaluator": "finetune", "dataset": "clothes", "layer": "pooled", "seed": 0}
        described |= {"train_split": "train", "test_split": "test"}
        who = {"encoder": "trained", "step": 5}
        protocol.write(
            protocol.path(place, described, who),
            protocol=described,
            subject=who,
            results={"test_accuracy": right},
        )
        done.append(place.name)

    done, grids, heads = [], [], []
    monkeypatch.setattr(runs_of.table_tuned.subprocess, "run", run)
    write("a-0", "trained", 0, 0.5)
    write("a-0", "random", 0, 0.5)
    write("a-0", "random", 1, 0.5)
    asked = rows_of.Asked(fine_tuned=(0.01,), fine_tuned_draws=2)
    assert runs_of.fine_tune(tmp_path, [tmp_path / "a-0"], asked) == []
    assert done[:2] == ["a-0-0.01-0", "a-0-0.01-1"] and len(done) == 4
    assert runs_of.fine_tune(tmp_path, [tmp_path / "a-0"], asked) == [] and len(done) == 4
    rows = table.collect(tmp_path)
    np.testing.assert_allclose(rows["a"]["tuned"]["1 %"], [80, 81])
    np.testing.assert_allclose(rows["random ResNet of a"]["tuned"]["1 %"], [50, 51])
    head, _, first, second, *_ = lines_of(rows)[2:]
    assert "| 1 % of the labels, fine-tuned, % |" in head
    assert "| 80.50 ± 0.71 |" in first and "| 50.50 ± 0.71 |" in second
    # Those whose heads read another grid are others.
    finer = dataclasses.replace(asked, fine_tuned_grid=4, fine_tuned_head="probe")
    assert rows_of.collect(tmp_path, finer)["a"]["tuned"] == {}
    assert runs_of.fine_tune(tmp_path, [tmp_path / "a-0"], finer) == [] and len(done) == 8
    assert grids == ["1"] * 4 + ["4"] * 4
    assert heads == ["new", "new", None, None, "probe", "probe", None, None]


@pytest.fixture
def measuring(monkeypatch):
    """Notes what would be measured: evaluator and layers; features are made of nothing."""
    done = []

    def prepare(run, subject, wanted):
        done.append([subject.encoder, subject.weights_seed])
        names = [layer.name for layer in wanted or [layers.POOLED]]
        arrays = {name: np.zeros((1, 3)) for name in names}
        split = types.SimpleNamespace(layers=arrays)
        return preparation.Prepared(split, split, names[0], (), {"layer": names[0]}, {})

    def note(name):
        def write(run, subject, options, prepared):
            assert prepared.protocol["layer"] == prepared.main
            assert prepared.subject["num_features"] == 3
            assert prepared.train.layers.keys() >= set(prepared.stages)
            done[-1].append((name, prepared.main, *prepared.stages))

        return write

    monkeypatch.setattr(preparation, "prepare", prepare)
    for name in ("linear_eval", "knn_eval", "few_label_eval"):
        monkeypatch.setattr(evaluate, name, note(name.removesuffix("_eval")))
    is_network = ("trained", "random").__contains__
    pooled = layers.Choice(layers.POOLED)
    monkeypatch.setattr(
        runs_of,
        "choices",
        lambda run, encoder, asked: (GRIDS if is_network(encoder) else pooled,) * 2,
    )
    return done


def test_features_are_made_once_and_only_what_lacks_is_measured(tmp_path, write, measuring):
    run = tmp_path / "a-0"
    runs_of.measure(run, "trained", 0, ASKED)
    runs_of.measure(run, "pixels", 0, ASKED)
    grids = (NAMES[1], *NAMES)
    assert measuring == [
        [
            *("trained", 0, ("linear", "pooled"), ("knn", "pooled")),
            *(("linear", *grids), ("few_label", *grids)),
        ],
        ["pixels", 0, ("linear", "pooled"), ("knn", "pooled"), ("few_label", "pooled")],
    ]
    measuring.clear()
    write("a-0", "trained", 0, 0.5)
    runs_of.measure(run, "trained", 0, ASKED)
    assert measuring == [["trained", 0, ("linear", *grids), ("few_label", *grids)]]
    measuring.clear()
    write("a-0", "trained", 0, 0.5, [(0.9, 0.6)] * 2, [(0.5, 1.0)] * 2)
    write("a-0", "pixels", 0, 0.5, labels=[(0.5, 1.0)])
    for encoder in ("trained", "pixels"):
        runs_of.measure(run, encoder, 0, ASKED)
    assert measuring == []
    runs_of.measure(run, "trained", 0, rows_of.Asked(per_class=(10, 100)))
    assert measuring == [["trained", 0, ("few_label", *grids)]]


def test_a_baseline_that_another_run_has_is_not_measured_again(tmp_path, write, measuring):
    for run in ("a-0", "b-0", "c-0"):
        write(run, "trained", 0, 0.5, network="ViT" if run == "c-0" else "ResNet")
    write("a-0", "random", 0, 0.3, [(0.9, 0.6)] * 2, [(0.5, 1.0)] * 2)
    write("a-0", "pixels", 0, 0.5, labels=[(0.5, 1.0)])
    wanted = runs_of.baselines([tmp_path / name for name in ("b-0", "c-0")], 2, ASKED)
    assert runs_of.measure_baselines(tmp_path, wanted, ASKED) == []
    assert [(encoder, seed) for encoder, seed, *_ in measuring] == [
        ("random", 1),
        ("pca", 0),
        ("random", 0),  # the ViT's
        ("random", 1),
    ]


def test_what_another_process_measures_comes_last(tmp_path, write, monkeypatch):
    write("a-0", "trained", 0, 0.5)
    wanted = runs_of.baselines([tmp_path / "a-0"], 1, ASKED)
    first = tmp_path / f"baseline-{protocol.stamp(list(next(iter(wanted))))}.lock"
    order = []
    with contextlib.ExitStack() as other:
        assert other.enter_context(runs_of.locked(first, False))

        def measure(run, encoder, seed, asked):
            order.append(encoder)
            if encoder == "pixels":
                other.close()

        monkeypatch.setattr(runs_of, "measure", measure)
        monkeypatch.setattr(runs_of, "choices", lambda *_: (GRIDS, GRIDS))
        runs_of.measure_baselines(tmp_path, wanted, ASKED)
    assert order == ["pca", "pixels", "random"]


def test_the_shipped_results_are_still_read():
    for path in sorted((ROOT / "docs" / "results").glob("*.json")):
        record = json.loads(path.read_text())
        text = table.markdown(record)
        for name, row in record["rows"].items():
            assert row["encoder"] != "trained" or f"| {name} |" in text
        assert "(stage " in text and "| stage 1 |" in table.stages_markdown(record)
