"""Runs that name the words of a tokenizer, which another run has trained."""

import json
import shutil

import jax
import numpy as np
import pytest
import tiny_runs

from jaxssl import checkpoints, cli
from jaxssl.runs.opened import open_run
from jaxssl.training import loop

BEIT = "beit_fashion_mnist"
SHORT = ("--training.epochs", 0.5, "--optimizer.warmup-epochs", 0)

# A run is trained first.
pytestmark = [pytest.mark.usefixtures("standard_promotion"), pytest.mark.slow]


@pytest.fixture(scope="module")
def npz(tmp_path_factory):
    return tiny_runs.write_data(tmp_path_factory.mktemp("data") / "tiny.npz")


@pytest.fixture(scope="module")
def tokenizer(npz):
    """A finished run of two steps, which the words of a run of BEiT name."""
    line = tiny_runs.words(BEIT, npz, "")
    return line[line.index("--tokenizer") + 1]


@pytest.fixture(scope="module")
def beit(npz, tokenizer, tmp_path_factory):
    """A finished run of two steps, whose tokenizer's run is gone; and its command line."""
    out = tmp_path_factory.mktemp("runs") / "beit"
    elsewhere = shutil.copytree(tokenizer, out.with_name("words"))
    line = [*tiny_runs.words(BEIT, npz, out, *SHORT), "--tokenizer", str(elsewhere)]
    with jax.numpy_dtype_promotion("standard"):
        assert cli.main(line) == 0
    shutil.rmtree(elsewhere)
    return out, line


def assert_equal(a, b):
    assert jax.tree.structure(a) == jax.tree.structure(b)
    jax.tree.map(np.testing.assert_array_equal, a, b)


def test_it_has_the_tokenizers_parameters_from_beginning_to_end(tokenizer, beit):
    words, run = open_run(tokenizer), open_run(beit[0])
    assert_equal(run.method_state["tokenizer"], words.params)
    assert_equal(run.beginning().state["tokenizer"], words.params)
    assert run.recipe.method.tokenizer.method == words.recipe.method
    assert run.recipe.method.tokenizer.encoder == words.recipe.encoder


def test_it_is_recorded_and_resumes_without_the_other_run(tokenizer, beit):
    out, line = beit
    found = checkpoints.read_meta(out)["config"]["tokenizer"]
    assert (found["run"], found["step"]) == (str(out.with_name("words")), 2)
    assert len(found["sha256"]) == 64
    assert cli.main(line) == 0  # it is done
    # The content decides, wherever it lies.
    assert cli.main([*line, "--tokenizer", tokenizer]) == 0
    recorded = json.loads((out / "config.json").read_text())["config"]
    assert recorded["tokenizer"] == found | {"run": tokenizer}
    assert recorded["method"]["fields"]["tokenizer"] is None


def test_another_tokenizer_is_another_run(tokenizer, beit, tmp_path, capsys):
    _, line = beit
    named = line.index("--tokenizer")
    without = line[:named] + line[named + 2 : -2]
    assert cli.main(without) == 2
    assert "differs in (now, there): tokenizer (None, {'step': 2" in capsys.readouterr().err
    other = shutil.copytree(tokenizer, tmp_path / "other")
    (manifest,) = other.rglob(checkpoints.MANIFEST)
    manifest.write_text(manifest.read_text() + "\n")  # whose digest is the content's
    assert cli.main([*line, "--tokenizer", str(other)]) == 2
    assert "differs in (now, there): tokenizer.sha256 (" in capsys.readouterr().err


def test_a_run_that_begins_with_another_one_has_the_words_that_it_names(
    npz, tokenizer, beit, tmp_path, capsys, monkeypatch
):
    states = []

    def train(job, *_, **__):
        states.append(job.begin())
        print(job.about)
        return loop.Outcome(step=0, total_steps=2, stopped=False)

    monkeypatch.setattr(loop, "train", train)
    line = tiny_runs.words(BEIT, npz, tmp_path / "run", *SHORT, "--init-from", beit[0])
    assert cli.main(line) == 0
    assert f"\nwords of {tokenizer} after step 2\n" in capsys.readouterr().out
    (state,) = states
    assert_equal(state.params, open_run(beit[0]).params)
    assert_equal(state.state["tokenizer"], open_run(tokenizer).params)


def test_what_is_no_tokenizer_is_refused_and_nothing_written(npz, beit, tmp_path, capsys):
    out = tmp_path / "run"
    line = tiny_runs.words(BEIT, npz, out, *SHORT)
    named = line.index("--tokenizer")
    for words, text in [
        (line[:named] + line[named + 2 :], "the tokenizer must be a trained VQAutoencoder, whose"),
        ([*line, "--tokenizer", "nowhere"], "tokenizer: the directory must hold a complete check"),
        ([*line, "--tokenizer-step", "7"], "tokenizer: step must be one of 2; got 7."),
        (
            [*line, "--tokenizer", str(beit[0])],
            "BEiT: the tokenizer must be the run of a VQAutoencoder, which has words; got that of "
            "a BEiT. Train one: ",
        ),
        ([*line, "--encoder.patch-size", "8"], "which has a word for each; got 8 and 4 pixels."),
        (
            [*line, "--data.channels", "3"],
            "must be of images like those of this run, with 3 channels; got 1. Train one",
        ),
        (
            [*tiny_runs.words("mae_fashion_mnist", npz, out), "--tokenizer", line[named + 1]],
            "tokenizer: the method must be one that names its words; got MAE. Leave --tokenizer",
        ),
        (
            line[:named] + line[named + 2 :] + ["--tokenizer-step", "2"],
            "--tokenizer-step: nothing uses it; it takes --tokenizer too.",
        ),
    ]:
        assert cli.main(words) == 2
        assert text in capsys.readouterr().err
        assert not out.exists()
