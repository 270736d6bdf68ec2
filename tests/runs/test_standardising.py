"""Whose mean and deviation an encoder standardises images by."""

import jax
import numpy as np
import pytest
import tiny
import tiny_runs

from jaxssl import checkpoints, cli
from jaxssl.recipes import _fashion_mnist
from jaxssl.runs import standardising
from jaxssl.training import loop

SIMCLR, BYOL = "simclr_fashion_mnist", "byol_fashion_mnist"
SHORT = ("--training.epochs", 0.5, "--optimizer.warmup-epochs", 0)

pytestmark = pytest.mark.usefixtures("standard_promotion")


@pytest.fixture(scope="module")
def npz(tmp_path_factory):
    return tiny_runs.write_data(tmp_path_factory.mktemp("data") / "tiny.npz")


@pytest.fixture(scope="module")
def finished(npz, tmp_path_factory):
    """A finished run of two steps on data that are not its recipe's, in colour."""
    out = tmp_path_factory.mktemp("runs") / "simclr"
    with jax.numpy_dtype_promotion("standard"):
        assert cli.main(tiny_runs.words(SIMCLR, npz, out, "--data.channels", 3, *SHORT)) == 0
    return out


@pytest.fixture
def encoders(monkeypatch):
    """Runs end where training would begin; returns the encoders' fields that they recorded."""
    seen = []

    def train(job, *_, **__):
        seen.append(job.meta["encoder"]["fields"])
        return loop.Outcome(step=0, total_steps=2, stopped=False)

    monkeypatch.setattr(loop, "train", train)
    return seen


def test_other_data_are_standardised_by_their_own_numbers(finished):
    fields = checkpoints.read_meta(finished)["encoder"]["fields"]
    pixels = tiny.images(tiny_runs.NUM_TRAIN + tiny_runs.NUM_TEST)[: tiny_runs.NUM_TRAIN] / 255
    np.testing.assert_allclose(fields["mean"], pixels.mean(axis=(0, 1, 2)), atol=6e-5)
    np.testing.assert_allclose(fields["std"], pixels.std(axis=(0, 1, 2)), atol=6e-5)
    config = checkpoints.restore_encoder(finished).module.config
    assert (list(config.mean), list(config.std)) == (fields["mean"], fields["std"])


def test_the_first_lines_say_so(npz, tmp_path, encoders, capsys):
    assert cli.main(tiny_runs.words(SIMCLR, npz, tmp_path / "run", *SHORT)) == 0
    line = "--encoder.mean and --encoder.std: measured on 32 of 32 images\n"
    assert line in capsys.readouterr().out
    assert len(encoders[0]["mean"]) == len(encoders[0]["std"]) == 1  # grey


def test_what_is_typed_holds(npz, tmp_path, encoders, capsys):
    words = tiny_runs.words(SIMCLR, npz, tmp_path / "run", "--encoder.mean", 0.5, *SHORT)
    assert cli.main(words) == 0
    assert "--encoder.std: measured on 32" in capsys.readouterr().out
    assert encoders[0]["mean"] == (0.5,) and encoders[0]["std"] != _fashion_mnist.STD
    words = tiny_runs.words(SIMCLR, npz, tmp_path / "b", "--encoder.mean", 0.5, *SHORT)
    assert cli.main([*words, "--encoder.std", "0.25"]) == 0
    assert "measured" not in capsys.readouterr().out and encoders[1]["std"] == (0.25,)


def test_the_recipes_own_data_keep_its_numbers(tmp_path, encoders, capsys):
    assert cli.main(["pretrain", SIMCLR, "--out", str(tmp_path / "run")]) == 0
    assert "measured" not in capsys.readouterr().out
    assert (encoders[0]["mean"], encoders[0]["std"]) == (_fashion_mnist.MEAN, _fashion_mnist.STD)


def test_numbers_in_lab_units_stay(npz, tmp_path, encoders, capsys):
    for number, name in enumerate(("colorization_photographs", "split_brain_photographs")):
        assert cli.main(tiny_runs.words(name, npz, tmp_path / name, *SHORT)) == 0
        assert "measured" not in capsys.readouterr().out
        assert encoders[number]["mean"][0] == 50.0


def test_a_run_that_goes_on_measures_nothing(finished, npz, encoders, monkeypatch, capsys):
    monkeypatch.setattr(standardising.data, "measure_moments", None)
    recorded = checkpoints.read_meta(finished)["encoder"]["fields"]
    words = tiny_runs.words(SIMCLR, npz, finished, "--data.channels", 3, *SHORT)
    assert cli.main(words) == 0
    assert list(encoders[0]["mean"]) == recorded["mean"]
    assert f"those of {finished}" in capsys.readouterr().out


def test_a_run_that_starts_from_another_takes_its_numbers(finished, tmp_path, encoders):
    images = tiny.images(40) // 4
    np.savez(tmp_path / "dark.npz", train_images=images[:32], test_images=images[32:])
    words = tiny_runs.words(BYOL, tmp_path / "dark.npz", tmp_path / "run", "--data.channels", 3)
    assert cli.main([*words, *map(str, SHORT), "--init-from", str(finished)]) == 0
    assert list(encoders[0]["mean"]) == checkpoints.read_meta(finished)["encoder"]["fields"]["mean"]
