import dataclasses
import json
import subprocess
import sys

import numpy as np
import pytest
import tyro

from jaxssl import data
from jaxssl.data import known


def test_config_survives_json():
    config = data.DataConfig("digits", 8, 1, data_dir="somewhere")
    assert data.DataConfig(**json.loads(json.dumps(dataclasses.asdict(config)))) == config


def test_every_field_is_overridden_and_explained_on_the_command_line(capsys):
    default = data.DataConfig("digits", 8, 1)
    changed = tyro.cli(data.DataConfig, default=default, args=["--path", "x", "--image-size", "9"])
    assert changed == data.DataConfig("x", 9, 1)
    with pytest.raises(SystemExit):
        tyro.cli(data.DataConfig, default=default, args=["--help"])
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for words in ("a known name", "cropped in the centre", "1 for grey", "every image", "threads"):
        assert words in shown


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_size": 0}, "image_size must be at least 1 pixel; got 0"),
        ({"channels": 2}, r"channels must be 1 \(grey\) or 3 \(RGB\); got 2"),
        ({"num_threads": 0}, "num_threads must be at least 1; got 0"),
    ],
)
def test_config_refuses_what_cannot_be(change, message):
    with pytest.raises(ValueError, match=message):
        data.DataConfig(**{"path": "digits", "image_size": 8, "channels": 1, **change})


def test_digits_are_divided_and_stretched():
    train, test, whole = (
        data.open_source(data.DataConfig("digits", 8, 1), split)
        for split in ("train", "test", "all")
    )
    assert (len(train), len(test), len(whole)) == (1438, 359, 1797)
    assert train.num_classes == test.num_classes == 10
    assert whole.images.min() == 0 and whole.images.max() == 255
    assert np.bincount(test.labels).min() > 20  # every class is there
    assert train.name == "digits"
    assert (
        train.fingerprint == data.open_source(data.DataConfig("digits", 16, 3), "train").fingerprint
    )


def test_fashion_mnist_is_found_where_the_variable_points(idx_directory, monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setenv("JAXSSL_DATA", str(idx_directory))
    config = data.DataConfig("fashion-mnist", 6, 1)
    source = data.open_source(config, "test")
    assert source.name == "fashion-mnist"
    assert source.num_classes == 10 and source.class_names[9] == "Ankle boot"
    idx_directory.rename(tmp_path / "fashion-mnist")
    monkeypatch.setenv("JAXSSL_DATA", str(tmp_path))
    assert data.open_source(config, "test").fingerprint == source.fingerprint


def test_fashion_mnist_nowhere_says_how_to_get_it(monkeypatch, tmp_path):
    monkeypatch.delenv("JAXSSL_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(known, "DEBIAN_FASHION_MNIST", tmp_path / "none")
    with pytest.raises(
        FileNotFoundError, match=r"jaxssl/fashion-mnist, .*none; got none. Fetch it"
    ):
        data.open_source(data.DataConfig("fashion-mnist", 28, 1), "train")


def test_missing_path_names_the_nearest_known_data_set():
    message = r'photographs; got "fashon-mnist", .* Did you mean "fashion-mnist"\?'
    with pytest.raises(FileNotFoundError, match=message):
        data.open_source(data.DataConfig("fashon-mnist", 28, 1), "train")
    with pytest.raises(FileNotFoundError, match=r'got "no/where", which does not exist\.$'):
        data.open_source(data.DataConfig("no/where", 28, 1), "train")


def test_a_file_of_another_kind_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("1,2")
    with pytest.raises(ValueError, match=r"must be a NumPy \.npz archive; got .*a\.csv"):
        data.open_source(data.DataConfig(str(tmp_path / "a.csv"), 8, 1), "train")


def test_arrays_are_brought_to_the_size_and_channels_asked_for(tmp_path, images):
    np.savez(tmp_path / "a.npz", images=images)
    source = data.open_source(data.DataConfig(str(tmp_path / "a.npz"), 12, 3), "all")
    assert source.images.shape == (20, 12, 12, 3) and source.images.dtype == np.uint8


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
