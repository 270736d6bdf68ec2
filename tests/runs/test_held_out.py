"""The method's own loss on examples that it did not learn from."""

import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny_runs

from jaxssl import cli, draws
from jaxssl.runs import held_out, opened

pytestmark = pytest.mark.usefixtures("standard_promotion")


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    return tmp_path_factory.mktemp("held_out")


@pytest.fixture(scope="module")
def run(folder):
    npz = tiny_runs.write_data(folder / "tiny.npz")
    with jax.numpy_dtype_promotion("standard"):
        assert cli.main(tiny_runs.words("gpt_python", npz, folder / "run")) == 0
    return folder / "run"


def test_the_loss_is_that_of_the_method_on_whole_batches_of_the_test_split(run):
    record = held_out.measure(run, held_out.Options(batch_size=3))
    assert record["protocol"]["num_priced"] == 6 and record["protocol"]["test_size"] == 8
    assert record["protocol"]["test_split"] == "test"
    run_ = opened.open_run(run)
    tokens = run_.recipe.data.open("test").columns["tokens"]
    losses = []

    @jax.jit
    def price(part):
        views = draws.make_views(run_.method, part, jax.random.split(jax.random.key(0), 3))
        return jnp.mean(run_.method.loss(run_.params, run_.method_state, views, None, None)[0])

    for number in range(2):
        part = {"tokens": tokens[3 * number : 3 * number + 3], "index": np.arange(3)}
        losses.append(float(price(part)))
    found = record["results"]["trained"]
    assert found["loss"] == pytest.approx(np.mean(losses), rel=1e-5)
    assert found["half_width"] == pytest.approx(1.96 * np.std(losses, ddof=1) / 2**0.5, rel=1e-3)
    assert found["bits_per_token"] == pytest.approx(found["loss"] / np.log(2), rel=1e-5)
    assert record["results"]["untrained"]["loss"] > found["loss"]


def test_the_command_prints_and_writes_what_was_measured(run, capsys):
    assert cli.main(["pretext-eval", str(run), "--split", "train"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "32 of 32 examples of train, 8 at a time"
    assert lines[1].startswith("trained: loss ") and "bits_per_token" in lines[1]
    assert lines[2].startswith("untrained: loss ")
    (path,) = run.glob("evaluation/step-10/*-train-train/pretext-trained.json")
    assert json.loads(path.read_text())["protocol"]["evaluator"] == "pretext"
    # A report leaves it to the command: its rows are of probes.
    assert cli.main(["report", str(run)]) == 0


@pytest.mark.slow
def test_a_memory_of_every_training_image_has_no_loss_of_others(folder, capsys):
    npz = tiny_runs.write_data(folder / "tiny.npz")
    name = "deep_cluster_v2_fashion_mnist"
    words = tiny_runs.words(name, npz, folder / "clusters", "--training.epochs", 0.5,
                            "--optimizer.warmup-epochs", 0)  # fmt: skip
    assert cli.main(words) == 0
    assert cli.main(["pretext-eval", str(folder / "clusters")]) == 2
    assert "DeepClusterV2 keeps something of every training image" in capsys.readouterr().err


def test_a_batch_of_nothing_is_refused():
    with pytest.raises(ValueError, match="Options: batch_size must be at least 1; got 0"):
        held_out.Options(batch_size=0)
