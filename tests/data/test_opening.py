import gzip
import shutil
import subprocess
import sys

import numpy as np
import pytest

from jaxssl import data
from jaxssl.data import known


def test_digits_are_divided_and_stretched():
    train, test, whole = (
        data.ImageData("digits", 8, 1).open(split) for split in ("train", "test", "all")
    )
    assert (len(train), len(test), len(whole)) == (1438, 359, 1797)
    assert train.num_classes == test.num_classes == 10
    assert whole.columns["image"].min() == 0 and whole.columns["image"].max() == 255
    assert np.bincount(test.labels).min() > 20  # every class is there
    assert train.name == "digits"
    assert train.fingerprint == data.ImageData("digits", 16, 3).open("train").fingerprint


def test_fashion_mnist_is_found_where_the_variable_points(
    tiny_fashion_mnist, idx_directory, monkeypatch, tmp_path
):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("JAXSSL_DATA", str(idx_directory))
    config = data.ImageData("fashion-mnist", 6, 1)
    source = config.open("test")
    assert source.name == "fashion-mnist"
    assert source.num_classes == 10 and source.class_names[9] == "Ankle boot"
    idx_directory.rename(tmp_path / "fashion-mnist")
    monkeypatch.setenv("JAXSSL_DATA", str(tmp_path))
    assert config.open("test").fingerprint == source.fingerprint


def test_mnist_is_not_opened_as_fashion_mnist(idx_directory, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("JAXSSL_DATA", str(idx_directory))
    monkeypatch.setattr(known, "DEBIAN_FASHION_MNIST", tmp_path / "none")
    message = rf"by the sha256 of its files; got another data set in {idx_directory}\. Give that"
    with pytest.raises(ValueError, match=message):
        data.ImageData("fashion-mnist", 6, 1).open("train")
    assert data.ImageData(str(idx_directory), 6, 1).open("train").class_names == tuple("0123")


def test_fashion_mnist_comes_from_the_first_place_that_has_it(
    tiny_fashion_mnist, monkeypatch, tmp_path
):
    other = tmp_path / "cache" / "jaxssl" / "fashion-mnist"
    shutil.copytree(tiny_fashion_mnist, other)
    (tmp_path / "mnist").mkdir()
    for name in ("images-idx3", "labels-idx1"):
        shutil.copy(other / f"train-{name}-ubyte.gz", tmp_path / "mnist")
    content = gzip.decompress((tmp_path / "mnist" / "train-images-idx3-ubyte.gz").read_bytes())
    (tmp_path / "mnist" / "train-images-idx3-ubyte.gz").write_bytes(content[:-1] + b"\0")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("JAXSSL_DATA", str(tmp_path / "mnist"))
    source = data.ImageData("fashion-mnist", 6, 1).open("train")
    assert len(source) == 12 and source.class_names[0] == "T-shirt/top"


def test_fashion_mnist_nowhere_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.delenv("JAXSSL_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(known, "DEBIAN_FASHION_MNIST", tmp_path / "none")
    with pytest.raises(
        FileNotFoundError, match=r"jaxssl/fashion-mnist, .*none; got none. Fetch it"
    ):
        data.ImageData("fashion-mnist", 28, 1).open("train")


def test_missing_path_names_the_nearest_known_data_set():
    message = r'photographs; got "fashon-mnist", .* Did you mean "fashion-mnist"\?'
    with pytest.raises(FileNotFoundError, match=message):
        data.ImageData("fashon-mnist", 28, 1).open("train")
    with pytest.raises(FileNotFoundError, match=r'got "no/where", which does not exist\.$'):
        data.ImageData("no/where", 28, 1).open("train")


def test_a_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("1,2")
    with pytest.raises(ValueError, match=r"must be a NumPy \.npz archive; got .*a\.csv"):
        data.ImageData(str(tmp_path / "a.csv"), 8, 1).open("train")


def test_arrays_are_brought_to_the_size_and_channels_asked_for(tmp_path, images):
    np.savez(tmp_path / "a.npz", images=images)
    source = data.ImageData(str(tmp_path / "a.npz"), 12, 3).open("all")
    assert (
        source.columns["image"].shape == (20, 12, 12, 3)
        and source.columns["image"].dtype == np.uint8
    )


def test_importing_and_reading_arrays_needs_no_heavy_library():
    # The parent package may import what it likes; the data package alone is what is measured.
    code = """
import sys, types, pathlib, importlib.util
import numpy as np
root = pathlib.Path(importlib.util.find_spec("jaxssl").submodule_search_locations[0])
package = types.ModuleType("jaxssl"); package.__path__ = [str(root)]
sys.modules["jaxssl"] = package
from jaxssl import data
source = data.from_arrays(np.zeros((4, 2, 2, 1), np.uint8))
data.Loader(source, batch_size=2, seed=0).batch(3)
list(data.batches(source, 3))
heavy = {"jax", "tensorflow_datasets", "grain", "PIL", "sklearn", "rich"} & set(sys.modules)
sys.exit(f"imported {heavy}" if heavy else 0)
"""
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
