"""Runs that are looked at: of today, and of the format that checkpoints had before."""

import io
import zipfile
from pathlib import Path

import jax
import numpy as np
import pytest
from rich.console import Console

import jaxssl
from jaxssl import checkpoints, cli, draws, inputs, models
from jaxssl.augment import policies
from jaxssl.data import ImageData
from jaxssl.methods.rotation import Rotation
from jaxssl.runs import pretrain
from jaxssl.runs.opened import open_run
from jaxssl.runs.recipe import Recipe
from jaxssl.training.config import RunConfig, TrainingConfig
from jaxssl.training.optimizers import OptimizerConfig

RECORDED = Path(__file__).parents[1] / "recorded" / "run.zip"
# What the recorded run was of, in the words of today.
RECIPE = Recipe(
    method=Rotation(augment=policies.CropFlip(size=8)),
    encoder=models.ViTConfig(width=8, depth=1, num_heads=2, patch_size=4, pool="mean"),
    data=ImageData(path="tests/recorded/images.npz", image_size=8, channels=1, crops="device"),
    optimizer=OptimizerConfig(name="sgd", base_learning_rate=0.1, warmup_epochs=0),
    training=TrainingConfig(batch_size=8, epochs=2),
    run=RunConfig(backend="pmap", log_every=1, checkpoint_every=2, keep_checkpoints=1),
)
pytestmark = pytest.mark.usefixtures("standard_promotion")


@pytest.fixture
def before(tmp_path, monkeypatch):
    """The recorded run: its directory, below a working directory that holds its data."""
    with zipfile.ZipFile(RECORDED) as archive:
        archive.extractall(tmp_path / "tests" / "recorded")
    monkeypatch.chdir(tmp_path)
    return tmp_path / "tests" / "recorded" / "run"


def test_an_encoder_of_before_is_restored_and_fed(before):
    encoder = jaxssl.restore_encoder(before)
    assert encoder.inputs == inputs.of_image(8, 1)
    features = encoder(np.zeros((3, 8, 8, 1), np.uint8))
    assert features.pooled.shape == (3, 8)


def test_a_run_of_before_is_opened(before):
    run = open_run(before)
    assert run.recipe == RECIPE
    assert (run.step, float(run.clock.epoch), float(run.clock.progress)) == (4, 2, 1)
    images = np.zeros((2, 8, 8, 1), np.uint8)
    keys = jax.random.split(jax.random.key(0), 2)

    @jax.jit
    def answer():
        views = draws.make_views(run.method, {"image": images}, keys)
        return run.method.answer(run.params, run.method_state, views)

    assert answer().shape == (2, 4)
    moved = jax.tree.map(lambda a, b: np.any(a != b), run.beginning().params, run.params)
    assert any(jax.tree.leaves(moved))


def test_a_run_of_before_is_gone_on_with(before):
    """It has come to its end; one that has fewer steps left takes the same way."""
    text = io.StringIO()
    outcome = pretrain.run(RECIPE, before, Console(file=text, width=200))
    assert outcome.step == 4 and "resuming after step 4 of 4" in text.getvalue()


def test_a_run_of_before_is_evaluated_and_audited(before, capsys):
    assert cli.main(["linear-eval", str(before)]) == 0
    assert "linear trained" in capsys.readouterr().out
    words = ["audit", str(before), "--num-fit", "16", "--num-score", "8"]
    assert cli.main(words) == 0


def test_a_run_of_today_is_opened_as_it_began_and_as_it_is(before, tmp_path):
    out = tmp_path / "new"
    pretrain.run(RECIPE, out, Console(quiet=True))
    run = open_run(out)
    assert run.recipe == RECIPE and run.step == 4
    assert run.meta["inputs"] == inputs.to_json(inputs.of_image(8, 1))
    names = [each["name"] for each in run.meta["example"]]
    assert names == ["image", "index"]
    # The very run that was recorded, but for the number of devices.
    ours, theirs = (checkpoints.restore_encoder(each).variables for each in (out, before))
    jax.tree.map(lambda a, b: np.testing.assert_allclose(a, b, atol=1e-5), ours, theirs)
