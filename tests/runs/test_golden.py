"""A run beside recorded seeds: the interval is the textbook's, and what cannot be held is said."""

import json
import math
import statistics

import numpy as np
import pytest
import scipy.stats

from jaxssl import cli, jsonable
from jaxssl.report import golden_table
from jaxssl.runs import golden, recipe, record

DATASET = {"name": "clothes", "split": "train", "size": 500, "fingerprint": "f" * 64}
ABOUT = {"date": "2026-01-01", "device": "1 cpu device", "versions": {"jax": "0.10"}}
STEPS = (20, 40, 60)


@pytest.fixture
def write(tmp_path):
    """A run directory with a recipe and rows of a loss, and neighbours in the last."""

    def write(name, losses, seed=0, words=(), method="simclr"):
        run = tmp_path / name
        run.mkdir()
        made = record.to_json(recipe.load(f"{method}_fashion_mnist"))
        made["training"]["seed"] = seed
        made["optimizer"] |= dict(words)
        (run / "config.json").write_text(json.dumps({"config": made, "dataset": DATASET}))
        rows = [{"step": s, "loss": loss, "grad_norm": 1.0} for s, loss in zip(STEPS, losses)]
        rows[-1]["online/knn_accuracy"] = 0.5 + 0.01 * seed
        (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
        return run

    return write


@pytest.fixture
def losses():
    return np.random.default_rng(0).normal(size=(3, 3)) + np.array([50.0, 30.0, 20.0])


@pytest.fixture
def recorded(write, losses, tmp_path, monkeypatch):
    runs = [write(f"seed-{seed}", losses[seed], seed) for seed in range(3)]
    folder = tmp_path / "golden"
    folder.mkdir()
    made = golden.to_json("simclr_fashion_mnist", runs, ABOUT)
    assert made["command"].endswith(" --recipes simclr_fashion_mnist --steps 60")
    text = json.dumps(made)
    (folder / "simclr_fashion_mnist.json").write_text(text)
    monkeypatch.setattr(golden, "folder", lambda: folder)
    return folder / "simclr_fashion_mnist.json"


def test_the_interval_is_that_of_one_more_seed(write, losses, recorded):
    verdict = golden.judge(write("run", losses.mean(axis=0), seed=7))
    logs = [[math.log(loss) for loss in seed] for seed in losses]
    variances = [statistics.variance(column) for column in zip(*logs)]
    # Three rows of three seeds: 3 · (3 - 1) degrees of freedom.
    quantile = scipy.stats.t(df=6).ppf(0.995)
    half_width = quantile * math.sqrt(statistics.mean(variances) * (1 + 1 / 3))
    means = [statistics.mean(column) for column in zip(*logs)]
    of_loss = [point for point in verdict.points if point.metric == "loss"]
    assert [point.step for point in of_loss] == [20, 40, 60]
    for point, mean in zip(of_loss, means, strict=True):
        expected = [math.exp(mean + side * half_width) for side in (0, -1, 1)]
        np.testing.assert_allclose(point[3:], expected)
    assert {point.metric for point in verdict.points} == {"loss", "online/knn_accuracy"}


def test_without_neighbours_the_command_says_so(write, losses):
    runs = [write(f"seed-{seed}", losses[seed], seed) for seed in range(2)]
    for run in runs:
        rows = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
        rows[-1].pop("online/knn_accuracy")
        (run / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    made = golden.to_json("simclr_fashion_mnist", runs, ABOUT)
    assert made["command"].endswith(" --steps 60 --no-probe") and made["metrics"].keys() == {"loss"}


def test_a_tokenizer_may_be_of_any_seed_but_was_trained_as_long(write, losses, recorded, tmp_path):
    def named(run, seed, step=60):
        """A run that names the words of another one."""
        found = json.loads((run / "config.json").read_text())
        words = recipe.Start(str(tmp_path / f"words-{seed}"), step, sha256=str(seed) * 64)
        found["config"]["tokenizer"] = jsonable.to_json(words)
        (run / "config.json").write_text(json.dumps(found))
        return run

    runs = [named(write(f"words-of-{seed}", losses[seed], seed), seed) for seed in range(3)]
    made = golden.to_json("simclr_fashion_mnist", runs, ABOUT)
    assert made["command"].endswith(" --tokenizers runs/words-0 runs/words-1 runs/words-2")
    assert str(tmp_path) not in json.dumps(made)
    recorded.write_text(json.dumps(made))
    assert not golden.judge(named(write("own", losses[1], seed=1), 7)).outside
    with pytest.raises(ValueError, match=r"differs from it in tokenizer\.step\."):
        golden.judge(named(write("shorter", losses[1], seed=1), 7, step=30))


def test_a_seed_of_the_same_kind_is_healthy_and_another_is_not(write, losses, recorded, capsys):
    assert cli.main(["compare", str(write("good", losses[1], seed=1)), "--golden"]) == 0
    said = capsys.readouterr().out
    assert "Recorded: simclr_fashion_mnist, 3 seeds, 2026-01-01, jax 0.10, 1 cpu device" in said
    assert "As recorded: all 4 numbers lie where another seed's would." in said
    bad = write("bad", [losses[0, 0], losses[0, 1], 90.0])
    assert cli.main(["compare", str(bad), "--golden"]) == 1
    said = " ".join(capsys.readouterr().out.split())
    assert "Not as recorded: 1 of 4 numbers lie outside, first loss at step 60, 90 where" in said
    assert said.endswith("is expected.")


def test_a_run_that_is_no_number_any_more_is_outside(write, losses, recorded):
    verdict = golden.judge(write("run", [*losses[0, :2], np.nan]))
    assert [point.step for point in verdict.outside] == [60]


def test_numbers_that_no_seed_changes_may_differ_by_rounding(write, recorded):
    found = json.loads(recorded.read_text())
    found["metrics"]["loss"] = [[50.0, 30.0, 20.0]] * 3
    recorded.write_text(json.dumps(found))
    near, far = write("near", [50.4, 30.2, 20.1]), write("far", [50.6, 30.2, 20.1])
    assert not golden.judge(near).outside
    assert [point.step for point in golden.judge(far).outside] == [20]


def test_numbers_that_may_be_negative_are_compared_as_they_are(write, recorded):
    found = json.loads(recorded.read_text())
    found["metrics"]["loss"] = [[-3.0, 0.0, 1.0], [-2.0, 1.0, 2.0], [-1.0, 2.0, 3.0]]
    recorded.write_text(json.dumps(found))
    first, *_ = golden.judge(write("run", [-2.0, 1.0, 2.0])).points
    half_width = scipy.stats.t(df=6).ppf(0.995) * math.sqrt(4 / 3)  # every variance is 1
    np.testing.assert_allclose(first[3:], [-2, -2 - half_width, -2 + half_width])


def test_another_recipe_is_refused_unless_it_is_asked_for(write, losses, recorded, capsys):
    run = write("fast", losses[0], words={"base_learning_rate": 1.0})
    assert cli.main(["compare", str(run), "--golden"]) == 2
    said = " ".join(capsys.readouterr().err.split())
    assert "nearest to simclr_fashion_mnist and differs from it in optimizer.base_learn" in said
    verdict = golden.judge(run, across_protocols=True)
    assert verdict.differing == ("optimizer.base_learning_rate",)
    assert "differs from it in optimizer.base_learning_rate." in golden_table.as_text(verdict)


def test_what_cannot_be_held_against_it_is_said(write, losses, recorded, tmp_path, capsys):
    def refused(words, message):
        assert cli.main(["compare", *map(str, words), "--golden"]) == 2
        assert message in " ".join(capsys.readouterr().err.split())

    run = write("run", losses[0])
    refused([run, tmp_path / "seed-0"], "takes one run, and prints; got 2. Name one run alone.")
    refused([run, "--out", tmp_path / "x"], "got 1 and --out. Name one run alone.")
    refused(
        [write("byol", losses[0], method="byol")], "byol is of BYOL, and there are curves of si"
    )
    (run / "metrics.jsonl").write_text('{"step": 30, "loss": 1.0}\n')
    refused([run], "rows of the steps 20 to 60 that were recorded; run has none of them.")
    recorded.write_text("{}")
    refused(
        [run], "must be a golden curve; got 'identity'. Record it anew: python benchmarks/golden"
    )


def test_shipped_curves_are_of_shipped_recipes():
    for path in golden.folder().glob("*.json"):
        found = golden.read(path)
        assert path.stem == found.recipe
        assert len(found.seeds) >= 3 and len(found.steps) >= 3
        assert {"loss", "collapse/feature_rank"} <= found.metrics.keys()
        own = record.through_json(record.to_json(recipe.load(found.recipe)))
        shipped = json.loads(path.read_text())["identity"]["config"]
        shipped["training"]["seed"] = own["training"]["seed"]
        # What depends on the data, such as crops, is settled when a run begins.
        for part in ("method", "encoder", "optimizer", "training"):
            assert record.differing_fields(own[part], shipped[part]) == []
