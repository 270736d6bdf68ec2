"""What the evaluating commands print and write."""

import json
import re
import shutil

import numpy as np
import pytest
import tiny

from jaxssl import cli
from jaxssl.evaluation import preparation

pytestmark = pytest.mark.usefixtures("standard_promotion")


def assert_matches(pattern, line):
    assert re.search(pattern, line), line


@pytest.fixture(scope="module")
def finished(finished, tmp_path_factory):
    """A copy, which the tests below evaluate in many ways."""
    return shutil.copytree(finished, tmp_path_factory.mktemp("evaluated") / "run")


def test_evaluation_of_a_run(finished, capsys):
    assert cli.main(["knn-eval", str(finished), "--num-neighbors", "3"]) == 0
    text = capsys.readouterr().out
    assert_matches(r"kNN trained: k=3 \d+\.\d\d % ± ", text)
    assert_matches(r"kNN trained, stage 0: k=3 \d+\.\d\d % ± [\d.]+\n", text)
    assert cli.main(["knn-eval", str(finished), "--num-neighbors", "3", "--no-stages"]) == 0
    assert "stage" not in capsys.readouterr().out


def test_several_encoders_are_evaluated_with_one_extraction_each(finished, capsys, monkeypatch):
    extracted = []
    prepare = preparation.prepare

    def counted(run, subject):
        extracted.append(subject.encoder)
        return prepare(run, subject)

    monkeypatch.setattr(preparation, "prepare", counted)
    words = ["evaluate", str(finished), "--encoders", "trained", "pixels", "--vote.num-neighbors"]
    assert cli.main([*words, "3", "--probe.l2-grid", "0.1"]) == 0
    text = capsys.readouterr().out
    for encoder in ("trained", "pixels"):
        assert_matches(rf"linear {encoder}: \d+\.\d\d % ± \d", text)
        assert_matches(rf"kNN {encoder}: k=3 \d+\.\d\d % ± \d", text)
        assert (f"linear {encoder}, stage 0: " in text) == (encoder == "trained")
        for evaluator in ("linear", "knn"):
            assert list(finished.glob(f"evaluation/step-2/*/{evaluator}-{encoder}.json"))
    assert_matches(r"linear trained, best of \d by held-out accuracy \([\d.]+ %\): ", text)
    assert extracted == ["trained", "pixels"]


def test_grids_seeds_and_splits_are_options(finished, capsys):
    words = ["evaluate", str(finished), "--encoders", "trained", "random", "--seeds", "0", "1"]
    words += ["--train-split", "fit", "--test-split", "validation", "--vote.num-neighbors", "3"]
    assert cli.main([*words, "--grid", "auto", "--probe.l2-grid", "0.1"]) == 0
    text = capsys.readouterr().out
    grid = "stage 0 as a 4 x 4 grid"  # patches of 4 pixels in 16
    for name in ("trained", "random", "random (seed 1)"):
        assert f"linear {name}, {grid}: " in text
    files = {path.name for path in finished.glob("evaluation/step-2/*-fit-validation/*.json")}
    tail = "stage-0-as-a-4-x-4-grid.json"
    encoders = ("trained", "random-seed0", "random-seed1")
    assert files >= {f"linear-{encoder}-{tail}" for encoder in encoders}


def test_few_labels(finished, capsys):
    words = ["few-label", str(finished), "--encoders", "trained", "pixels", "--draws", "2"]
    assert cli.main([*words, "--per-class", "1", "2", "--fractions", "0.5"]) == 0
    text = capsys.readouterr().out
    grid = "stage 0 as a 4 x 4 grid"
    assert_matches(rf"few labels trained, 1 per class: [\d.]+ % ± [\d.]+ \(2 draws; {grid}, ", text)
    assert_matches(r"few labels pixels, 50 %: [\d.]+ % ± [\d.]+ \(2 draws; pooled, 256 feat", text)
    (file,) = finished.glob("evaluation/step-2/*/few-label-pixels.json")
    results = json.loads(file.read_text())["results"]
    assert [len(rows) for rows in results["rows"]["2 per class"]] == [8, 8]
    (file,) = finished.glob("evaluation/step-2/*/few-label-trained-*.json")
    results = json.loads(file.read_text())["results"]
    losses = {
        layer: budgets["2 per class"]["cv_loss"] for layer, budgets in results["layers"].items()
    }
    assert results["best"]["2 per class"]["layer"] == min(losses, key=losses.get)
    assert results["best"]["2 per class"]["chosen_from"] == len(losses)
    assert cli.main([*words[:4], "--per-class", "2", "--max-iterations", "1"]) == 0
    assert "did not converge; raise max-iterations" in capsys.readouterr().err


def test_a_class_that_training_lacks_is_named_once(finished, tmp_path, capsys, refused):
    images, labels = tiny.images(40), np.arange(40) % 4
    path = tmp_path / "shifted.npz"
    arrays = {"train_images": images[:32], "test_images": images[32:]}
    names = np.array(["bag", "boot", "coat", "dress", "shirt", "shoe"])
    np.savez(
        path, train_labels=labels[:32], test_labels=labels[32:] + 1, class_names=names, **arrays
    )
    words = ["evaluate", finished, "--encoders", "trained", "pixels", "--evaluators", "linear"]
    words += ["knn", "few-label", "--data-path", path, "--probe.l2-grid", "0.1", "--no-stages"]
    assert cli.main([str(word) for word in words]) == 0
    out, err = capsys.readouterr()
    for start in ("linear trained: ", "kNN pixels: k=20 ", "few labels trained, 5 per class: "):
        line = next(line for line in out.splitlines() if line.startswith(start))
        assert_matches(r" % ± [\d.]+, [\d.]+ % over known classes", line)
    assert err.count("training lacks a class of the test split, shirt: 2 of 8 test images") == 1
    assert err.count("the test split lacks a class of training, bag: ") == 1
    np.savez(path, train_labels=labels[:32] // 2, test_labels=labels[32:] // 2 + 2, **arrays)
    message = refused("knn-eval", finished, "--data-path", path)
    assert "must share a class; got 0, 1 in training and 2, 3 in the test split. " in message


def test_evaluators_are_chosen_and_their_results_summed_up(finished, capsys):
    words = ["evaluate", str(finished), "--encoders", "trained", "pixels", "--grid", "auto"]
    words += ["--evaluators", "linear", "few-label", "--probe.l2-grid", "0.1"]
    assert cli.main([*words, "--few.per-class", "2", "--few.fractions"]) == 0
    text = capsys.readouterr().out
    assert "kNN" not in text and "few labels trained, 2 per class: " in text
    assert cli.main(["report", str(finished)]) == 0
    text = capsys.readouterr().out
    assert_matches(r"all labels +[\d.]+ +[\d.-]+ +[\d.]+\n", text)
    assert "A linear classifier on the trained features is, with all labels " in text
    summary = json.loads((finished / "report" / "summary.json").read_text())
    assert summary["all_labels"].keys() >= {"trained", "pixels", "probed"}


def test_retrieval_and_clustering_are_evaluators(finished, capsys, refused):
    words = ["evaluate", str(finished), "--encoders", "trained", "pixels", "--evaluators"]
    words += ["retrieval", "clustering"]
    assert cli.main([*words, "--clusters.restarts", "2"]) == 0
    text = capsys.readouterr().out
    for name in ("trained", "trained, stage 0", "pixels"):
        number = r"[\d.]+ %"
        pattern = (
            rf"^retrieval {name}: mAP {number} ± [\d.]+, recall@1 {number}, precision {number}"
        )
        assert_matches(rf"(?m){pattern}, recall@5 .*, recall@10 .*%$", text)
        pattern = rf"^clustering {name}: NMI [\d.]+, ARI [-\d.]+, {number} by assignment"
        assert_matches(rf"(?m){pattern} \(4 clusters\)$", text)
    (file,) = finished.glob("evaluation/step-2/*/clustering-trained.json")
    assert json.loads(file.read_text())["protocol"]["restarts"] == 2
    message = refused(*words, "--ranking.num-retrieved", 33)
    assert "num_retrieved must be in [1, 32]; got (33,)" in message
    message = refused(*words[:-2], "clustering", "--clusters.num-clusters", 33)
    assert "num_clusters must be in [2, 32]; got 33" in message


def test_robustness_is_of_the_kept_probe(finished, capsys, refused):
    words = ["evaluate", str(finished), "--encoders", "trained", "pixels", "--no-stages"]
    words += ["--robust.kinds", "noise", "rotation", "--evaluators"]
    assert cli.main([*words, "linear", "robustness", "--probe.l2-grid", "0.1"]) == 0
    text = capsys.readouterr().out
    number = r"[\d.]+ %"
    assert_matches(rf"robustness trained, as they are: {number} ± [\d.]+\n", text)
    assert_matches(rf"robustness trained, noise: ({number}, ){{4}}{number}\n", text)
    assert_matches(rf"robustness trained, rotation: ({number}, ){{4}}{number}\n", text)
    assert "linear pixels: " in text and "robustness pixels" not in text
    (file,) = finished.glob("evaluation/step-2/*/robustness-trained.json")
    record = json.loads(file.read_text())
    probed = json.loads(file.with_name("linear-trained.json").read_text())
    assert record["protocol"]["probe"] == probed["stamp"]
    assert record["results"]["clean"]["accuracy"] == probed["results"]["test_accuracy"]
    message = refused("evaluate", finished, "--encoders", "pixels", "--evaluators", "robustness")
    assert "the encoder must be trained, whose probe is kept; got pixels." in message
    assert "must be one of 'noise', 'blur'" in refused(*words, "linear", "--robust.kinds", "fog")


@pytest.mark.parametrize(
    ("more", "text"),
    [
        (["--test-split", "train"], '100 % of "train" .* in "train".*Name disjoint ones with'),
        (["--class-tokens", 1], "must be a ViT with a class token"),
        (["--stage", 0, "--grid", 5], "at most the side of the map of stage 0, 4; got 5"),
        (["--patch-mean"], "must stand behind class tokens"),
        (["--encoder", "pca", "--grid", "auto"], "pca has no stages"),
    ],
    ids=str,
)
def test_evaluations_that_cannot_be(refused, finished, more, text):
    assert_matches(text, refused("linear-eval", finished, *more))


def test_a_probe_that_does_not_converge_says_so(finished, capsys):
    words = ["linear-eval", str(finished), "--max-iterations", "1", "--tolerance", "1e-9"]
    assert cli.main(words) == 0
    assert "did not converge" in capsys.readouterr().err
