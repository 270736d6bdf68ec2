"""Every evaluator on a data set that pretraining did not see."""

import json
import shutil

import numpy as np
import pytest
import tiny

from jaxssl import checkpoints, cli, data
from jaxssl.evaluation import transfer

NAMES = np.array(["bag", "boot", "coat"])
BRIEF = ("--no-stages", "--vote.num-neighbors", "3", "--probe.l2-grid", "0.1", "--probe.no-extend",
         "--few.per-class", "2", "--few.draws", "2", "--clusters.restarts", "1",
         "--robust.kinds", "noise")  # fmt: skip

pytestmark = pytest.mark.usefixtures("standard_promotion")


@pytest.fixture(scope="module")
def other(tmp_path_factory):
    """Colour images of another size and shape, in three classes."""
    path = tmp_path_factory.mktemp("other") / "other.npz"
    images = np.random.default_rng(1).integers(0, 256, (36, 20, 26, 3), dtype=np.uint8)
    labels = np.arange(36) % 3
    images[labels == 1] //= 2
    np.savez(path, class_names=NAMES, train_images=images[:24], train_labels=labels[:24],
             test_images=images[24:], test_labels=labels[24:])  # fmt: skip
    return path


def test_all_evaluators_take_it(trained, other, tmp_path, capsys):
    run = shutil.copytree(trained, tmp_path / "run")
    evaluators = ("linear", "knn", "few-label", "retrieval", "clustering", "robustness")
    words = ["evaluate", str(run), "--data-path", str(other), "--encoders", "trained"]
    assert cli.main([*words, "--evaluators", *evaluators, *BRIEF]) == 0
    fields = checkpoints.read_meta(run)["encoder"]["fields"]
    mean, std = fields["mean"][0], fields["std"][0]
    (line,) = (each for each in capsys.readouterr().out.splitlines() if "transfer" in each)
    assert line.startswith("transfer from ") and line.endswith(
        f"other.npz: images resized by their short side and cropped to 16 x 16 pixels, of 1 channel"
        f"; standardised by the run's own mean {mean:g} and deviation {std:g}"
    )
    source = data.ImageData(str(other), tiny.SIZE, 1).open("train")
    for evaluator in evaluators:
        (file,) = run.glob(f"evaluation/step-2/*/{evaluator}-trained.json")
        record = json.loads(file.read_text())
        described, subject = record["protocol"], record["subject"]
        assert (described["image_size"], described["channels"]) == (tiny.SIZE, 1)
        assert described["preprocessing"].startswith("short side resized, centre crop")
        assert described["train_fingerprint"] == source.fingerprint
        assert subject["pretraining_dataset"] != described["dataset"]


def test_data_that_cannot_be_evaluated_are_one_line(trained, other, tmp_path, capsys):
    with np.load(other) as archive:
        columns = dict(archive)
    train, test = (columns[f"{name}_labels"] for name in ("train", "test"))

    def refused(**changed):
        kept = {name: value for name, value in (columns | changed).items() if value is not None}
        np.savez(tmp_path / "bad.npz", **kept)
        words = ["evaluate", str(trained), "--data-path", str(tmp_path / "bad.npz"), *BRIEF]
        assert cli.main(words) == 2
        (line,) = capsys.readouterr().err.splitlines()
        return line

    assert "must be labelled; got the split" in refused(train_labels=None, test_labels=None)
    apart = refused(train_labels=train % 2, test_labels=np.full_like(test, 2))
    assert "must share a class; got bag, boot in training and coat" in apart
    channels = refused(
        train_images=columns["train_images"][..., :2], test_images=columns["test_images"][..., :2]
    )
    assert "have 2 channels, where 1 are read; pretraining takes --data.channels 2." in channels


def test_the_data_of_pretraining_are_no_transfer():
    record = {"protocol": {"dataset": "a"}, "subject": {"pretraining_dataset": "a"}}
    assert transfer.sentence(record) == ""
    moved = {"protocol": {"dataset": "b"}, "subject": {"pretraining_dataset": "a"}}
    assert transfer.sentence(moved) == "transfer from a to b"
