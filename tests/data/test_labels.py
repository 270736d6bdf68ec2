"""Labels of any size and with any gaps become classes 0 … K − 1 named by their numbers."""

import numpy as np
import pytest

from jaxssl import data
from jaxssl.evaluation import splits

FAR = np.array([0, 2**40, 7, 2**40])


def save(path, **labels):
    """An archive with four images a split and its labels, or a single set."""
    arrays = {}
    for name, own in labels.items():
        images = np.random.default_rng(len(arrays)).integers(0, 256, (len(own), 6, 6), np.uint8)
        arrays |= {name.replace("labels", "images"): images, name: own}
    np.savez(path, **arrays)
    return data.ImageData(str(path), image_size=6, channels=1)


@pytest.mark.parametrize(
    "far",
    [FAR, FAR.astype(np.uint64) + np.uint64(2**63), np.array([5, 4 * 10**8, 9, 4 * 10**8])],
    ids=["int64", "uint64", "sparse"],
)
def test_labels_of_any_size_are_places_that_all_splits_agree_on(tmp_path, far):
    config = save(tmp_path / "a.npz", train_labels=far, test_labels=far[[2, 1]])
    train, test = config.open("train"), config.open("test")
    assert train.labels.dtype == np.int32 and train.labels.tolist() == [0, 2, 1, 2]
    assert test.labels.tolist() == [1, 2]
    assert train.class_names == test.class_names == tuple(map(str, far[[0, 2, 1]].tolist()))


def test_splits_of_different_types_of_integers_agree(tmp_path):
    high = np.array([2**63 + 1, 3], np.uint64)
    config = save(tmp_path / "a.npz", train_labels=FAR, test_labels=high)
    assert config.open("train").labels.tolist() == [0, 3, 2, 3]
    assert config.open("test").labels.tolist() == [4, 1]
    assert config.open("test").class_names[-1] == str(2**63 + 1)


def test_a_single_set_is_numbered_as_a_whole(tmp_path):
    config = save(tmp_path / "a.npz", labels=np.resize(FAR, 20))
    parts = [config.open(split) for split in ("train", "test")]
    assert [part.class_names for part in parts] == [("0", "7", str(2**40))] * 2
    found = np.sort(np.concatenate([part.labels for part in parts]))
    assert np.bincount(found).tolist() == [5, 5, 10]


def test_idx_files_are_numbered_over_both_splits(idx_directory):
    path = idx_directory / "t10k-labels.idx1-ubyte"
    content = bytearray(path.read_bytes())
    content[8:] = bytes([200] * 8)
    path.write_bytes(content)
    test = data.ImageData(str(idx_directory), image_size=6, channels=1).open("test")
    assert test.class_names == ("0", "1", "2", "3", "200") and test.labels.tolist() == [4] * 8


def test_fingerprints_of_small_labels_are_those_of_before(tmp_path):
    """A gap in the labels changes their numbers, but not what the records of runs hold."""
    labels = np.array([0, 3, 1, 3])
    config = save(tmp_path / "a.npz", train_labels=labels, test_labels=labels)
    train = config.open("train")
    assert train.labels.tolist() == [0, 2, 1, 2] and train.class_names == ("0", "1", "3")
    plain = data.from_arrays(train.columns["image"], labels)
    assert plain.labels.tolist() == labels.tolist() and plain.class_names == tuple("0123")
    assert train.fingerprint == plain.fingerprint


@pytest.mark.parametrize(
    ("labels", "options", "message"),
    [
        (
            FAR,
            {},
            r"below 1,000,000 where they number the classes; got 1099511627776\. Give class_v",
        ),
        (FAR, {"class_names": ("a", "b")}, "below the number of class names, 2; got 1099511627776"),
        (FAR, {"class_values": np.array([0, 7])}, "among class_values; got 1099511627776. Take"),
    ],
    ids=["bare", "named", "valued"],
)
def test_labels_that_cannot_be_classes_are_refused(labels, options, message):
    images = np.zeros((len(labels), 6, 6), np.uint8)
    with pytest.raises(ValueError, match=message):
        data.from_arrays(images, labels, **options)


def test_unknown_classes_can_be_trained_on_and_not_evaluated(tmp_path):
    labels = np.array([-1, 3, -1, 9, 3, 9, 3, 9])
    config = save(tmp_path / "a.npz", train_labels=labels, test_labels=np.array([3, 9]))
    train = config.open("train")
    assert train.labels.tolist() == [-1, 0, -1, 1, 0, 1, 0, 1] and train.class_names == ("3", "9")
    assert set(data.Loader(train, batch_size=4, seed=0).batch(0)) == {"image", "index"}
    text = (
        r'labels must be at least 0; got -1 in the split "train" of .* or leave those examples out'
    )
    with pytest.raises(ValueError, match=text):
        splits.check(splits.choose(config))


def test_where_no_class_is_known_there_are_no_labels(tmp_path):
    nothing = np.full(4, -1)
    config = save(tmp_path / "a.npz", train_labels=nothing, test_labels=nothing)
    source = config.open("train")
    assert not source.labelled and source.num_classes is None
    assert "label" not in source[0]
