import os

import numpy as np
import pytest
from pictures import write_pictures

from jaxssl import data
from jaxssl.data import transforms


def open_folder(folder, split="all"):
    return data.ImageData(str(folder), 8, 3).open(split)


def test_classes_are_subfolders_in_alphabetical_order(class_folder):
    source = open_folder(class_folder)
    assert len(source) == 12 and source.labelled
    assert source.class_names == ("cat", "dog") and source.num_classes == 2
    assert [source[row]["label"] for row in range(12)] == [0] * 6 + [1] * 6
    content = (class_folder / "dog" / "00.png").read_bytes()
    np.testing.assert_array_equal(
        source[6]["image"], transforms.decode(content, image_size=8, channels=3)
    )


def test_classes_may_have_folders_inside(class_folder):
    write_pictures(class_folder / "cat" / "deep" / "er", 3)
    source = open_folder(class_folder)
    assert len(source) == 15
    assert [source[row]["label"] for row in (8, 9)] == [0, 1]


def test_a_single_set_is_divided(class_folder):
    train, test = (open_folder(class_folder, split) for split in ("train", "test"))
    assert (len(train), len(test)) == (10, 2)
    assert set(train.listing.files).isdisjoint(test.listing.files)
    for source in (train, test):
        for row, file in enumerate(source.listing.files):
            assert source.class_names[source[row]["label"]] == file.split(os.sep)[0]


def test_own_splits_and_val_for_test(split_folder):
    assert len(open_folder(split_folder, "train")) == 8
    assert len(open_folder(split_folder, "val")) == 4
    assert open_folder(split_folder, "test").listing.root.name == "val"
    write_pictures(split_folder / "test" / "cat", 1)
    test = open_folder(split_folder, "test")
    assert test.listing.root.name == "test" and len(test) == 1


def test_every_split_numbers_all_classes(split_folder):
    write_pictures(split_folder / "train" / "bird", 1)
    assert open_folder(split_folder, "val").class_names == ("bird", "cat", "dog")
    assert open_folder(split_folder, "val")[0]["label"] == 1


def test_flat_folders_have_no_labels(tmp_path):
    write_pictures(tmp_path / "flat", 5)
    (tmp_path / "flat" / ".hidden.png").write_bytes(b"x")
    (tmp_path / "flat" / "notes.txt").write_text("not an image")
    source = open_folder(tmp_path / "flat")
    assert len(source) == 5
    assert not source.labelled and source.num_classes is None and source.class_names is None
    assert set(source[0]) == {"image"}


def test_fingerprint_sees_names_and_sizes(class_folder):
    fingerprint = open_folder(class_folder).fingerprint
    assert open_folder(class_folder).fingerprint == fingerprint
    path = class_folder / "cat" / "00.png"
    content = path.read_bytes()
    path.write_bytes(content + b"\0")
    assert open_folder(class_folder).fingerprint != fingerprint
    path.write_bytes(content)
    assert open_folder(class_folder).fingerprint == fingerprint
    path.rename(class_folder / "dog" / "06.png")
    assert open_folder(class_folder).fingerprint != fingerprint


def test_in_memory_holds_what_would_be_decoded(class_folder):
    source = open_folder(class_folder)
    held = data.ImageData(str(class_folder), 8, 3, in_memory=True).open("all")
    assert isinstance(held, data.ArraySource)
    assert (held.fingerprint, held.class_names) == (source.fingerprint, source.class_names)
    for row in range(12):
        np.testing.assert_array_equal(held.columns["image"][row], source[row]["image"])
        assert held.labels[row] == source[row]["label"]


def test_unreadable_image_is_named(class_folder):
    (class_folder / "cat" / "05.jpg").write_bytes(b"nope")
    source = open_folder(class_folder)
    with pytest.raises(ValueError, match=r"cat/05\.jpg must be a readable image; got content of"):
        source[5]


def test_empty_folder_says_what_it_may_hold(tmp_path):
    with pytest.raises(ValueError, match=r"must hold images \(\.png .*IDX files or a prepared"):
        open_folder(tmp_path)
    (tmp_path / "cat").mkdir()
    with pytest.raises(ValueError, match=r"subfolders of .* must hold images .* got none in cat"):
        open_folder(tmp_path)


def test_images_beside_classes_are_refused(class_folder):
    write_pictures(class_folder.parent / "more", 1)
    (class_folder.parent / "more" / "00.png").rename(class_folder / "stray.png")
    with pytest.raises(ValueError, match=r"got both, 1 images such as stray\.png beside cat/"):
        open_folder(class_folder)


def test_unknown_split_lists_the_splits(split_folder):
    with pytest.raises(
        ValueError, match=r'one of train, val, fit, validation; got "trian". Did you mean "train"'
    ):
        open_folder(split_folder, "trian")
