"""Files of features: written a block at a time, readable by the libraries of their kinds."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from jaxssl.evaluation import feature_files

FEATURES = np.random.default_rng(0).normal(size=(7, 3)).astype(np.float32)
PATHS = [f"fotos/größe {number}.png" for number in range(7)]
LABELS = np.arange(7, dtype=np.int32) % 2
SUFFIXES = pytest.mark.parametrize("suffix", [".npz", ".parquet", ".npy"])


def write(path, labels=LABELS, features=FEATURES, paths=PATHS):
    heading = feature_files.Heading(features.shape, paths, labels, {"step": 3})
    feature_files.write(path, heading, [features[:4], features[4:]])
    return path


@SUFFIXES
@pytest.mark.parametrize("labels", [LABELS, None], ids=["labelled", "unlabelled"])
def test_what_is_written_is_read(tmp_path, suffix, labels):
    found = feature_files.read(write(tmp_path / f"f{suffix}", labels))
    np.testing.assert_array_equal(found.features, FEATURES)
    assert list(found.paths) == PATHS and found.about == {"step": 3}
    np.testing.assert_array_equal(found.labels, labels)


def test_other_programs_read_them(tmp_path):
    with np.load(write(tmp_path / "f.npz")) as archive:
        np.testing.assert_array_equal(archive["features"], FEATURES)
        assert archive["paths"].tolist() == PATHS
    np.testing.assert_array_equal(np.load(write(tmp_path / "f.npy")), FEATURES)
    assert json.loads((tmp_path / "f.json").read_text())["paths"] == PATHS
    table = pq.read_table(write(tmp_path / "f.parquet"))
    assert table.column_names == ["path", "features", "label"]
    np.testing.assert_array_equal(np.stack(table["features"].to_numpy()), FEATURES)


@SUFFIXES
def test_damage_is_one_clear_line(tmp_path, suffix):
    path = write(tmp_path / f"f{suffix}")
    whole = path.read_bytes()
    message = rf"^FEATURES: .*f\{suffix} must be a file that jaxssl embed wrote, whole; got .*again"
    for damaged in (whole[: len(whole) // 2], b"", b"PK\x03\x04 something else", b"\x93NUMPY"):
        path.write_bytes(damaged)
        with pytest.raises(ValueError, match=message) as raised:
            feature_files.read(path)
        assert "\n" not in str(raised.value)


@SUFFIXES
def test_other_sizes_and_numbers_are_refused(tmp_path, suffix):
    path = tmp_path / f"f{suffix}"
    with pytest.raises(ValueError, match="not finite, or more or fewer than paths"):
        feature_files.read(write(path, features=np.full_like(FEATURES, np.nan)))
    with pytest.raises(FileNotFoundError):
        feature_files.read(tmp_path / f"none{suffix}")


def test_a_suffix_says_the_kind():
    with pytest.raises(ValueError, match=r'^--out: must end in \.npz, .*; got f\.npx\. .* "\.npz"'):
        feature_files.check_suffix("f.npx", "--out")


@SUFFIXES
def test_a_full_disk_leaves_no_file(tmp_path, suffix, monkeypatch):
    path, fsync = tmp_path / f"f{suffix}", feature_files.os.fsync

    def full(descriptor):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(feature_files.os, "fsync", full)
    with pytest.raises(OSError, match="No space left on device"):
        write(path)
    monkeypatch.setattr(feature_files.os, "fsync", fsync)
    assert not list(tmp_path.iterdir())
