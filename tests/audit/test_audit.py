"""The whole audit through the command line: of configs, and of real, tiny runs."""

import io
import json

import jax
import numpy as np
import pytest
import tiny
from PIL import Image
from rich.console import Console

from jaxssl import cli, models
from jaxssl.audit import audit, controls, measured, table
from jaxssl.augment import policies
from jaxssl.data import ImageData
from jaxssl.methods.rotation import Rotation
from jaxssl.runs import pretrain, recipe
from jaxssl.training import optimizers
from jaxssl.training.config import RunConfig, TrainingConfig

FEW = ["--num-fit", "200", "--num-score", "100"]
CONFIG = """
from jaxssl import models
from jaxssl.data import ImageData
from jaxssl.augment import policies
from jaxssl.methods.{module} import {name}
from jaxssl.runs.recipe import Recipe
from jaxssl.training import optimizers
from jaxssl.training.config import TrainingConfig

def get_config():
    crop = policies.{crop}(size=16, crop_scale=(1.0, 1.0), crop_ratio=(1.0, 1.0), flip_prob=0.0)
    return Recipe(
        method={name}(augment=crop),
        encoder=models.ViTConfig(width=16, depth=1, num_heads=2, patch_size=4),
        data=ImageData(path="{path}", image_size=16, channels=3),
        optimizer=optimizers.OptimizerConfig(),
        training=TrainingConfig(batch_size=8, epochs=1),
    )
"""


def write_data(path, *, line=False, labelled=True):
    """Sixty-four images in four classes, with a white line on top of each if asked for."""
    images = tiny.images(64)
    if line:
        images[:, 0] = 255
    arrays = {"train_images": images[:40], "test_images": images[40:]}
    if labelled:
        arrays |= {"train_labels": np.arange(40) % 4, "test_labels": np.arange(24) % 4}
    np.savez(path, **arrays)
    return path


def write_config(folder, name, *, line=False):
    path = write_data(folder / "images.npz", line=line)
    config = folder / f"{name.lower()}_config.py"
    crop = "mae" if name == "MAE" else "CropFlip"
    config.write_text(CONFIG.format(module=name.lower(), name=name, crop=crop, path=path))
    return str(config)


def pretrained(folder, method, *, labelled=True):
    """A run of a few steps; returns its directory."""
    path = write_data(folder / "images.npz", labelled=labelled)
    config = recipe.Recipe(
        method=method,
        encoder=models.ViTConfig(width=16, depth=1, num_heads=2, patch_size=4, pool="mean"),
        data=ImageData(path=str(path), image_size=tiny.SIZE, channels=3),
        optimizer=optimizers.OptimizerConfig(warmup_epochs=0),
        training=TrainingConfig(batch_size=8, epochs=1),
        run=RunConfig(log_every=1),
    )
    # optax relies on implicit promotion in its bias correction.
    with jax.numpy_dtype_promotion("standard"):
        pretrain.run(config, folder / "run", Console(file=io.StringIO()))
    return folder / "run"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    crop = policies.CropFlip(size=tiny.SIZE, crop_scale=(0.5, 1.0))
    return pretrained(tmp_path_factory.mktemp("audit"), Rotation(augment=crop))


def call(*words):
    """The exit status of a command, as optax needs it to run."""
    with jax.numpy_dtype_promotion("standard"):
        return cli.main([str(word) for word in words])


@pytest.mark.slow
def test_a_config_with_a_planted_line_fails_where_it_must_be_strict(tmp_path, capsys):
    config = write_config(tmp_path, "Rotation", line=True)
    words = ("audit", config, "--out", tmp_path / "out", *FEW)
    assert call(*words) == 0
    printed = capsys.readouterr().out
    assert "Verdict: SHORTCUT found (cue: border line" in printed
    assert "Solvability, controls and usefulness need a trained run" in printed
    record = json.loads((tmp_path / "out" / "audit.json").read_text())
    assert record.keys() == {"stamp", "protocol", "subject", "results"}
    assert "cue: border line" in record["results"]["shortcuts"]
    with Image.open(tmp_path / "out" / "audit.png") as image:
        assert np.ptp(np.asarray(image.convert("L"))) > 100
    assert call(*words, "--strict") == 1
    # The same command gives the same numbers.
    assert json.loads((tmp_path / "out" / "audit.json").read_text()) == record


def test_a_config_without_a_question_says_so(tmp_path, capsys):
    assert call("audit", write_config(tmp_path, "MAE"), "--strict", *FEW) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "MAE asks no question with a discrete answer: cue probes, which need one" in printed


@pytest.mark.slow
def test_a_run_is_measured_in_all_three_ways(run, capsys):
    assert call("audit", run, *FEW) == 0
    printed = " ".join(capsys.readouterr().out.split())
    assert "A question shows 1 input of 16 x 16 x 3 and has 4 answers" in printed
    assert "24 test images count" in printed
    record = json.loads((run / "audit" / "audit.json").read_text())
    rows = {row["name"]: row for row in record["results"]["rows"]}
    assert [row["requirement"] for row in rows.values()] == sorted(
        (row["requirement"] for row in rows.values()),
        key=["solvable", "no shortcut", "useful"].index,
    )
    assert {"trained network", "untrained network", "cue: fill"} <= rows.keys()
    assert {f"control: {name}" for name in controls.TABLE} <= rows.keys()
    assert {"linear: trained over random", "linear: trained over pixels"} <= rows.keys()
    for row in rows.values():
        assert row["low"] <= row["value"] <= row["high"]
        assert row["verdict"]
    assert rows["untrained network"]["verdict"] == "not judged"
    assert (run / "audit" / "audit.png").exists()


def test_recorded_accuracies_are_used_if_they_belong_together(run):
    meta = audit.checkpoints.restore_encoder(run).meta
    step, opened = meta["step"], audit.splits.open_splits(meta)
    described = {
        "evaluator": "linear",
        "dataset": opened.train.name,
        "train_split": "train",
        "test_split": "test",
        "train_fingerprint": opened.train.fingerprint,
        "test_fingerprint": opened.test.fingerprint,
        "layer": "pooled",
        "seed": 0,
        "test_size": 1000,
    }

    def write(kind, right, **more):
        own = described | more
        who = {"encoder": kind, "step": step}
        place = audit.protocol.path(run, own, who)
        results = {"test_accuracy": right}
        audit.protocol.write(place, protocol=own, subject=who, results=results)

    write("trained", 0.8)
    write("random", 0.5)
    write("pixels", 0.79, averaged_over="7 x 7 pixels")
    found = measured.usefulness.read(run, step, opened)
    gains = [
        measured.usefulness.gain(found.accuracies["trained"], found.accuracies[kind])
        for kind in ("random", "pixels")
    ]
    assert gains[0].value == pytest.approx(0.3) and gains[0].low > 0.25
    assert gains[1].low < 0 < gains[1].high
    assert measured.usefulness.read(run, step + 1, opened) is None
    swapped = opened._replace(test=opened.train)
    assert measured.usefulness.read(run, step, swapped) is None
    write("pixels", 0.79, test_size=999)
    assert measured.usefulness.read(run, step, opened) is None


@pytest.mark.slow
def test_a_run_without_a_question_or_labels_has_losses(tmp_path):
    run = pretrained(tmp_path, tiny.method("MAE"), labelled=False)
    with jax.numpy_dtype_promotion("standard"):
        record = audit.audit_run(run, measured.Options(num_fit=40, num_score=24))
    rows = record["results"]["rows"]
    assert [row["name"] for row in rows] == ["trained network", "untrained network"] + [
        f"control: {name}" for name in controls.TABLE
    ]
    assert all(row["unit"] == "loss" for row in rows)
    said = "Usefulness was not measured: not every image of the data set has a label."
    assert said in record["results"]["lines"]
    assert table.verdict(record) == "Verdict: shortcuts were not judged."


def test_wrong_input_is_one_line(tmp_path, capsys):
    assert cli.main(["audit"]) == 2
    assert "audit: must be followed by a config or a run directory" in capsys.readouterr().err
    assert cli.main(["audit", "rotation_fashion_mnits"]) == 2
    assert 'Did you mean "rotation_fashion_mnist"?' in capsys.readouterr().err
    with pytest.raises(ValueError, match=r"audit: threshold must be in \[0, 1\); got 1.5"):
        measured.Options(threshold=1.5)
    with pytest.raises(ValueError, match=r"audit: num_fit must be at least 2; got 1\. 4000 and"):
        measured.Options(num_fit=1, num_score=9)


@pytest.mark.parametrize(
    "shape, message",
    [
        ((4, 8, 8, 3), r"must be \[B, V, H, W, C\]; got shape \(4, 8, 8, 3\)"),
        ((4, 2, 5, 8, 3), "at least 6 x 6 pixels to be described; got 5 x 8"),
    ],
)
def test_inputs_that_cannot_be_described_are_refused(shape, message):
    with pytest.raises(ValueError, match=message):
        audit.questions._check_inputs(shape)
