"""A full disk while a step is saved: one line, the steps of before, and nothing half-written."""

import errno
import os
import re
import subprocess
import sys

import jax.numpy as jnp
import numpy as np
import orbax.checkpoint as ocp
import pytest
import tiny

from jaxssl import checkpoints, cli, models
from jaxssl.checkpoints import Checkpoints, DiskFullError, disk, manifest
from jaxssl.types import TrainState

META = tiny.meta(models.ViTConfig())
# What TensorStore raised on a disk that was full.
RESOURCE_EXHAUSTED = (
    'RESOURCE_EXHAUSTED: Error writing "params/0" in OCDBT database at local file "/a": Failed to '
    "write 16162816 bytes to file 15: No space left on device [os_error_code='28']"
)
FULL = {
    "no space": OSError(errno.ENOSPC, os.strerror(errno.ENOSPC)),
    "quota": OSError(errno.EDQUOT, os.strerror(errno.EDQUOT)),
    "tensorstore": ValueError(RESOURCE_EXHAUSTED),
}


def save(saved, step, size=10):
    weights = jnp.asarray(np.random.default_rng(step).random(size, np.float32))
    state = TrainState(jnp.int32(step), {"encoder": weights}, {}, ())
    saved.save(state, {"params": weights}, META, loss=1.0)


def names(directory):
    return sorted(path.name for path in (directory / "checkpoints").iterdir())


@pytest.mark.parametrize("error", FULL.values(), ids=FULL)
@pytest.mark.parametrize(
    ("where", "what"), [(ocp.CheckpointManager, "save"), (manifest.files, "write_whole")]
)
@pytest.mark.parametrize("wrapped", [False, True])
def test_it_is_said_in_one_line_and_the_run_goes_on(
    tmp_path, monkeypatch, error, where, what, wrapped
):
    def fail(*args, **kwargs):
        if wrapped:
            raise RuntimeError("save failed") from error
        raise error

    with Checkpoints(tmp_path) as saved:
        save(saved, 1)
        save(saved, 2)
        with monkeypatch.context() as patch:
            patch.setattr(where, what, fail)
            with pytest.raises(DiskFullError) as caught:
                save(saved, 3, size=10**6)
        text = rf"^disk full while step 3 was saved to {re.escape(str(tmp_path))}/checkpoints: it "
        text += (
            r"takes up to 8\.0 MB, of which [\d,.]+ MB are free; kept: steps 1, 2\. Free some space"
        )
        assert re.match(text, str(caught.value)) and "\n" not in str(caught.value)
    assert names(tmp_path) == ["1", "2"]
    with Checkpoints(tmp_path) as saved:
        save(saved, 3)
    assert checkpoints.complete_steps(tmp_path) == [2, 3]


def test_with_the_first_step_nothing_is_kept(tmp_path, monkeypatch):
    def fail(*args, **kwargs):
        raise FULL["no space"]

    monkeypatch.setattr(ocp.CheckpointManager, "save", fail)
    with Checkpoints(tmp_path) as saved, pytest.raises(DiskFullError, match="kept: nothing"):
        save(saved, 1)


def test_other_errors_are_let_through(tmp_path, monkeypatch):
    error = ValueError("RESOURCE_EXHAUSTED: Out of memory while trying to allocate 8 bytes")

    def fail(*args, **kwargs):
        raise error

    monkeypatch.setattr(ocp.CheckpointManager, "save", fail)
    with Checkpoints(tmp_path) as saved, pytest.raises(ValueError, match="Out of memory"):
        save(saved, 1)
    assert not disk.is_full(error)


def test_the_command_line_fails_with_one_line(monkeypatch, capsys):
    class Command:
        @staticmethod
        def run(words):
            raise DiskFullError("disk full while step 3 was saved")

    monkeypatch.setattr(cli, "command", lambda name: Command)
    assert cli.main(["pretrain"]) == 1
    assert capsys.readouterr().err == "jaxssl: disk full while step 3 was saved\n"


REAL = """
import sys
from pathlib import Path
import test_disk
from jaxssl.checkpoints import Checkpoints
with Checkpoints(sys.argv[1]) as saved:
    test_disk.save(saved, 1)
    try:
        test_disk.save(saved, 2, size=4_000_000)
    except test_disk.DiskFullError as error:
        print(error)
print(test_disk.names(Path(sys.argv[1])), test_disk.checkpoints.complete_steps(sys.argv[1]))
"""
MOUNT = 'mount -t tmpfs -o size=20m tmpfs "$0" && exec "$@"'


def test_a_disk_that_is_full_indeed(tmp_path):
    in_own_disk = ["unshare", "--map-root-user", "--mount", "sh", "-c", MOUNT, str(tmp_path)]
    try:
        subprocess.run([*in_own_disk, "true"], check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("a user may not mount here")
    paths = os.pathsep.join([os.path.dirname(__file__), os.path.dirname(tiny.__file__), *sys.path])
    done = subprocess.run(
        [*in_own_disk, sys.executable, "-c", REAL, str(tmp_path / "run")],
        env=os.environ | {"PYTHONPATH": paths},
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    said, left = done.stdout.splitlines()
    assert re.match(
        r"disk full while step 2 was saved .* it takes up to 32\.0 MB, of wh.*: step 1\.", said
    )
    assert left == "['1'] [1]"
