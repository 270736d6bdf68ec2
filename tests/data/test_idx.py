import gzip

import numpy as np
import pytest

from jaxssl import data


def open_idx(directory, split="train"):
    return data.ImageData(str(directory), 6, 1).open(split)


def test_idx_directory_gzipped_or_not(idx_directory, images, labels):
    train, test = open_idx(idx_directory), open_idx(idx_directory, "test")
    np.testing.assert_array_equal(train.columns["image"], images[:12])
    np.testing.assert_array_equal(train.labels, labels[:12])
    np.testing.assert_array_equal(test.columns["image"], images[12:])
    np.testing.assert_array_equal(test.labels, labels[12:])
    assert train.num_classes == 4 and train.class_names == ("0", "1", "2", "3")


def test_classes_are_counted_over_both_splits(idx_directory, labels):
    # A test split of one class alone must still know that there are four.
    path = idx_directory / "t10k-labels.idx1-ubyte"
    content = bytearray(path.read_bytes())
    content[8:] = bytes(8)
    path.write_bytes(content)
    assert open_idx(idx_directory, "test").num_classes == 4


def test_unknown_split_lists_the_splits(idx_directory):
    with pytest.raises(ValueError, match=r'must be one of train, test, fit, validation; got "val"'):
        open_idx(idx_directory, "val")


def test_truncated_file_gives_both_sizes(idx_directory):
    path = idx_directory / "t10k-images-idx3-ubyte"
    path.write_bytes(path.read_bytes()[:-5])
    message = r"t10k-images-idx3-ubyte must have 304 bytes for shape \[8, 6, 6\]; got 299. It is tr"
    with pytest.raises(ValueError, match=message):
        open_idx(idx_directory, "test")
    path.write_bytes(path.read_bytes()[:9])
    with pytest.raises(ValueError, match=r"must have a header of 16 bytes; got 9"):
        open_idx(idx_directory, "test")


def test_truncated_gzip_is_named(idx_directory):
    path = idx_directory / "train-images-idx3-ubyte.gz"
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(ValueError, match=r"train-images-idx3-ubyte\.gz must be a whole gzip file"):
        open_idx(idx_directory)


def test_another_format_is_named(idx_directory):
    path = idx_directory / "train-images-idx3-ubyte.gz"
    path.write_bytes(gzip.compress(b"<html>"))
    with pytest.raises(ValueError, match=r"beginning 00 00 08; got 3c 68 74 6d"):
        open_idx(idx_directory)


def test_missing_labels_are_named(idx_directory):
    (idx_directory / "train-labels-idx1-ubyte.gz").unlink()
    with pytest.raises(FileNotFoundError, match=r"must hold train-labels-idx1-ubyte\[\.gz\]; got"):
        open_idx(idx_directory)
