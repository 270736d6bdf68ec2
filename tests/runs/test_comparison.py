"""Runs side by side, from what their directories hold: nothing is trained, nothing measured."""

import dataclasses
import json
import statistics

import numpy as np
import pytest

from jaxssl import cli
from jaxssl.evaluation import correctness, paired, protocol
from jaxssl.report import comparison as shown
from jaxssl.runs import comparison, recipe, recipes_apart, record

NUM = 200
DATASET = {"name": "clothes", "split": "train", "size": 500, "fingerprint": "f" * 64}
DESCRIBED = {"evaluator": "linear", "dataset": "clothes", "train_split": "train"}
DESCRIBED |= {"test_split": "test", "test_fingerprint": "abcdef0123456789", "test_size": NUM}
DESCRIBED |= {"layer": "pooled", "seed": 0, "holdout": 0.1}


def answers(seed, right=0.7):
    return np.random.default_rng(seed).random(NUM) < right


@pytest.fixture
def write(tmp_path):
    def write(name, correct=None, *, seed=0, rate=0.002, method="simclr", keep=True, **described):
        """A run directory with a recipe and, of some answers, the result of a linear probe."""
        run = tmp_path / name
        if not run.exists():
            made = recipe.load(f"{method}_fashion_mnist")
            made = dataclasses.replace(
                made,
                optimizer=dataclasses.replace(made.optimizer, base_learning_rate=rate),
                training=dataclasses.replace(made.training, seed=seed),
            )
            run.mkdir()
            identity = {"config": record.to_json(made), "dataset": DATASET}
            (run / "config.json").write_text(json.dumps(identity))
        if correct is not None:
            own, who = DESCRIBED | described, {"encoder": "trained", "step": 9}
            right = float(np.mean(correct))
            protocol.write(
                protocol.path(run, own, who),
                protocol=own,
                subject=who,
                results={"test_accuracy": right, "half_width": 0.05},
                correct={own["layer"]: correct} if keep else None,
            )
        return run

    return write


def test_seeds_of_a_recipe_are_one_column_and_the_test_images_are_paired(write):
    first = [write(f"slow-{seed}", answers(seed), seed=seed) for seed in (0, 1, 2)]
    fast = write("fast", answers(7, 0.8), rate=0.004)
    found = comparison.compare([*first, fast])
    assert [len(group) for group in found.groups] == [3, 1]
    assert found.fields == (("optimizer.base_learning_rate", ("0.002", "0.004")),)
    (row,) = found.rows
    assert row.name == "linear probe, pooled"
    mean = np.mean([answers(seed) for seed in (0, 1, 2)], axis=0)
    assert row.differences == (None, paired.compare(mean, answers(7, 0.8)))
    heads, rows = shown.table(found)
    assert heads == ["", "slow", "fast"]
    assert rows[1] == ["seeds", "0, 1, 2", "0"]
    seeds = [100 * np.mean(answers(seed)) for seed in (0, 1, 2)]
    spread = f"{statistics.mean(seeds):.2f} ± {statistics.stdev(seeds):.2f} sd"
    assert rows[2][1:] == [spread, f"{100 * np.mean(answers(7, 0.8)):.2f} ± 5.00"]
    assert found.notes == () and not any("McNemar" in each for each in shown.explanations(found))


def test_two_runs_have_the_exact_test_too(write):
    found = comparison.compare([write("a", answers(0)), write("b", answers(1), rate=0.01)], seed=5)
    difference = found.rows[0].differences[1]
    assert difference == paired.compare(answers(0), answers(1), seed=5)
    cell = shown.table(found)[1][-1][-1]
    mean, low, high = (100 * each for each in difference[:3])
    assert cell == f"{mean:+.2f} [{low:+.2f}, {high:+.2f}], p = {difference.p:.2g}"
    assert any("McNemar" in each for each in shown.explanations(found))


def test_of_other_classes_only_fields_that_both_have_are_listed(write):
    runs = [write("a", answers(0)), write("b", answers(1), method="barlow_twins")]
    fields = dict(comparison.compare(runs).fields)
    assert fields["method"] == ("SimCLR", "BarlowTwins")
    assert "method.temperature" not in fields
    assert not any(recipes_apart.MISSING in values for values in fields.values())


def test_the_same_seed_twice_is_no_spread(write):
    found = comparison.compare([write("a", answers(0)), write("b", answers(1))])
    assert [len(group) for group in found.groups] == [1, 1] and found.fields == ()


def test_a_chosen_layer_need_not_agree_but_the_rest_of_a_protocol_must(write, tmp_path):
    few = {"evaluator": "few-label", "draws": 5}
    runs = [write("a"), write("b", rate=0.01)]
    for run, layer in zip(runs, ("stage 0 as a 7 x 7 grid", "stage 1 as a 4 x 4 grid")):
        own = DESCRIBED | few | {"layer": layer}
        best = {"layer": layer, "test_accuracy": 0.5, "half_width": 0.1}
        who = {"encoder": "trained", "step": 9}
        bits = np.stack([answers(seed) for seed in range(5)])
        protocol.write(
            protocol.path(run, own, who),
            protocol=own,
            subject=who,
            results={"best": {"10 per class": best}},
            correct={"10 per class": bits},
        )
    (row,) = comparison.compare(runs).rows
    assert row.differences[1] == (0.0, 0.0, 0.0, None)
    np.testing.assert_allclose(row.cells[0].correct, bits.mean(axis=0))


def test_protocols_that_differ_are_refused_unless_asked_for(write):
    runs = [write("a", answers(0)), write("b", answers(1), rate=0.01, holdout=0.2)]
    message = r"linear probe, pooled differs between a and b in holdout \(0.1, 0.2\)\. .*--across-p"
    with pytest.raises(ValueError, match=message):
        comparison.compare(runs)
    found = comparison.compare(runs, across_protocols=True)
    assert found.rows[0].differences[1] is not None
    assert "differs between a and b in holdout (0.1, 0.2)" in shown.explanations(found)[-1]


def test_answers_that_were_not_kept_are_said_and_the_accuracies_stand(write):
    runs = [write("a", answers(0)), write("b", answers(1), rate=0.01, keep=False)]
    found = comparison.compare(runs)
    assert found.rows[0].differences == (None, None) and found.rows[0].cells[1].accuracies
    assert found.notes[0].startswith("b: linear probe, pooled is of a version that did not keep")


@pytest.mark.parametrize(
    "case", ["one", "twice", "no run", "no results", "images", "nothing", "damage"]
)
def test_what_cannot_be_compared_is_one_line(write, tmp_path, capsys, case):
    a = write("a", answers(0))
    words, message = {
        "one": ([a], "must be two runs at least; got 1. One alone is shown by: jaxssl report"),
        "twice": ([a, a], f"must be different runs; got {a} twice"),
        "no run": ([a, tmp_path], f"must be the directory of a run; got {tmp_path}, which has no"),
        "no results": (
            [a, write("b", seed=1)],
            f"got none of the trained encoder of {tmp_path}/b. Measure it first: jaxssl evaluate",
        ),
        "images": (
            [a, write("c", answers(1), dataset="shoes", test_fingerprint="0" * 64)],
            f"images; got {a}: clothes test (abcdef01); {tmp_path}/c: shoes test (0000",
        ),
        "nothing": (
            [a, write("d", answers(1), rate=0.1, layer="stage 1")],
            "in common; a has linear probe, pooled; d has linear probe, stage 1. Measure all",
        ),
        "damage": ([a, write("e", answers(1))], "e/evaluation/step-9/clothes/linear-tr"),
    }[case]  # fmt: skip
    if case == "damage":
        (place,) = words[1].glob(f"evaluation/*/*/*{correctness.SUFFIX}")
        place.write_bytes(b"not a file of bits")
    out = tmp_path / "out"
    assert cli.main(["compare", *map(str, words), "--out", str(out)]) == 2
    line = capsys.readouterr().err
    assert line.count("\n") == 1 and message in line
    assert not out.exists()


def test_the_command_prints_and_writes_a_page_and_markdown(write, tmp_path, capsys):
    runs = [write("a|1", answers(0)), write("<b>", answers(1), rate=0.01)]
    words = ["compare", *map(str, runs), "--out"]
    assert cli.main([*words, str(tmp_path / "new" / "out")]) == 0
    text = capsys.readouterr().out
    assert text.splitlines()[0].split() == ["a|1", "<b>"]
    page = (tmp_path / "new" / "out" / "comparison.html").read_text()
    markdown = (tmp_path / "new" / "out" / "comparison.md").read_text()
    assert "&lt;b&gt;" in page and "<b>" not in page and "difference to a|1, points" in page
    assert markdown.splitlines()[2] == r"|  | a\|1 | <b> |"
    assert "paired bootstrap" in markdown and "viewport" in page
    assert cli.main([*words, str(tmp_path / "only.md")]) == 0
    assert (tmp_path / "only.md").read_text() == markdown
    capsys.readouterr()
    assert cli.main([*words, str(tmp_path / "only.txt")]) == 2
    assert "must be a directory, or end in .html or .md; got" in capsys.readouterr().err
