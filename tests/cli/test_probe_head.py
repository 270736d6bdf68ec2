"""The kept probe as the head that fine-tuning begins with, and as what names images."""

import csv
import dataclasses
import json
import shutil

import jax
import numpy as np
import pytest
import tiny
from PIL import Image

import jaxssl
from jaxssl import cli, data
from jaxssl.evaluation import kept_probe
from jaxssl.report import facts
from jaxssl.runs.opened import open_run

STILL = ("--training.batch-size", 8, "--training.epochs", 0.25, "--optimizer.warmup-epochs", 0,
         "--optimizer.base-learning-rate", 1e-12, "--method.ema-momentum", 0.5)  # fmt: skip
PROBE = ("--l2-grid", 0.1, "--no-extend", "--no-stages")

pytestmark = pytest.mark.usefixtures("standard_promotion")


def call(*words):
    return cli.main(list(map(str, words)))


@pytest.fixture(scope="module")
def probed(finished, tmp_path_factory):
    """A finished run with the probe of its pooled features."""
    run = shutil.copytree(finished, tmp_path_factory.mktemp("probed") / "run")
    assert call("linear-eval", run, *PROBE) == 0
    return run


@pytest.fixture(scope="module")
def test_images(npz):
    return data.ImageData(str(npz), tiny.SIZE, 1).open("test").columns["image"]


def result_of(run, name):
    (file,) = run.glob(f"evaluation/step-*/*/{name}.json")
    return json.loads(file.read_text())["results"]


def test_the_network_begins_with_the_answers_of_the_probe(probed, test_images, tmp_path, capsys):
    out = tmp_path / "run"
    words = ("finetune", probed, "--out", out, *STILL)
    assert call(*words, "--head", "probe") == 0
    (file,) = probed.glob("evaluation/step-2/*/linear-trained.safetensors")
    said = f"starting from {probed} after step 2: encoder, head; head: the probe {file}; anew: targ"
    assert said in capsys.readouterr().out
    opened = open_run(out)
    logits = jax.jit(opened.method.answer)(
        opened.params, opened.method_state, {"image": test_images}
    )
    odds = np.exp(np.asarray(logits, np.float64))
    probe = jaxssl.restore_probe(probed)
    assert len(np.unique(probe.predict(test_images))) > 1
    np.testing.assert_allclose(odds / odds.sum(1, keepdims=True), probe(test_images), atol=1e-5)
    found, expected = result_of(out, "finetune-trained"), result_of(probed, "linear-trained")
    assert found["test_accuracy"] == expected["test_accuracy"]
    began = f"the encoder of {probed}, step 2; the head {file}"
    assert ("begun with", began) in facts.about(opened).rows
    start = json.loads((out / "config.json").read_text())["config"]["start"]
    assert start["probe"] == str(file) and len(start["probe_sha256"]) == 64
    # It is done; with a head of its own it would be another run.
    assert call(*words, "--head", "probe") == 0
    assert call(*words) == 2
    assert "differs in (now, there): start.probe_sha256 (, " in capsys.readouterr().err


def test_a_folded_probe_reads_features_as_they_are(probed, test_images):
    probe = jaxssl.restore_probe(probed)
    features = probe.features(test_images).astype(np.float64)
    kernel, bias = probe.folded()
    expected = (features - probe.mean) * probe.scale @ probe.weights + probe.bias
    np.testing.assert_allclose(features @ kernel + bias, expected, atol=1e-9)


def test_a_head_that_cannot_be_is_one_line(npz, finished, probed, tmp_path, refused):
    def line(run, *words):
        return refused("finetune", run, "--out", tmp_path / "run", *words)

    head = ("--head", "probe")
    assert f"Fit it: jaxssl linear-eval {finished}." in line(finished, *head)
    assert f"linear-eval {finished} --step 2." in line(finished, *head, "--step", 2)
    other = tmp_path / "other.npz"
    other.write_bytes(npz.read_bytes())
    said = line(probed, *head, "--data.path", other)
    assert f"none at {probed}" in said and f"linear-eval {probed} --data-path {other}." in said
    said = line(probed, *head, "--method.grid", 2)
    assert "--head probe must go with --method.grid 1, since the probe is of the pooled" in said
    said = line(probed, *head, "--encoder", "random")
    assert "--head: nothing uses it; a random encoder has no probe." in said
    said = line(probed, "--start.probe", tmp_path / "none.safetensors")
    assert "none.safetensors" in said
    assert not (tmp_path / "run").exists()


def test_a_probe_of_something_else_is_refused(
    npz, finished, probed, tmp_path, refused, monkeypatch
):
    run = shutil.copytree(finished, tmp_path / "run")
    assert call("linear-eval", run, *PROBE, "--grid", 2) == 0
    (file,) = run.glob("evaluation/step-2/*/*.safetensors")

    def line(file):
        return refused("finetune", run, "--out", tmp_path / "out", "--start.probe", file)

    assert "must read the pooled features, as the head does; got one of stage 0 as a" in line(file)
    named = tmp_path / "named.npz"
    np.savez(named, class_names=np.array(["a", "b", "c", "d"]), **np.load(npz))
    assert call("linear-eval", run, *PROBE, "--data-path", named) == 0
    (file,) = run.glob("evaluation/step-2/*/linear-trained.safetensors")
    assert "must be those of the data, 0, 1, 2, 3; got a, b, c, d. Begin with" in line(file)
    probe = kept_probe.restore_probe(run, file)
    later = dataclasses.replace(probe, about=dataclasses.replace(probe.about, step=4))
    monkeypatch.setattr(kept_probe, "restore_probe", lambda *_: later)
    assert "must be of step 2, as the encoder is; got one of step 4. Fit such" in line(file)


def test_images_are_named_by_the_kept_probe(probed, test_images, tmp_path, capsys):
    for row, image in enumerate(test_images):
        Image.fromarray(image[..., 0]).save(tmp_path / f"{row}.png")
    (tmp_path / "broken.png").write_bytes(b"nothing")
    out = tmp_path / "new" / "predictions.csv"
    assert call("predict", probed, tmp_path, "--out", out) == 0
    assert "broken.png: " in capsys.readouterr().err
    rows = list(csv.DictReader(out.read_text().splitlines()))
    probe = jaxssl.restore_probe(probed)
    assert [row["class"] for row in rows] == probe.names(test_images)
    expected = probe(test_images).max(axis=1)
    np.testing.assert_allclose([float(row["probability"]) for row in rows], expected, atol=2e-6)


def test_one_of_several_probes_is_named(probed, tmp_path, refused):
    run = shutil.copytree(probed, tmp_path / "run")
    assert call("linear-eval", run, *PROBE, "--grid", 2) == 0
    Image.new("L", (16, 16)).save(tmp_path / "image.png")
    words = ("predict", run, tmp_path / "image.png", "--out", tmp_path / "out.csv")
    assert "must hold one probe of step 2; got" in refused(*words)
    file = next(run.glob("evaluation/step-2/*/*-grid.safetensors"))
    assert "--step: nothing uses it; the probe is of one." in refused(
        *words, "--probe", file, "--step", 2
    )
    assert "or hold a linear probe of step 3; got one of MAE without" in refused(
        *words, "--step", 3
    )
    assert call(*words, "--probe", file) == 0
