"""Runs with online probes: every bit of the encoder as without, the same rows after a resume."""

import json
import os
import shutil
import signal

import jax
import numpy as np
import pytest
import tiny_runs

from jaxssl import checkpoints, cli, watching
from jaxssl.online import linear
from jaxssl.online.kept import KeptProbes
from jaxssl.online.watcher import ProbeWatcher
from jaxssl.runs.directory import RunDirectory
from jaxssl.runs.opened import open_run

NAME = "mae_fashion_mnist"
PROBED = ("--run.probe", "linear", "knn", "--run.probe-every", 4)


@pytest.fixture(scope="module")
def npz(tmp_path_factory):
    return tiny_runs.write_data(tmp_path_factory.mktemp("data") / "tiny.npz")


def run_pair(name, npz, folder):
    """A run of a recipe without probes, and one with."""
    outs = [folder / "plain", folder / "probed"]
    with jax.numpy_dtype_promotion("standard"):
        for out, more in zip(outs, ((), PROBED)):
            assert cli.main(tiny_runs.words(name, npz, out, *more)) == 0
    return outs


def check_same_bits(plain, probed):
    rows = [
        {name: value for name, value in row.items() if not name.startswith("online/")}
        for row in tiny_runs.rows(probed)
    ]
    assert rows == tiny_runs.rows(plain)
    assert checkpoints.complete_steps(probed) == checkpoints.complete_steps(plain)
    for step in checkpoints.complete_steps(plain):
        states = [open_run(out, step).state for out in (plain, probed)]
        jax.tree.map(np.testing.assert_array_equal, *states)
        kept = [checkpoints.restore_encoder(out, step).variables for out in (plain, probed)]
        jax.tree.map(np.testing.assert_array_equal, *kept)
    assert not RunDirectory(plain).online.exists()


@pytest.fixture(scope="module")
def pair(npz, tmp_path_factory):
    return run_pair(NAME, npz, tmp_path_factory.mktemp("runs"))


def test_no_bit_of_a_run_changes(pair):
    check_same_bits(*pair)


@pytest.mark.exhaustive
@pytest.mark.parametrize("name", ["byol_fashion_mnist", "jigsaw_fashion_mnist"])
def test_no_bit_changes_of_other_kinds_of_state(name, npz, tmp_path):
    check_same_bits(*run_pair(name, npz, tmp_path))


@pytest.mark.slow
def test_one_device_judges_as_eight_do(npz, pair, tmp_path):
    words = tiny_runs.words(NAME, npz, tmp_path / "run", *PROBED)
    tiny_runs.finish(tiny_runs.start(words, devices=1))
    for one, eight in zip(tiny_runs.rows(tmp_path / "run"), tiny_runs.rows(pair[1]), strict=True):
        assert one.keys() == eight.keys()
        assert one["online/linear_loss"] == pytest.approx(eight["online/linear_loss"], rel=1e-3)


def test_rows_hold_what_was_judged(pair):
    rows = tiny_runs.rows(pair[1])
    assert all("online/linear_loss" in row for row in rows)
    assert rows[0]["online/linear_loss"] == pytest.approx(np.log(4), rel=1e-5)
    judged = [row["step"] for row in rows if "online/linear_accuracy" in row]
    assert judged == [row["step"] for row in rows if "online/knn_accuracy" in row] == [4, 8, 10]
    values = [row[f"online/{kind}_accuracy"] for row in rows[3::4] for kind in ("linear", "knn")]
    assert all(0 <= value <= 1 and (8 * value).is_integer() for value in values)
    about = json.loads(RunDirectory(pair[1]).online_about.read_text())
    assert about == {"split": "test", "is_test": True, "num_judged": 8, "num_bank": 32}
    # One file for each checkpoint that is kept.
    files = {int(file.stem) for file in RunDirectory(pair[1]).online.glob("*.npz")}
    assert set(checkpoints.complete_steps(pair[1])) <= files


@pytest.mark.slow
def test_a_resumed_run_writes_the_same_rows(npz, pair, tmp_path, monkeypatch):
    class Stopping(ProbeWatcher):
        def measure(self, state, batch):
            if self._step == 5:
                os.kill(os.getpid(), signal.SIGTERM)
            return super().measure(state, batch)

    words = tiny_runs.words(NAME, npz, tmp_path / "run", *PROBED)
    with monkeypatch.context() as patched:
        patched.setattr("jaxssl.online.ProbeWatcher", Stopping)
        assert cli.main(words) == 0
    assert len(tiny_runs.rows(tmp_path / "run")) == 5
    assert cli.main(words) == 0
    assert tiny_runs.rows(tmp_path / "run") == tiny_runs.rows(pair[1])


def test_a_probe_that_is_asked_for_later_begins_then(npz, pair, tmp_path, capsys):
    out = shutil.copytree(pair[0], tmp_path / "run")
    assert cli.main(tiny_runs.words(NAME, npz, out, "--run.probe", "linear")) == 0
    assert "the linear probe begins anew at step 10" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("name", "more", "message"),
    [
        ("gpt_python", ("linear",), "run.probe: must be of a recipe of images; got"),
        (NAME, ("quadratic",), "quadratic"),
    ],
)
def test_what_cannot_be_probed_is_refused(name, more, message, npz, tmp_path, capsys):
    words = tiny_runs.words(name, npz, tmp_path / "run", "--run.probe", *more)
    assert cli.main(words) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert message in line
    assert not (tmp_path / "run").exists()


def test_unlabelled_images_are_refused(tmp_path, capsys):
    images = np.load(tiny_runs.write_data(tmp_path / "tiny.npz"))["train_images"]
    np.savez(tmp_path / "bare.npz", images=images)
    words = tiny_runs.words(NAME, tmp_path / "bare.npz", tmp_path / "run")
    assert cli.main([*words, "--run.probe", "knn"]) == 2
    assert 'every image of "train" must have a class' in capsys.readouterr().err
    assert not (tmp_path / "run").exists()


def test_an_interval_without_a_probe_is_refused(npz, tmp_path, capsys):
    words = tiny_runs.words(NAME, npz, tmp_path / "run", "--run.probe-every", 3)
    assert cli.main(words) == 2
    assert "it takes --run.probe linear or knn" in capsys.readouterr().err


def test_files_of_probes_go_with_their_steps(tmp_path):
    probes, probe = KeptProbes(tmp_path / "online"), linear.begin(3, 2)
    for step in (2, 4, 6):
        probes.save(step, probe)
    probes.delete(lambda step: step > 4)
    assert probes.restore(6) is None
    jax.tree.map(np.testing.assert_array_equal, probes.restore(4), probe)
    (tmp_path / "online" / "4.npz").write_bytes(b"nothing")
    with pytest.raises(ValueError, match=r"run.probe: .*4.npz must be a probe as it was written"):
        probes.restore(4)


def test_watchers_follow_together():
    class One(watching.Watcher):
        def follow(self, state, batch):
            return {"one": state}

    class Two(watching.Watcher):
        def follow(self, state, batch):
            return {"two": batch}

    followed = watching.Watchers([One(), watching.Watcher(), Two()]).follow(1, 2)
    assert followed == {"one": 1, "two": 2}
