import os

import pytest

from jaxssl import files


def test_a_file_is_written_whole(tmp_path):
    files.write_whole(tmp_path / "f.json", "one")
    files.write_whole(tmp_path / "f.json", "zwölf")
    assert [path.name for path in tmp_path.iterdir()] == ["f.json"]
    assert (tmp_path / "f.json").read_bytes() == "zwölf".encode()


def test_what_stood_there_stays_when_the_disk_is_full(tmp_path, monkeypatch):
    files.write_whole(tmp_path / "f.json", "one")

    def fail(descriptor):
        raise OSError("No space left on device")

    monkeypatch.setattr(os, "fsync", fail)
    with pytest.raises(OSError, match="No space left"):
        files.write_whole(tmp_path / "f.json", "two")
    assert (tmp_path / "f.json").read_text() == "one"
