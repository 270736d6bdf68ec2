import errno
import os
from pathlib import Path

import jax.numpy as jnp
import pytest
import tiny

from jaxssl import checkpoints, files, models
from jaxssl.types import TrainState


def test_a_file_is_written_whole(tmp_path):
    files.write_whole(tmp_path / "f.json", "one")
    files.write_whole(tmp_path / "f.json", "zwölf")
    assert [path.name for path in tmp_path.iterdir()] == ["f.json"]
    assert (tmp_path / "f.json").read_bytes() == "zwölf".encode()


@pytest.fixture
def synced(monkeypatch):
    """What is forced to the disk from now on, in this order."""
    paths = []
    fsync = os.fsync

    def record(descriptor):
        paths.append(Path(os.readlink(f"/proc/self/fd/{descriptor}")))
        fsync(descriptor)

    monkeypatch.setattr(os, "fsync", record)
    return paths


def test_a_file_is_on_the_disk_before_its_name_and_the_name_is_too(tmp_path, synced):
    files.write_whole(tmp_path / "f.json", "one")
    assert synced == [tmp_path / "f.json.tmp", tmp_path]


def test_directories_that_are_made_are_on_the_disk(tmp_path, synced):
    assert files.make_directory(tmp_path / "a" / "b") == [tmp_path / "a", tmp_path / "a" / "b"]
    assert synced == [tmp_path, tmp_path / "a"]
    assert files.make_directory(tmp_path / "a" / "b") == []
    assert len(synced) == 2


def test_a_checkpoint_is_on_the_disk_before_it_counts(tmp_path, synced):
    with checkpoints.Checkpoints(tmp_path / "run", keep_latest=1) as saved:
        assert synced[-2:] == [tmp_path, tmp_path / "run"]  # of checkpoints/
        for step in (1, 2):
            weights = jnp.ones(3)
            state = TrainState(jnp.int32(step), {"encoder": weights}, {}, ())
            synced.clear()
            saved.save(state, {"params": weights}, tiny.meta(models.ViTConfig()), loss=1 / step)
    step = tmp_path / "run" / "checkpoints" / "2"
    counts = synced.index(step / "manifest.json.tmp")
    written = {path for path in step.rglob("*") if path.name != checkpoints.MANIFEST}
    assert synced[counts + 1] == step
    assert {*written, step, step.parent} <= set(synced[:counts])
    # The step before counts no more before anything of it is taken away.
    assert synced.index(step.parent / "1") > counts


def test_what_stood_there_stays_when_the_disk_is_full(tmp_path, monkeypatch):
    files.write_whole(tmp_path / "f.json", "one")

    def fail(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match=r"No space left on device: '.*f\.json'"):
        files.write_whole(tmp_path / "f.json", "two")
    assert [path.name for path in tmp_path.iterdir()] == ["f.json"]
    assert (tmp_path / "f.json").read_text() == "one"
