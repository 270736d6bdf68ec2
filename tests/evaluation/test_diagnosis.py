"""Diagnostics of a run: of which images and views, beside which runs, and what is printed."""

import dataclasses
import json
import shutil

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import checkpoints, cli, collapse
from jaxssl.augment import policies
from jaxssl.evaluation import cka, diagnosis, protocol, splits
from jaxssl.evaluation.lidar import lidar

OPTIONS = diagnosis.Options(num_images=20, num_viewed=6, num_views=3, batch_size=8, seed=4)


@pytest.fixture(scope="module")
def run(trained, tmp_path_factory):
    return shutil.copytree(trained, tmp_path_factory.mktemp("diagnosed") / "run")


@pytest.fixture(scope="module")
def record(run):
    return diagnosis.diagnose(run, dataclasses.replace(OPTIONS, beside=(f"{run}@2",)))


def images_of(run, count):
    encoder = checkpoints.restore_encoder(run)
    config = splits.config_of(encoder.meta)
    images = config.open("train").columns["image"]
    return encoder, images[np.linspace(0, len(images) - 1, count).astype(int)]


def test_measures_the_features_of_images_and_of_their_views(run, record):
    encoder, images = images_of(run, 20)
    found = encoder(images)
    some = images[np.linspace(0, 19, 6).astype(int)]
    augment = jax.jit(policies.simclr(16).__call__)
    key, fold = jax.random.key(4), jax.random.fold_in
    views = np.stack(
        [[augment(fold(fold(key, row), view), some[row]) for view in range(3)] for row in range(6)]
    )
    viewed = encoder(views.reshape(18, *views.shape[2:]))
    layers = {"pooled": (found.pooled, viewed.pooled)}
    layers["stage 0"] = found.stages[0], viewed.stages[0]
    assert record["results"]["layers"].keys() == layers.keys()
    for name, (plain, seen) in layers.items():
        seen = np.asarray(seen).reshape(6, 3, -1)
        expected = {
            "num_features": plain.shape[1],
            "rank": collapse.effective_rank(plain),
            "decay": collapse.spectral_decay(plain),
            "uniformity": collapse.uniformity(plain),
            "alignment": collapse.alignment(jnp.asarray(seen[:, 0]), jnp.asarray(seen[:, 1])),
            "lidar": lidar(seen),
        }
        assert record["results"]["layers"][name].keys() == expected.keys()
        for measurement, value in expected.items():
            got = record["results"]["layers"][name][measurement]
            np.testing.assert_allclose(got, value, rtol=2e-3, err_msg=measurement)
    matrix = cka.cka_matrix([np.asarray(plain) for plain, _ in layers.values()])
    np.testing.assert_allclose(record["results"]["cka"]["matrix"], matrix, atol=1e-4)


def test_the_file_says_what_was_measured(run, record):
    (path,) = run.glob("evaluation/step-2/*-train-train/diagnose-trained-holdout4.json")
    assert json.loads(path.read_text()) == json.loads(json.dumps(record))
    described = record["protocol"]
    assert (described["test_split"], described["num_views"], described["seed"]) == ("train", 3, 4)
    assert described["views"]["first"]["size"] == 16
    assert protocol.stamp(described) == record["stamp"]


def test_another_run_is_represented_by_the_layer_that_held_out_images_chose(run, record):
    (beside,) = record["results"]["beside"]
    assert beside["run"] == f"{run}@2"
    assert (beside["method"], beside["step"], beside["layer"]) == ("MAE", 2, "pooled")
    np.testing.assert_allclose(beside["cka"], record["results"]["cka"]["matrix"][0], atol=1e-6)
    results = {"best": {"layer": "stage 0"}}
    for evaluator, encoder, expected in (
        ("few-label", "trained", "pooled"), ("linear", "random", "pooled"),
        ("linear", "trained", "stage 0"),
    ):  # fmt: skip
        described = record["protocol"] | {"evaluator": evaluator}
        subject = record["subject"] | {"encoder": encoder}
        path = protocol.path(run, described, subject)
        protocol.write(path, protocol=described, subject=subject, results=results)
        restored = checkpoints.restore_encoder(run)
        assert diagnosis._best_layer(str(run), restored).name == expected


def test_the_command_prints_two_tables(run, record, capsys, monkeypatch):
    asked = []

    def diagnose(*words):
        asked.append(words)
        return record

    monkeypatch.setattr(diagnosis, "diagnose", diagnose)
    assert cli.main(["diagnose", str(run), "--num-views", "2", "--beside", "a", "b@7"]) == 0
    assert asked == [(run, diagnosis.Options(num_views=2, beside=("a", "b@7")))]
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "20 images of train, no label read"
    assert lines[1].split() == [
        "features", "RankMe", "alpha-ReQ", "LiDAR", "alignment", "uniformity",
    ]  # fmt: skip
    assert lines[2].startswith("pooled") and lines[3].startswith("stage 0")
    assert lines[4] == "linear CKA, debiased" and lines[6].split()[:2] == ["pooled", "1.000"]
    assert lines[8].startswith(f"{run}@2, pooled  ") and len(lines) == 9


def test_another_run_must_be_of_the_same_images(run, monkeypatch):
    config_of, asked = splits.config_of, []

    def of_other_images(meta, data_path):
        asked.append(meta)
        config = config_of(meta, data_path)
        return config if len(asked) == 1 else dataclasses.replace(config, train_split="test")

    monkeypatch.setattr(splits, "config_of", of_other_images)
    with pytest.raises(ValueError, match=r"diagnose: all runs must be measured on the same images"):
        diagnosis.diagnose(run, dataclasses.replace(OPTIONS, beside=(str(run),)))


def test_an_encoder_of_something_else_is_refused(run, monkeypatch):
    monkeypatch.setattr(diagnosis.inputs, "image_side", lambda fed: None)
    with pytest.raises(
        ValueError, match=r"must be fed one square image; got one that is fed image"
    ):
        diagnosis.diagnose(run, OPTIONS)


@pytest.mark.parametrize(
    ("field", "value", "text"),
    [("num_images", 7, "at least 8"), ("num_views", 1, "at least 2"), ("seed", -1, "at least 0")],
)
def test_options_are_checked(field, value, text):
    with pytest.raises(ValueError, match=f"{field} must be {text}; got {value}"):
        diagnosis.Options(**{field: value})
