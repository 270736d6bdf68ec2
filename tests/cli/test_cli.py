"""The commands, their help, and how each way to fail ends: one line and an exit status."""

import importlib
import os
import re
import shutil
import signal
import subprocess
import sys

import pytest
import tiny_runs

import jaxssl
from jaxssl import checkpoints, cli, data
from jaxssl.training import loop
from jaxssl.training.rows import DivergedError

MAE = "mae_fashion_mnist"


pytestmark = pytest.mark.usefixtures("standard_promotion")


def assert_matches(pattern, line):
    assert re.search(pattern, line), line


def test_no_command_shows_the_commands(capsys):
    assert cli.main([]) == 2
    text = capsys.readouterr().out
    for command in ("pretrain", "linear-eval", "few-label", "report", "prepare"):
        assert f"  {command} " in text


def test_a_reader_who_has_seen_enough_ends_a_command_quietly(capsys, monkeypatch):
    reading, writing = os.pipe()
    os.close(reading)
    with os.fdopen(writing, "w") as pipe:
        monkeypatch.setattr(sys, "stdout", pipe)
        assert cli.main(["--help"]) == 1
    assert not capsys.readouterr().err


def test_version(capsys):
    assert cli.main(["--version"]) == 0
    assert capsys.readouterr().out == f"{jaxssl.__version__}\n"


def test_the_words_of_the_process_are_the_default(capsys, monkeypatch):
    monkeypatch.setattr(sys, "argv", ["jaxssl", "--version"])
    assert cli.main() == 0


def test_usage_and_unknown_commands_import_no_jax():
    program = (
        "import sys; from jaxssl import cli; cli.main(sys.argv[1:]); "
        "print([name for name in ('jax', 'orbax', 'tyro') if name in sys.modules])"
    )
    for word in ("--help", "--version", "pretrian"):
        done = subprocess.run(
            [sys.executable, "-W", "error", "-c", program, word], capture_output=True, text=True
        )
        assert (done.stdout.splitlines()[-1], done.returncode) == ("[]", 0)


@pytest.mark.parametrize("name", cli.COMMANDS)
def test_the_usage_of_a_command_is_the_first_line_of_its_file(name):
    text = importlib.import_module(f"jaxssl.cli.{name.replace('-', '_')}").__doc__.splitlines()[0]
    words, does = re.fullmatch(r"``(.*)``: (.*)", text).groups()
    assert words.split()[0] == name
    assert re.search(rf"^  {re.escape(words)} +{re.escape(does.rstrip('.'))}$", cli.usage(), re.M)


@pytest.mark.parametrize(
    ("argv", "options"),
    [
        (["--help"], ["pretrain", "linear-eval", "knn-eval", "report", "prepare"]),
        (["pretrain", "--help"], ["--out", "--training.batch-size", "--num-processes"]),
        (
            ["pretrain", MAE, "--help-all"],
            [
                "--out",
                "--method.mask-ratio",
                "--encoder.patch-size",
                "--data.path",
                "--run.backend",
            ],
        ),
        (
            ["linear-eval", "--help"],
            ["RUN", "--encoder", "--stage", "--no-stages", "--step", "--grid", "--class-tokens"],
        ),
        (["evaluate", "--help"], ["RUN", "--seeds", "--grid", "--max-features", "--test-split"]),
        (["knn-eval", "-h"], ["RUN", "--encoder", "--num-neighbors", "--temperature"]),
        (["report", "--help"], ["RUN", "--data-path"]),
        (["prepare", "--help"], ["SOURCE", "OUT_DIR", "--channels", "--num-threads"]),
    ],
)
def test_help_names_every_field_and_succeeds(argv, options, capsys):
    try:
        status = cli.main(argv)
    except SystemExit as exit_:
        status = exit_.code or 0
    captured = capsys.readouterr()
    assert (status, captured.err) == (0, "")
    for option in options:
        assert option in captured.out


def test_nothing_is_suggested_that_is_far(refused, tmp_path):
    """Nor what is typed without a name, as the run."""
    assert refused("report", tmp_path, "--out", "x").endswith("--out: no such option.")


def test_unknown_command_lists_the_commands(refused):
    assert_matches("pretrian: no such command; the commands are pretrain, ", refused("pretrian"))


@pytest.mark.parametrize(
    ("command", "item"), [("resume", "state"), ("linear-eval", "encoder"), ("knn-eval", "encoder")]
)
def test_a_damaged_checkpoint_is_named(refused, npz, finished, tmp_path, command, item):
    out = tmp_path / "run"
    shutil.copytree(finished, out)
    path = max((out / "checkpoints" / "2" / item).rglob("d/*"), key=os.path.getsize)
    path.write_bytes(path.read_bytes()[:-1] + b"x")
    short = ["--training.epochs", 0.5, "--optimizer.warmup-epochs", 0]
    argv = tiny_runs.words(MAE, npz, out, *short) if command == "resume" else [command, out]
    assert_matches(f"checkpoint {re.escape(str(path))} is damaged: .* Delete ", refused(*argv))


@pytest.mark.parametrize("command", ["linear-eval", "knn-eval", "report"])
@pytest.mark.parametrize("name", ["empty", "missing"])
def test_evaluating_a_directory_without_checkpoints(refused, tmp_path, command, name):
    (tmp_path / "empty").mkdir()
    line = refused(command, tmp_path / name)
    assert_matches(rf"{name}", line)
    assert_matches("checkpoint|run", line)
    assert not (tmp_path / "missing").exists()


def test_evaluating_a_step_that_is_not_there(refused, finished):
    assert_matches("step must be one of 2; got 9", refused("linear-eval", finished, "--step", 9))


def test_a_diverging_run_fails_with_1(refused, npz, tmp_path, monkeypatch):
    def diverge(*_, **__):
        raise DivergedError("loss is nan at step 3")

    monkeypatch.setattr(loop, "train", diverge)
    line = refused(*tiny_runs.words(MAE, npz, tmp_path / "run"), status=1)
    assert line == "jaxssl: loss is nan at step 3"


def test_an_error_of_our_own_keeps_its_traceback(monkeypatch, npz, tmp_path):
    def fail(*_, **__):
        raise RuntimeError("a bug")

    monkeypatch.setattr(loop, "train", fail)
    with pytest.raises(RuntimeError, match="a bug"):
        cli.main(tiny_runs.words(MAE, npz, tmp_path / "run"))


def test_ctrl_c_before_the_first_step(capsys, monkeypatch, npz, tmp_path):
    def interrupt(*_):
        os.kill(os.getpid(), signal.SIGINT)

    monkeypatch.setattr(data.ImageData, "open", interrupt)
    assert cli.main(tiny_runs.words(MAE, npz, tmp_path / "run")) == 130
    assert capsys.readouterr().err == "jaxssl: interrupted\n"


def test_the_traceback_is_there_for_those_who_ask(monkeypatch, tmp_path):
    monkeypatch.setenv("JAXSSL_TRACEBACK", "1")
    with pytest.raises(checkpoints.CheckpointError, match="complete checkpoint"):
        cli.main(["linear-eval", str(tmp_path)])
