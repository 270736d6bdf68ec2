"""Runs whose encoder begins with published weights."""

import dataclasses
import json
import re

import jax
import numpy as np
import pytest
import safetensors.numpy
import tiny_runs
import weight_files

from jaxssl import checkpoints, cli, interop, models
from jaxssl.runs import encoders_apart, published, recipe
from jaxssl.runs.directory import RunDirectory
from jaxssl.training import loop

MAE, SIMCLR = "mae_fashion_mnist", "simclr_fashion_mnist"
TENSORS = weight_files.tensors("ViT of timm", weight_files.vit(8))
# What makes the recipe's encoder that of the file.
FITTING = (
    "--encoder.width", 8, "--encoder.depth", 2, "--encoder.position", "learned",
    "--encoder.pool", "class", "--data.channels", 3,
)  # fmt: skip

pytestmark = pytest.mark.usefixtures("standard_promotion")


@pytest.fixture(scope="module")
def npz(tmp_path_factory):
    return tiny_runs.write_data(tmp_path_factory.mktemp("data") / "tiny.npz")


@pytest.fixture
def file(tmp_path):
    safetensors.numpy.save_file(TENSORS, tmp_path / "vit.safetensors")
    return tmp_path / "vit.safetensors"


@pytest.fixture
def begun(monkeypatch):
    """Runs end where training would begin; returns the jobs that they are."""
    jobs = []

    def train(job, *_, **__):
        jobs.append(job)
        print(job.about.splitlines()[-1])
        return loop.Outcome(step=0, total_steps=2, stopped=False)

    monkeypatch.setattr(loop, "train", train)
    return jobs


def test_it_begins_with_them_and_reads_them_no_more(
    npz, file, tmp_path, begun, capsys, monkeypatch
):
    out = tmp_path / "run"
    words = tiny_runs.words(MAE, npz, out, *FITTING, "--encoder-weights", file)
    assert cli.main(words) == 0

    state = begun[0].begin()
    size = interop.ImportConfig(image_size=16)  # of a table for 8 pixels
    expected = interop.load(file, size, num_heads=2)
    assert expected.variables["params"]["position"].shape == (4, 4, 8)
    jax.tree.map(
        np.testing.assert_array_equal, state.params["encoder"], expected.variables["params"]
    )
    said = capsys.readouterr().out
    assert f"--encoder.mean and --encoder.std: those of {file}" in said
    assert f"starting from {file} (ViT of timm): encoder\n" in said
    config = json.loads((out / "config.json").read_text())["config"]
    weights = config["encoder_weights"]
    assert weights == {
        "source": str(file), "sha256": expected.meta["origin"]["imported"]["sha256"],
    }  # fmt: skip
    assert tuple(config["encoder"]["fields"]["mean"]) == expected.module.config.mean

    file.unlink()
    monkeypatch.setattr(checkpoints, "complete_steps", lambda path: [4])
    asked = recipe.load(MAE)
    asked = dataclasses.replace(asked, encoder_weights=recipe.Published(str(file)))
    settled = published.settle(asked, ("mean",), RunDirectory(out), print)
    assert settled.recipe.encoder_weights == recipe.Published(**weights)
    assert (settled.to_measure, settled.found) == (("mean",), None)


def test_another_encoder_is_refused_with_the_options_that_fit(npz, file, tmp_path, begun, capsys):
    words = [*tiny_runs.words(MAE, npz, tmp_path / "run"), "--encoder-weights", str(file)]
    assert cli.main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert f"encoder_weights {file}: must be of the recipe's encoder; differing: class_" in line
    assert (
        "class_token missing, there [1, 1, 8]; " in line and "more. Set --encoder.width 8" in line
    )
    assert not (tmp_path / "run").exists()
    options = re.search(r"Set (.*)\.$", line)[1].split()
    assert cli.main([*words, *options]) == 0
    assert len(begun) == 1


def fed(config, channels=3):
    return encoders_apart.Fed(config, channels)


def test_what_to_type_for_the_encoder_of_the_weights():
    def refused(ours, theirs):
        with pytest.raises(ValueError) as caught:
            encoders_apart.check(ours, theirs, "weights")
        return str(caught.value)

    small = models.ResNetConfig(10, stem="small", width_multiplier=0.25, mean=(0.5,))
    theirs = models.ResNetConfig(10)
    line = refused(fed(small, 1), fed(theirs))
    assert "differing: stem_conv/kernel [3, 3, 1, 16], there [7, 7, 3, 64]" in line
    assert line.endswith("Set --encoder resnet-10 --encoder.stem imagenet --data.channels 3.")
    vit = models.ViTConfig("Nano", num_heads=2, position="learned", norm_epsilon=1e-12)
    line = refused(fed(small), fed(vit))
    assert line.endswith(
        "Set --encoder vit-nano/16 --encoder.num-heads 2 --encoder.position learned "
        "--encoder.norm-epsilon 1e-12."
    )
    # No leaf says how many heads there are.
    line = refused(fed(models.ViTConfig("Nano", position="learned")), fed(vit))
    assert "differing: num_heads 4, there 2; norm_epsilon 1e-06, there 1e-12. Set" in line
    same = dataclasses.replace(vit, scan_layers=True, dtype="bfloat16", mean=(1.0,))
    encoders_apart.check(fed(same), fed(vit), "weights")


def test_weights_that_no_run_can_begin_with(npz, file, tmp_path, capsys):
    words = [*tiny_runs.words(MAE, npz, tmp_path / "run", *FITTING), "--encoder-weights"]
    for more, text in (
        ([str(file), "--init-from", "runs/a"], "got init_from runs/a too"),
        (["timm.safetensors"], "got nothing there"),
    ):
        assert cli.main([*words, *more]) == 2
        assert text in capsys.readouterr().err
    with pytest.raises(ValueError, match="must be a ResNet, ViT or ConvNeXt; got a Split"):
        encoders_apart.check_kind(models.SplitConfig(half=models.ResNetConfig()), "weights")
    assert not (tmp_path / "run").exists()
