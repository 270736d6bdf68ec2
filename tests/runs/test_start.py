"""Runs that begin with what another one has learnt."""

import json
import shutil

import jax
import numpy as np
import pytest
import tiny_runs

from jaxssl import checkpoints, cli
from jaxssl.runs.opened import open_run
from jaxssl.training import loop

BYOL, SIMCLR, MAE = "byol_fashion_mnist", "simclr_fashion_mnist", "mae_fashion_mnist"
SHORT = ("--training.epochs", 0.5, "--optimizer.warmup-epochs", 0)

pytestmark = pytest.mark.usefixtures("standard_promotion")


@pytest.fixture(scope="module")
def npz(tmp_path_factory):
    return tiny_runs.write_data(tmp_path_factory.mktemp("data") / "tiny.npz")


@pytest.fixture(scope="module")
def byol(npz, tmp_path_factory):
    """A finished run of two steps, with an encoder, a target and batch statistics."""
    out = tmp_path_factory.mktemp("runs") / "byol"
    with jax.numpy_dtype_promotion("standard"):
        assert cli.main(tiny_runs.words(BYOL, npz, out, *SHORT)) == 0
    return out


@pytest.fixture
def begun(monkeypatch):
    """Runs end where training would begin; returns the states that they began with."""
    states = []

    def train(job, *_, **__):
        states.append(job.begin())
        print(job.about.splitlines()[-1])
        return loop.Outcome(step=0, total_steps=2, stopped=False)

    monkeypatch.setattr(loop, "train", train)
    return states


def assert_equal(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    jax.tree.map(np.testing.assert_array_equal, a, b)


def test_the_same_method_goes_on_with_all_it_has(npz, byol, tmp_path, begun):
    words = tiny_runs.words(BYOL, npz, tmp_path / "run", *SHORT, "--init-from", byol)
    assert cli.main([*words, "--training.seed", "5"]) == 0
    (state,) = begun
    before = open_run(byol).state
    assert_equal(state.params, before.params)
    assert_equal(state.state, before.state)
    assert state.step == 0
    moments = jax.tree.leaves(state.opt_state)
    assert not any(np.any(leaf) for leaf in moments)


def test_another_head_begins_anew_and_the_target_with_the_encoder(
    npz, byol, tmp_path, begun, capsys
):
    words = tiny_runs.words(BYOL, npz, tmp_path / "run", *SHORT, "--init-from", byol)
    assert cli.main([*words, "--method.projector-dim", "12"]) == 0
    (state,) = begun
    said = f"starting from {byol} after step 2: encoder; anew: predictor, projector, target\n"
    assert said in capsys.readouterr().out
    before = open_run(byol).state
    assert_equal(state.params["encoder"], before.params["encoder"])
    assert_equal(state.state["encoder"], before.state["encoder"])
    online = {name: state.params[name] for name in ("encoder", "projector")}
    assert_equal(state.state["target"]["params"], online)


def test_another_method_takes_the_encoder_that_evaluation_restores(npz, byol, tmp_path, begun):
    words = tiny_runs.words(SIMCLR, npz, tmp_path / "run", *SHORT, "--init-from", byol)
    assert cli.main([*words, "--init-from-step", "2"]) == 0
    (state,) = begun
    variables = checkpoints.restore_encoder(byol).variables
    assert_equal(state.params["encoder"], variables["params"])
    assert_equal(state.state["encoder"], {"batch_stats": variables["batch_stats"]})


def test_it_trains_is_recorded_and_resumes_without_the_other_run(npz, byol, tmp_path):
    other = shutil.copytree(byol, tmp_path / "other")
    out = tmp_path / "run"
    words = [*tiny_runs.words(SIMCLR, npz, out, *SHORT), "--init-from", str(other)]
    assert cli.main(words) == 0
    start = checkpoints.read_meta(out)["config"]["start"]
    assert (start["run"], start["step"], len(start["sha256"])) == (str(other), 2, 64)
    shutil.rmtree(other)
    assert cli.main(words) == 0  # it is done
    # The content decides, wherever it lies.
    elsewhere = shutil.copytree(byol, tmp_path / "elsewhere")
    assert cli.main([*words[:-1], str(elsewhere)]) == 0
    recorded = json.loads((out / "config.json").read_text())["config"]["start"]
    assert recorded == start | {"run": str(elsewhere)}


def test_another_start_is_another_run(npz, byol, tmp_path, capsys):
    out = tmp_path / "run"
    words = tiny_runs.words(SIMCLR, npz, out, *SHORT)
    assert cli.main([*words, "--init-from", str(byol)]) == 0
    capsys.readouterr()
    assert cli.main(words) == 2
    assert "differs in (now, there): start (None, {'step': 2" in capsys.readouterr().err


def test_another_encoder_is_refused_and_nothing_written(npz, byol, tmp_path, capsys):
    out = tmp_path / "run"
    words = tiny_runs.words(SIMCLR, npz, out, *SHORT, "--init-from", byol)
    assert cli.main([*words, "--encoder.width-multiplier", "0.125"]) == 2
    line = capsys.readouterr().err
    assert f"init_from {byol}: its encoder must be the one that is asked for; differing: " in line
    assert line.count("checkpoint has") == 5
    assert "more. Give the same --encoder options" in line
    assert not out.exists()


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["--init-from", "nowhere"], "init_from: the directory must hold a complete checkpoint"),
        (["--init-from-step", 2], "--init-from-step: nothing uses it; it takes --init-from too."),
    ],
)
def test_a_start_that_is_none(npz, tmp_path, capsys, words, text):
    assert cli.main(tiny_runs.words(SIMCLR, npz, tmp_path / "run", *words)) == 2
    assert text in capsys.readouterr().err
    assert not (tmp_path / "run").exists()
