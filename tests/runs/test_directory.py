"""The directory of a run: one writer at a time, whoever dies; what is no run is left alone."""

import json
import os
import signal
import socket
import subprocess
import sys
import time

import pytest

from jaxssl.runs import directory as directories
from jaxssl.runs.directory import RunDirectory

HOLDER = """
import sys, time
from pathlib import Path
from jaxssl.runs import directory
with directory.hold(directory.RunDirectory(Path(sys.argv[1]))):
    print("held", flush=True)
    time.sleep(600)
"""


@pytest.fixture
def holder(tmp_path):
    """Another process that holds tmp_path/run."""
    process = subprocess.Popen(
        [sys.executable, "-c", HOLDER, str(tmp_path / "run")], stdout=subprocess.PIPE, text=True
    )
    assert process.stdout.readline() == "held\n"
    yield process
    process.kill()
    process.communicate()


def held(directory):
    with directories.hold(directory):
        return True


def test_while_another_process_holds_it_a_directory_is_refused_at_once(holder, tmp_path):
    started = time.monotonic()
    refusal = rf"^--out .*run: must not be in use; process {holder.pid} on {socket.gethostname()} "
    with pytest.raises(ValueError, match=refusal):
        held(RunDirectory(tmp_path / "run"))
    assert time.monotonic() - started < 2
    assert (tmp_path / "run" / "lock").exists()  # the other one's


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGTERM])
def test_it_is_free_again_when_that_process_is_gone(holder, tmp_path, number):
    holder.send_signal(number)
    holder.wait()
    with directories.hold(RunDirectory(tmp_path / "run")):
        told = json.loads((tmp_path / "run" / "lock").read_text())
        assert told == {"host": socket.gethostname(), "pid": os.getpid()}
    assert not (tmp_path / "run" / "lock").exists()


def test_what_was_made_for_the_lock_alone_is_taken_away_and_nothing_else(tmp_path):
    with pytest.raises(RuntimeError, match="wrong input"):
        with directories.hold(RunDirectory(tmp_path / "a" / "b")):
            raise RuntimeError("wrong input")
    assert list(tmp_path.iterdir()) == []
    with directories.hold(RunDirectory(tmp_path / "a" / "b")):
        (tmp_path / "a" / "b" / "config.json").write_text("{}")
    assert [path.name for path in (tmp_path / "a" / "b").iterdir()] == ["config.json"]
    (tmp_path / "mine").mkdir()
    assert held(RunDirectory(tmp_path / "mine"))
    assert (tmp_path / "mine").is_dir()


def test_a_file_in_its_place_is_named(tmp_path):
    (tmp_path / "notes.txt").write_text("mine")
    for out in (tmp_path / "notes.txt", tmp_path / "notes.txt" / "run"):
        with pytest.raises(ValueError, match="must be a directory; got a file"):
            held(RunDirectory(out))
    assert (tmp_path / "notes.txt").read_text() == "mine"


def test_a_holder_that_left_no_name_is_still_respected(holder, tmp_path):
    (tmp_path / "run" / "lock").write_text("")
    with pytest.raises(ValueError, match="must not be in use; another process is training there"):
        held(RunDirectory(tmp_path / "run"))


def test_where_the_file_system_has_no_locks_a_run_goes_on(tmp_path, monkeypatch):
    def unsupported(descriptor, operation):
        raise OSError(directories.errno.ENOLCK, "no locks available")

    monkeypatch.setattr(directories.fcntl, "flock", unsupported)
    assert held(RunDirectory(tmp_path / "run"))


@pytest.mark.parametrize("left", [[], ["lock"], ["config.json.tmp"]])
def test_what_a_kill_leaves_behind_is_no_reason_to_refuse(tmp_path, left):
    for name in left:
        (tmp_path / name).write_text("half")
    directories.check_is_run(RunDirectory(tmp_path))


def test_somebody_elses_files_are(tmp_path):
    (tmp_path / "thesis.tex").write_text("mine")
    with pytest.raises(ValueError, match=r"must be new, empty or a run directory; got files witho"):
        directories.check_is_run(RunDirectory(tmp_path))


@pytest.mark.parametrize(
    "text",
    ["[" * 10**5, '{"config": 3, "dataset": 4}', '{"config": {}, "dataset": {}}', "null", "\xff"],
    ids=lambda each: each[:8],
)
def test_a_config_of_no_run_identifies_none(tmp_path, text):
    (tmp_path / "config.json").write_text(text, encoding="latin-1")
    assert directories.read_identity(RunDirectory(tmp_path)) is None


def test_a_damaged_config_beside_checkpoints_is_named(tmp_path):
    (tmp_path / "checkpoints" / "4").mkdir(parents=True)
    told = r"^--out .*: its config\.json is {}; its checkpoints hold the recipe too\. .*--restore-c"
    with pytest.raises(ValueError, match=told.format("missing")):
        directories.check_is_run(RunDirectory(tmp_path))
    (tmp_path / "config.json").write_text('{"config": {"meth')
    with pytest.raises(ValueError, match=told.format("damaged")):
        directories.check_is_run(RunDirectory(tmp_path))
