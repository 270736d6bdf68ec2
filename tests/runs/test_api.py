"""Pretraining from Python: the same run as that of the command line."""

import dataclasses

import numpy as np
import pytest
import tiny_runs

import jaxssl
from jaxssl import watching
from jaxssl.training import trackers

pytestmark = pytest.mark.usefixtures("standard_promotion")


@pytest.fixture(scope="module")
def npz(tmp_path_factory):
    return tiny_runs.write_data(tmp_path_factory.mktemp("data") / "tiny.npz")


def tiny_recipe(npz, *, epochs):
    recipe = jaxssl.load_recipe("mae_fashion_mnist")
    small = dataclasses.replace(recipe.encoder, patch_size=4, width=16, depth=1, num_heads=2)
    return dataclasses.replace(
        recipe,
        method=dataclasses.replace(recipe.method, decoder_width=16, decoder_depth=1),
        encoder=small,
        data=dataclasses.replace(recipe.data, path=str(npz)),
        optimizer=dataclasses.replace(recipe.optimizer, warmup_epochs=0),
        training=dataclasses.replace(recipe.training, batch_size=16, epochs=epochs),
        run=dataclasses.replace(recipe.run, log_every=1),
    )


class Memory:
    """A writer that keeps what it is handed."""

    def __init__(self):
        self.written = {}

    def write(self, step, values):
        self.written[step] = values["loss"]

    def flush(self):
        """Nothing to do."""

    def close(self):
        """Nothing to do."""


def test_a_recipe_trains_is_watched_and_goes_on(npz, tmp_path, capsys):
    rows, memory = [], Memory()
    watchers = [watching.Callback(rows.append), trackers.Tracker(lambda *_: memory)]
    recipe = tiny_recipe(npz, epochs=1)
    outcome = jaxssl.pretrain(recipe, tmp_path / "run", watchers=watchers, quiet=True)
    assert capsys.readouterr().out == ""
    assert (outcome.step, outcome.stopped) == (outcome.total_steps, False)
    assert [row["step"] for row in rows] == list(range(1, outcome.total_steps + 1))
    assert memory.written == {row["step"]: row["loss"] for row in rows}
    features = jaxssl.restore_encoder(tmp_path / "run")(np.zeros((2, 28, 28, 1), np.uint8))
    assert features.pooled.shape == (2, 16)
    assert jaxssl.pretrain(recipe, str(tmp_path / "run")) == outcome
    assert f"resuming after step {outcome.step} of" in capsys.readouterr().out
    with pytest.raises(ValueError, match=r"differs in \(now, there\): training.seed"):
        other = dataclasses.replace(recipe.training, seed=1)
        jaxssl.pretrain(dataclasses.replace(recipe, training=other), tmp_path / "run", quiet=True)


def test_what_a_callback_raises_ends_the_run(npz, tmp_path):
    def stop(row):
        raise KeyError(row["step"])

    with pytest.raises(KeyError, match="1"):
        recipe = tiny_recipe(npz, epochs=1)
        jaxssl.pretrain(recipe, tmp_path, watchers=[watching.Callback(stop)], quiet=True)


def test_a_recipe_may_be_a_name(tmp_path):
    with pytest.raises(FileNotFoundError, match="mae_fashion_mnist"):
        jaxssl.pretrain("mae_fashion_mnits", tmp_path)


@pytest.mark.parametrize("name", jaxssl.__all__)
def test_every_public_name_is_there(name):
    assert getattr(jaxssl, name) is not None
    assert name in dir(jaxssl)
