"""Two processes that train as one, and the script that starts them."""

import importlib.util
import json
import os
import re
import signal
import subprocess
import sys
import time
from pathlib import Path

import jax
import numpy as np
import pytest
import tiny_runs

from jaxssl import checkpoints
from jaxssl.cli import peers

SCRIPT = Path(__file__).parent.parent / "launch" / "local.py"
LAUNCHER = (sys.executable, str(SCRIPT), "--num-processes", "2")


def load():
    spec = importlib.util.spec_from_file_location("launch_local", SCRIPT)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def launch(program, *more):
    """Starts a small Python program in two processes; its arguments are those of the launcher."""
    return subprocess.Popen(
        [*LAUNCHER, *more, "--", sys.executable, "-S", "-c", program],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


@pytest.mark.slow
def test_two_processes_train_as_one_stop_together_and_go_on(tmp_path):
    """Starts under pmap, is stopped by a signal, goes on under shard_map: as one does under jit."""
    npz = tiny_runs.write_data(tmp_path / "tiny.npz")
    more = ["--training.epochs", 5, "--run.checkpoint-every", 1000]
    argv = tiny_runs.words("mae_fashion_mnist", npz, tmp_path / "two", *more)
    launcher = (*LAUNCHER, "--devices-per-process", "2", "--")
    first = tiny_runs.start([*argv, "--run.backend", "pmap"], launcher=launcher)
    tiny_runs.signal_at(first, signal.SIGTERM, tmp_path / "two", 2)
    text = tiny_runs.finish(first)
    assert "[0] 4 cpu devices, batch 8 (2 a device)" in text
    assert "[0] stopped and saved after step" in text
    (step,) = checkpoints.complete_steps(tmp_path / "two")
    assert 2 <= step < 20
    text = tiny_runs.finish(
        tiny_runs.start([*argv, "--run.backend", "shard_map"], launcher=launcher)
    )
    assert f"[0] resuming after step {step} of 20" in text
    assert "[1] MAE" not in text  # only the first process reports

    argv = tiny_runs.words("mae_fashion_mnist", npz, tmp_path / "one", *more)
    tiny_runs.finish(tiny_runs.start(argv, devices=4))
    two, one = tiny_runs.rows(tmp_path / "two"), tiny_runs.rows(tmp_path / "one")
    assert [row["step"] for row in two] == list(range(1, 21))
    assert two[0]["loss"] == pytest.approx(one[0]["loss"], rel=1e-6)
    assert two[0]["grad_norm"] == pytest.approx(one[0]["grad_norm"], rel=1e-5)
    for got, expected in zip(two, one, strict=True):  # Adam amplifies what rounding leaves
        assert got["loss"] == pytest.approx(expected["loss"], rel=1e-4)
    got, expected = (
        np.concatenate(
            [
                np.ravel(leaf)
                for leaf in jax.tree.leaves(checkpoints.restore_encoder(tmp_path / name).variables)
            ]
        )
        for name in ("two", "one")
    )
    assert np.linalg.norm(got - expected) < 1e-4 * np.linalg.norm(expected)


def refused(argv, launcher):
    """What a run in several processes prints that ends with status 1."""
    process = tiny_runs.start(argv, launcher=launcher)
    text = tiny_runs.said(process)
    assert process.returncode == 1, text
    return text


@pytest.mark.slow
def test_processes_agree_on_a_collapse(tmp_path):
    npz, out = tiny_runs.write_data(tmp_path / "tiny.npz"), tmp_path / "run"
    launcher = (*LAUNCHER, "--devices-per-process", "1", "--")
    # No spread reaches 2: suspected from the first row on.
    strict = ["--run.collapse.min-feature-spread", 2, "--run.collapse.patience", 2,
              "--run.collapse.grace-steps", 5, "--run.keep-checkpoints", 9]  # fmt: skip
    argv = tiny_runs.words("mae_fashion_mnist", npz, out, *strict)
    text = refused([*argv, "--run.collapse.action", "stop"], launcher)
    assert re.search(r"the run has collapsed: .* at step 7 .*no healthy checkpoint was saved", text)
    assert checkpoints.complete_steps(out) == [4]
    assert [row["step"] for row in tiny_runs.rows(out)] == [1, 2, 3, 4, 5, 6, 7]

    tiny_runs.finish(tiny_runs.start([*argv, "--run.collapse.action", "ignore"], launcher=launcher))
    assert checkpoints.complete_steps(out) == [4, 8, 10]
    # Healthy to step 5: back to the checkpoint before that, and the rows with it.
    rows = [json.loads(line) for line in (out / "metrics.jsonl").read_text().splitlines()]
    for row in rows[:5]:
        row["collapse/feature_spread"] = 3.0
    (out / "metrics.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    text = refused([*argv, "--run.collapse.action", "rewind"], launcher)
    assert "It stopped and went back to step 4, the newest healthy checkpoint" in text
    assert checkpoints.complete_steps(out) == [4]
    assert [row["step"] for row in tiny_runs.rows(out)] == [1, 2, 3, 4]


def test_processes_are_numbered_and_know_each_other():
    process = launch("import sys; print(*sys.argv[1:])")
    text, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    first, second = sorted(text.splitlines())
    port = first.split("127.0.0.1:")[1].split()[0]
    arguments = f"--coordinator 127.0.0.1:{port} --num-processes 2 --process-id"
    assert first == f"[0] {arguments} 0"
    assert second == f"[1] {arguments} 1"


def test_when_one_fails_the_others_are_killed_and_its_status_is_returned():
    process = launch("import sys, time\nif sys.argv[-1] == '1': sys.exit('gone')\ntime.sleep(100)")
    start = time.monotonic()
    text, _ = process.communicate(timeout=60)
    assert (process.returncode, text) == (1, "[1] gone\n")
    assert time.monotonic() - start < 30


def test_a_killed_process_counts_as_failed():
    process = launch(
        "import os, sys, time\nif sys.argv[-1] == '0': os.kill(os.getpid(), 9)\ntime.sleep(100)"
    )
    text, _ = process.communicate(timeout=60)
    assert process.returncode == 128 + 9
    assert text == "process 0 was killed by SIGKILL; so end the others.\n"


def test_when_one_is_killed_the_other_says_which_in_one_line(tmp_path):
    """Without the launcher, which would kill the other one too."""
    npz, out = tiny_runs.write_data(tmp_path / "tiny.npz"), tmp_path / "run"
    argv = tiny_runs.words("mae_fashion_mnist", npz, out, "--training.epochs", 500)
    argv += ["--run.checkpoint-every", "1000000", "--num-processes", "2"]
    argv += ["--coordinator", f"127.0.0.1:{load().free_port()}", "--process-id"]
    first, second = (tiny_runs.start([*argv, str(index)], devices=1) for index in range(2))
    try:
        tiny_runs.signal_at(first, signal.SIGKILL, out, 2, to=second)
        text = tiny_runs.said(first)
    finally:
        for process in (first, second):
            process.kill()
            process.communicate()
    assert first.returncode == 1, text  # not JAX's abort, a minute later
    assert "Traceback" not in text and "gloo" not in text.splitlines()[-1].lower()
    told = r"jaxssl: process 1 of 2 was lost, so that process 0 cannot go on\. .*resumes from the n"
    assert re.match(told, text.splitlines()[-1])
    assert not (out / "lock").exists()


CLOSED = "UNKNOWN: Gloo all-reduce failed: [pair.cc:547] Connection closed by peer [10.0.0.3]:171"


@pytest.mark.parametrize(
    ("error", "count", "told"),
    [
        (jax.errors.JaxRuntimeError(CLOSED), 2, "process 1 of 2 was lost, so that process 0 canno"),
        (jax.errors.JaxRuntimeError(CLOSED), 8, "another of the 8 processes, at 10.0.0.3, was lo"),
        (jax.errors.JaxRuntimeError(CLOSED), 1, None),
        (jax.errors.JaxRuntimeError("RESOURCE_EXHAUSTED: Out of memory"), 2, None),
        (RuntimeError(CLOSED), 2, None),
    ],
)
def test_a_lost_process_is_told_from_other_errors(monkeypatch, error, count, told):
    monkeypatch.setattr(jax, "process_count", lambda: count)
    note = peers.lost(error)
    assert note is None if told is None else note.startswith(told)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_signals_reach_every_process_as_sigterm(number):
    process = launch(
        "import os, signal, sys, time\n"
        # Not print: the signal may come while "ready" is still being printed.
        "def end(number, frame):\n"
        "    os.write(1, f'saved {number}\\n'.encode())\n"
        "    sys.exit(0)\n"
        "signal.signal(signal.SIGTERM, end)\n"
        "print('ready', flush=True)\n"
        "time.sleep(100)"
    )
    assert {process.stdout.readline() for _ in range(2)} == {"[0] ready\n", "[1] ready\n"}
    process.send_signal(number)
    text, _ = process.communicate(timeout=60)
    assert process.returncode == 0
    assert sorted(text.splitlines()) == ["[0] saved 15", "[1] saved 15"]


def test_fake_devices_replace_the_number_that_is_set(monkeypatch):
    local = load()
    monkeypatch.setenv("XLA_FLAGS", "--xla_a=1 --xla_force_host_platform_device_count=8")
    changed = local.environment(2)
    assert changed["XLA_FLAGS"] == "--xla_a=1 --xla_force_host_platform_device_count=2"
    assert changed["JAX_PLATFORMS"] == "cpu"
    assert local.environment(None) == dict(os.environ)


def test_no_processes_are_refused(capsys):
    with pytest.raises(SystemExit) as caught:
        load().main(["--num-processes", "0", "--", "true"])
    assert caught.value.code == 2
    assert "--num-processes: must be at least 1; got 0." in capsys.readouterr().err
