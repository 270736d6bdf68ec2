"""A damaged file of any kind is read, or refused by one line that names it."""

import collections
import io

import damaged_sources
import numpy as np
import pytest

from jaxssl import data

SLOW_KINDS = {"array_record": 8, "dataset_info": 8, "features": 8, "mp4": 30, "mkv": 30, "avi": 30}


@pytest.mark.parametrize("kind", damaged_sources.KINDS)
def test_damage_is_read_or_refused_by_one_line(kind, tmp_path):
    path, file = damaged_sources.write(kind, tmp_path)
    content = file.read_bytes()
    outcomes = collections.Counter(
        damaged_sources.outcome(path, file, content, seed)
        for seed in range(SLOW_KINDS.get(kind, 60))
    )
    assert outcomes["refused"]


def test_pickled_arrays_are_refused_without_the_advice_to_load_them(tmp_path):
    names = np.array(["cat", None], object)
    np.savez(tmp_path / "a.npz", images=damaged_sources.IMAGES, class_names=names)
    with pytest.raises(ValueError, match="pickled Python objects in class_names") as raised:
        data.ImageData(str(tmp_path / "a.npz"), 6, 1).open("all")
    assert "allow_pickle" not in str(raised.value)


def test_a_member_that_is_no_array_is_named(tmp_path):
    import zipfile

    whole = io.BytesIO()
    np.save(whole, damaged_sources.IMAGES)
    with zipfile.ZipFile(tmp_path / "a.npz", "w") as archive:
        archive.writestr("images.npy", b"X" + whole.getvalue()[1:])
    with pytest.raises(ValueError, match=r"a\.npz must be a whole .* damage in images"):
        data.ImageData(str(tmp_path / "a.npz"), 6, 1).open("all")


def test_labels_of_words_are_refused_by_the_name_of_the_archive(tmp_path):
    labels = np.array(["cat", "dog"] * 4)
    np.savez(tmp_path / "a.npz", train_images=damaged_sources.IMAGES, train_labels=labels)
    with pytest.raises(ValueError, match=r"labels of .*a\.npz must be integers"):
        data.ImageData(str(tmp_path / "a.npz"), 6, 1).open("train")
