import dataclasses

import numpy as np
import pytest

from jaxssl import data


def open_npz(path, split="train", *, image_size=6, channels=1):
    return data.ImageData(str(path), image_size, channels).open(split)


def test_from_arrays_gives_images_labels_and_numbered_classes(images, labels):
    source = data.from_arrays(images[..., 0], labels)
    assert len(source) == 20 and source.labelled and source.num_classes == 4
    assert source.class_names == ("0", "1", "2", "3")
    assert source.labels.dtype == np.int32
    np.testing.assert_array_equal(source.columns["image"], images)
    np.testing.assert_array_equal(source[7]["image"], images[7])
    assert source[7]["label"] == 3


def test_unlabelled_arrays_have_no_label(images):
    source = data.from_arrays(images)
    assert not source.labelled and source.labels is None and source.num_classes is None
    assert set(source[0]) == {"image"}


def test_labels_with_a_second_dimension_of_one_are_flattened(images, labels):
    np.testing.assert_array_equal(data.from_arrays(images, labels[:, None]).labels, labels)


def test_fingerprint_is_stable_and_sees_content_shape_labels(images, labels):
    fingerprint = data.from_arrays(images, labels).fingerprint
    assert fingerprint == data.from_arrays(images.copy(), labels.copy()).fingerprint
    changed = images.copy()
    changed[-1, -1, -1, 0] ^= 1
    others = [
        data.from_arrays(changed, labels),
        data.from_arrays(images, labels[::-1]),
        data.from_arrays(images),
        data.from_arrays(images.reshape(20, 4, 9, 1), labels),
    ]
    assert len({fingerprint, *(other.fingerprint for other in others)}) == 5


def test_fingerprint_does_not_depend_on_the_size_asked_for(tmp_path, images, labels):
    np.savez(tmp_path / "a.npz", images=images, labels=labels)
    small = open_npz(tmp_path / "a.npz")
    large = open_npz(tmp_path / "a.npz", image_size=9, channels=3)
    assert large.columns["image"].shape == (16, 9, 9, 3)
    assert small.fingerprint == large.fingerprint


@pytest.mark.parametrize(
    "names",
    [
        ("train_images", "train_labels", "test_images", "test_labels"),
        ("x_train", "y_train", "x_test", "y_test"),
    ],
)
def test_npz_with_splits(tmp_path, images, labels, names):
    arrays = (images[:12], labels[:12] % 2, images[12:], labels[12:])
    np.savez(tmp_path / "a.npz", **dict(zip(names, arrays)))
    train, test = (open_npz(tmp_path / "a.npz", split) for split in ("train", "test"))
    np.testing.assert_array_equal(train.columns["image"], images[:12])
    np.testing.assert_array_equal(test.columns["image"], images[12:])
    np.testing.assert_array_equal(test.labels, labels[12:])
    assert train.num_classes == test.num_classes == 4  # of the whole data set


def test_npz_test_split_falls_back_to_val(tmp_path, images):
    np.savez(tmp_path / "a.npz", train_images=images[:12], val_images=images[12:])
    np.testing.assert_array_equal(
        open_npz(tmp_path / "a.npz", "test").columns["image"], images[12:]
    )


def test_npz_class_names(tmp_path, images, labels):
    np.savez(tmp_path / "a.npz", images=images, labels=labels, class_names=list("abcd"))
    assert open_npz(tmp_path / "a.npz").class_names == ("a", "b", "c", "d")


def test_single_set_is_divided_once_and_for_all(tmp_path, images, labels):
    np.savez(tmp_path / "a.npz", images=images, labels=labels)
    train, test, whole = (open_npz(tmp_path / "a.npz", s) for s in ("train", "test", "all"))
    assert (len(train), len(test), len(whole)) == (16, 4, 20)
    rows = [[row.tobytes() for row in source.columns["image"]] for source in (train, test)]
    assert set(rows[0]).isdisjoint(rows[1])
    assert set(rows[0]) | set(rows[1]) == {row.tobytes() for row in images}
    np.testing.assert_array_equal(whole.columns["image"], images)
    np.testing.assert_array_equal(
        open_npz(tmp_path / "a.npz", "test").columns["image"], test.columns["image"]
    )
    # Not a cut: a file sorted by class must not lose its last classes.
    assert test.columns["image"].tobytes() not in (images[:4].tobytes(), images[-4:].tobytes())
    assert train.num_classes == test.num_classes == 4


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (
            {"images": np.full((3, 4, 4, 3), 0.5)},
            r"must be uint8; got float64. They lie in \[0.5, 0.5\]: data.scaled\(images, \(0, 1\)",
        ),
        (
            {"images": np.full((3, 4, 4, 3), -7.0, np.float32)},
            r"got float32. They lie in \[-7, -7\]: data.scaled\(images, \(-7, -6\)\) makes uint8",
        ),
        (
            {"images": np.full((3, 4, 4), 255)},
            r"got int64. They lie in \[255, 255\]: images.astype\(np.uint8\) keeps them",
        ),
        (
            {"images": 500 * np.arange(48, dtype=np.uint16).reshape(3, 4, 4)},
            r"got uint16. They lie in \[0, 23500\]: data.scaled\(images, \(0, 23500\)\) makes",
        ),
        ({"images": np.zeros((3, 4, 4), bool)}, r"got bool. data.scaled\(images, \(0, 1\)\)"),
        ({"images": np.full((3, 4, 4), np.nan)}, r"got float64. Nothing in them is a finite"),
        ({"images": np.full((3, 4, 4), "a")}, r"must be numbers; got str"),
        ({"images": np.zeros((3, 4), np.uint8)}, r"must be \[N, H, W\].*got \[3, 4\]\."),
        ({"images": np.zeros((0, 4, 4), np.uint8)}, r"not empty; got \[0, 4, 4, 1\]"),
        ({"images": np.zeros((3, 3, 4, 4), np.uint8)}, r"images.transpose\(0, 2, 3, 1\)"),
        ({"images": np.zeros((3, 3, 50, 50), np.uint8)}, r"images.transpose\(0, 2, 3, 1\)"),
        ({"labels": np.zeros(3)}, r"labels of arrays must be integers \[N\]; got float64 \[3\]"),
        ({"labels": np.eye(3, dtype=int)}, r"got int64 \[3, 3\]. Take labels.argmax"),
        ({"labels": np.zeros(2, int)}, r"one per example; got 3 examples and 2 labels"),
        ({"labels": np.array([0, -5, 2])}, r"at least 0, or -1 where .* unknown; got -5. Leave"),
        ({"class_names": ("a", "b")}, r"below the number of class names, 2; got 2"),
    ],
)
def test_wrong_arrays_say_what_is_missing(change, message):
    right = {
        "images": np.zeros((3, 4, 4, 3), np.uint8),
        "labels": np.arange(3),
        "class_names": ("a", "b", "c"),
    }
    data.from_arrays(**right)
    with pytest.raises(ValueError, match=message):
        data.from_arrays(**{**right, **change})


def test_npz_without_the_keys_lists_those_found(tmp_path, images):
    np.savez(tmp_path / "a.npz", pictures=images, other=images)
    with pytest.raises(ValueError, match=r"or images and labels; got 'pictures', 'other'\."):
        open_npz(tmp_path / "a.npz")


def test_npz_unknown_split_lists_the_splits(tmp_path, images):
    np.savez(tmp_path / "a.npz", train_images=images, test_images=images)
    with pytest.raises(
        ValueError, match=r'one of train, test, fit, validation; got "tests". Did you mean "test"'
    ):
        open_npz(tmp_path / "a.npz", "tests")
    np.savez(tmp_path / "b.npz", images=images)
    with pytest.raises(ValueError, match=r'one of train, test, all, fit, validation; got "extra"'):
        open_npz(tmp_path / "b.npz", "extra")


def test_damaged_npz_is_named(tmp_path, images):
    np.savez(tmp_path / "a.npz", images=images)
    content = (tmp_path / "a.npz").read_bytes()
    (tmp_path / "a.npz").write_bytes(content[: len(content) // 2])
    with pytest.raises(ValueError, match=r"a\.npz must be a NumPy \.npz archive"):
        open_npz(tmp_path / "a.npz")


def test_one_image_cannot_be_divided(tmp_path, images):
    np.savez(tmp_path / "a.npz", images=images[:1])
    with pytest.raises(ValueError, match=r'at least 2 images .* got 1. Ask for the split "all"'):
        open_npz(tmp_path / "a.npz")
    assert len(open_npz(tmp_path / "a.npz", "all")) == 1


def test_sources_are_immutable(images):
    with pytest.raises(dataclasses.FrozenInstanceError):
        data.from_arrays(images).name = "other"
