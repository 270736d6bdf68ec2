"""The results table is built from what lies in a directory, whoever put it there."""

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from jaxssl.evaluation import protocol

ROOT = Path(__file__).parent.parent
_SPEC = importlib.util.spec_from_file_location("table", ROOT / "benchmarks" / "table.py")
table = importlib.util.module_from_spec(_SPEC)
_SPEC.loader.exec_module(table)


def linear(accuracy, holdout):
    return {"test_accuracy": accuracy, "candidates": [{"holdout_accuracy": holdout}]}


@pytest.fixture
def write(tmp_path):
    def write(
        run, encoder, seed, accuracy, stages=None, *, dataset="clothes", seconds=True, step=9
    ):
        """One encoder's result files; stages are (test, held-out) accuracies."""
        results = linear(accuracy, accuracy)
        if stages:
            results["stages"] = [linear(*stage) for stage in stages]
        data = {"layer": "pooled", "dataset": dataset, "image_size": 28, "channels": 1, "seed": 0}
        data |= {"train_split": "train", "test_split": "test"}
        subject = {"encoder": encoder, "architecture": {"name": "ResNet"}, "step": step}
        subject |= {"num_features": 128, "pretraining_seed": seed}
        if encoder == "random":
            subject["weights_seed"] = seed
        vote = {"k=20": {"accuracy": accuracy / 2}}
        for evaluator, found in (("linear", results), ("knn", vote)):
            described = data | {"evaluator": evaluator}
            place = protocol.path(tmp_path / run, described, subject)
            protocol.write(place, protocol=described, subject=subject, results=found)
        if seconds:
            (tmp_path / run / "seconds.json").write_text("90")

    return write


def test_seeds_stand_side_by_side_and_the_held_out_part_chooses_the_stage(tmp_path, write):
    write("task_a-1", "trained", 1, 0.6, [(0.9, 0.5), (0.8, 0.7)])
    write("task_a-0", "trained", 0, 0.5, [(0.9, 0.6), (0.7, 0.9)])
    row = table.collect(tmp_path)["task_a"]
    assert row["seeds"] == [0, 1]
    np.testing.assert_allclose(row["linear"], [50, 60])
    np.testing.assert_allclose(row["knn"], [25, 30])
    accuracies, stage = table.best_stage(row)  # by the test split it would be the other one
    np.testing.assert_allclose(accuracies, [70, 80])
    assert stage == 1
    line = table.markdown({"rows": {"task_a": row}}).splitlines()[-1]
    assert line == "| task_a | 55.00 ± 7.07 | 75.00 ± 7.07 (stage 1) | 27.50 ± 3.54 | 1.5 |"


def test_every_stage_has_its_column(tmp_path, write):
    write("task_a-0", "trained", 0, 0.5, [(0.9, 0.6), (0.7, 0.9)])
    write("task_b-0", "trained", 0, 0.5, [(0.4, 0.6)])
    write("task_b-0", "pixels", 0, 0.6)
    lines = table.stages_markdown({"rows": table.collect(tmp_path)}).splitlines()
    assert lines == [
        "| encoder | stage 0 | stage 1 |",
        "|---|---|---|",
        "| task_a | 90.00 | 70.00 |",
        "| task_b | 40.00 |  |",
    ]


def test_baselines_are_shared_by_the_runs_of_a_data_set(tmp_path, write):
    write("task_a-0", "trained", 0, 0.5)
    write("task_b-0", "trained", 0, 0.6)
    write("task_a-0", "random", 0, 0.3)
    write("task_b-0", "random", 0, 0.4, [(0.2, 0.2)])  # measured again, with stages
    write("task_b-0", "random", 1, 0.3)
    write("task_c-0", "random", 0, 0.4, [(0.2, 0.2)])
    write("task_b-0", "pca", 0, 0.7)
    write("task_b-0", "pixels", 0, 0.8)
    rows = table.collect(tmp_path)
    names = ["task_a", "task_b", "random ResNet of task_a", "PCA, 128 features", "pixels"]
    assert list(rows) == names
    shared = rows["random ResNet of task_a"]
    assert shared["seeds"] == [0, 1]
    np.testing.assert_allclose(shared["stages"][0], [20])
    assert table.best_stage(shared) is None  # not all seeds have stages


def test_data_sets_have_baselines_of_their_own(tmp_path, write):
    write("task_a-0", "trained", 0, 0.5)
    write("task_a-0", "pixels", 0, 0.5)
    write("colours-0", "trained", 0, 0.9, dataset="photographs")
    write("colours-0", "pixels", 0, 0.9, dataset="photographs")
    assert list(table.collect(tmp_path)) == [
        "task_a",
        "pixels (clothes, 28 pixels)",
        "colours",
        "pixels (photographs, 28 pixels)",
    ]


def test_unfinished_runs_are_left_out(tmp_path, write):
    write("task_a-0", "trained", 0, 0.5, seconds=False)
    write("task_b-0", "trained", 0, 0.5)
    (tmp_path / "task_b-0" / "evaluation" / "step-9" / "clothes" / "knn-trained.json").unlink()
    assert table.collect(tmp_path) == {}


def test_the_newest_step_counts(tmp_path, write):
    write("task_a-0", "trained", 0, 0.5)
    write("task_a-0", "trained", 0, 0.6, step=10)
    assert table.collect(tmp_path)["task_a"]["linear"] == [60]


def test_a_baseline_that_another_run_has_is_not_measured_again(tmp_path, write, monkeypatch):
    measured = []
    monkeypatch.setattr(table, "measure", lambda run, asked: measured.append(asked))
    for run in ("task_a-0", "task_b-0"):
        write(run, "trained", 0, 0.5)
    write("task_a-0", "random", 0, 0.3, [(0.2, 0.2)])
    write("task_a-0", "pixels", 0, 0.8)
    table.measure_baselines(tmp_path / "task_b-0", 0, stages=True)
    assert [subject.encoder for subject in measured] == ["pca"]
    table.measure_baselines(tmp_path / "task_b-0", 1, stages=True)
    assert [(subject.encoder, subject.weights_seed) for subject in measured[1:]] == [
        ("random", 1),
        ("pca", 0),
    ]


def test_the_shipped_results_are_still_read():
    for path in sorted((ROOT / "docs" / "results").glob("*.json")):
        lines = table.markdown(json.loads(path.read_text())).splitlines()
        assert len(lines) > 3 and all(line.count("|") == 6 for line in lines)
