"""Advice about files that are not read is true: whoever follows it gets further."""

import numpy as np
import pytest
from pictures import write_pictures

from jaxssl import data


def refused(path):
    with pytest.raises(ValueError) as raised:
        data.ImageData(str(path), 8, 3).open("all")
    assert "\n" not in str(raised.value)
    return str(raised.value)


@pytest.mark.parametrize(
    ("name", "advice"),
    [
        ("a.npy", 'Load it with np.load; np.savez("images.npz", images=…, labels=…) makes'),
        ("a.h5", "Take the arrays out of it with h5py or SciPy; np.savez("),
        ("a.PT", "Take the arrays out of it; np.savez("),
        ("a.csv", "Write the images that it holds or names into a folder, a subfolder for"),
        ("a.tar.gz", "Unpack it and give the folder, or what is called .tar then."),
        ("a.zip", "Unpack it and give the folder, or what is called .tar then."),
        ("a.tfrecord-00000-of-00010", "Give the directory of a data set prepared by TFDS, which"),
        ("train-images-idx3-ubyte.gz", "Give the directory that holds it and the other IDX files."),
        ("a.JPG", "Give the folder that holds it."),
        ("a.xyz", "Give a folder of images; or np.savez("),
        ("noname", "Give a folder of images; or np.savez("),
    ],
)
def test_a_file_of_another_kind_comes_with_advice(tmp_path, name, advice):
    (tmp_path / name).write_bytes(b"")
    message = refused(tmp_path / name)
    assert f"must be a NumPy .npz archive; got {tmp_path / name}. {advice}" in message
    read = ("a.JPG", "a.npy")
    if name not in read and "idx3" not in name and name != "noname":  # what may name its folder
        assert advice.split(" ")[0] in refused(tmp_path)


def test_a_folder_of_other_files_comes_with_the_advice_for_most(tmp_path):
    for name in ("0.h5", "1.h5", "a.zip"):
        (tmp_path / name).touch()
    message = refused(tmp_path)
    assert "got 3 other files (2 .h5, 1 .zip). Take the arrays out of it with h5py" in message
    (tmp_path / "0.npz").touch()
    (tmp_path / "1.npz").touch()
    (tmp_path / "2.npz").touch()
    assert refused(tmp_path).endswith("Give the file itself.")


def test_the_advice_for_arrays_works(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (6, 8, 8), np.uint8)
    np.save(tmp_path / "a.npy", images)
    np.savez(tmp_path / "images.npz", images=np.load(tmp_path / "a.npy"), labels=np.arange(6) % 2)
    source = data.ImageData(str(tmp_path / "images.npz"), 8, 1).open("all")
    np.testing.assert_array_equal(source.columns["image"][..., 0], images)


def test_suffixes_count_in_any_case(tmp_path):
    images = np.zeros((6, 8, 8), np.uint8)
    np.savez(tmp_path / "a.npz", images=images)
    (tmp_path / "a.npz").rename(tmp_path / "A.NPZ")
    assert len(data.ImageData(str(tmp_path / "A.NPZ"), 8, 1).open("all")) == 6


def test_the_advice_for_an_image_works(tmp_path):
    write_pictures(tmp_path / "one", 1)
    assert refused(tmp_path / "one" / "00.png").endswith("Give the folder that holds it.")
    assert len(data.ImageData(str(tmp_path / "one"), 8, 3).open("all")) == 1
