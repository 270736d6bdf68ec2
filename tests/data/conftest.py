"""Tiny data sets on disk, one fixture a format."""

import gzip
import hashlib
import struct

import numpy as np
import pytest
from pictures import write_pictures

from jaxssl.data import known


@pytest.fixture
def images():
    return np.random.default_rng(0).integers(0, 256, (20, 6, 6, 1), np.uint8)


@pytest.fixture
def labels():
    return np.arange(20) % 4


def write_idx(path, array):
    content = struct.pack(f">HBB{array.ndim}i", 0, 8, array.ndim, *array.shape) + array.tobytes()
    path.write_bytes(gzip.compress(content) if path.suffix == ".gz" else content)


@pytest.fixture
def idx_directory(tmp_path, images, labels):
    directory = tmp_path / "idx"
    directory.mkdir()
    labels = labels.astype(np.uint8)
    write_idx(directory / "train-images-idx3-ubyte.gz", images[:12, ..., 0])
    write_idx(directory / "train-labels-idx1-ubyte.gz", labels[:12])
    write_idx(directory / "t10k-images-idx3-ubyte", images[12:, ..., 0])
    write_idx(directory / "t10k-labels.idx1-ubyte", labels[12:])
    return directory


@pytest.fixture
def tiny_fashion_mnist(idx_directory, images, labels, monkeypatch):
    """The same directory, which passes for Fashion-MNIST."""

    def sha256(values):
        header = struct.pack(f">HBB{values.ndim}i", 0, 8, values.ndim, *values.shape)
        return hashlib.sha256(header + values.tobytes()).hexdigest()

    parts = {"train": slice(12), "test": slice(12, None)}
    hashes = {
        split: (sha256(images[part, ..., 0]), sha256(labels[part].astype(np.uint8)))
        for split, part in parts.items()
    }
    monkeypatch.setattr(known, "FASHION_MNIST_SHA256", hashes)
    return idx_directory


@pytest.fixture
def class_folder(tmp_path):
    """Two classes of six pictures, PNG and JPEG, not divided into splits."""
    folder = tmp_path / "pictures"
    write_pictures(folder / "cat", 6)
    write_pictures(folder / "dog", 6, seed=9)
    return folder


@pytest.fixture
def split_folder(tmp_path):
    """train and val, each with two classes."""
    folder = tmp_path / "divided"
    for split, count in (("train", 4), ("val", 2)):
        for seed, name in enumerate(("cat", "dog")):
            write_pictures(folder / split / name, count, seed=seed)
    return folder
