import json
import os
import shutil

import numpy as np
import pytest
from pictures import write_pictures

from jaxssl import data
from jaxssl.data import folder, layout, transforms


def open_folder(path, split="all"):
    return data.ImageData(str(path), 8, 3).open(split)


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
    assert set(train.source.listing.files).isdisjoint(test.source.listing.files)
    for source in (train, test):
        for row, file in enumerate(source.source.listing.files):
            assert source.class_names[source[row]["label"]] == file.split(os.sep)[0]


def test_what_is_kept_for_evaluation_is_said(class_folder, split_folder):
    train, test, whole, fit = (
        open_folder(class_folder, split) for split in ("train", "test", "all", "fit")
    )
    assert train.account.divided == "10 of 12 images; 2 kept for evaluation"
    held = data.ImageData(str(class_folder), 8, 3, in_memory=True).open("train")
    assert held.account == train.account
    for source in (test, whole, fit, open_folder(split_folder, "train")):
        assert data.account_of(source).divided == ""
    digits = data.ImageData("digits", 8, 1)
    assert digits.open("train").account.divided == "1,438 of 1,797 images; 359 kept for evaluation"
    assert digits.open("fit").account.divided == ""


def test_own_splits_and_val_for_test(split_folder):
    assert len(open_folder(split_folder, "train")) == 8
    assert len(open_folder(split_folder, "val")) == 4
    assert open_folder(split_folder, "test").source.listing.root.name == "val"
    write_pictures(split_folder / "test" / "cat", 1)
    test = open_folder(split_folder, "test")
    assert test.source.listing.root.name == "test" and len(test) == 1


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


def test_a_folder_without_images_says_what_it_holds(tmp_path):
    with pytest.raises(ValueError, match=r"must hold images \(\.png .* TFDS data set; got nothing"):
        open_folder(tmp_path)
    (tmp_path / "cat").mkdir()
    (tmp_path / "dog").mkdir()
    (tmp_path / "dog" / "notes.TXT").touch()
    message = r"got 2 folders without images such as cat; 1 other file \(1 \.txt\)\."
    with pytest.raises(ValueError, match=message):
        open_folder(tmp_path)


def test_unknown_split_lists_the_splits(split_folder):
    with pytest.raises(
        ValueError, match=r'one of train, val, fit, validation; got "trian". Did you mean "train"'
    ):
        open_folder(split_folder, "trian")


def test_a_class_called_train_is_a_class(class_folder):
    write_pictures(class_folder / "train", 3)
    source = open_folder(class_folder)
    assert len(source) == 15 and source.class_names == ("cat", "dog", "train")
    assert source.account.notes == ("train is read as a class like cat/, dog/, not as a split",)
    assert folder.splits(layout.find(class_folder)) == ("train", "test")


def test_what_may_be_splits_or_classes_is_refused(split_folder):
    write_pictures(split_folder / "unlabeled", 2)
    message = (
        r"must all be splits or all be classes; got train/, val/ beside unlabeled/\. If the first "
        "are the splits, move the others out; if all are classes, rename the first"
    )
    with pytest.raises(ValueError, match=message):
        open_folder(split_folder, "train")
    shutil.rmtree(split_folder / "val")
    with pytest.raises(ValueError, match=r"got train/ beside unlabeled/"):
        open_folder(split_folder, "train")


def test_folders_without_images_are_no_classes(split_folder):
    (split_folder / "annotations").mkdir()
    (split_folder / "annotations" / "0.xml").touch()
    assert open_folder(split_folder, "train").class_names == ("cat", "dog")


@pytest.mark.parametrize(
    ("train", "val", "test"),
    [
        ("Train", "Valid", "Test"),
        ("TRAIN", "VAL", "TEST"),
        ("training", "validation", "testing"),
        ("Training", "dev", "Testing"),
    ],
)
def test_splits_go_by_any_of_their_names(tmp_path, train, val, test):
    for count, name in ((4, train), (3, val), (2, test)):
        write_pictures(tmp_path / "set" / name / "cat", count)
        write_pictures(tmp_path / "set" / name / "dog", count, seed=3)
    for split, count in (("train", 8), ("val", 6), ("validation", 6), ("test", 4)):
        source = open_folder(tmp_path / "set", split)
        assert (len(source), source.class_names) == (count, ("cat", "dog"))
    for own, count in ((train, 8), (val, 6), (test, 4)):
        assert len(open_folder(tmp_path / "set", own)) == count
    with pytest.raises(ValueError, match=r'must be one of train, val(idation)?, test.*; got "all"'):
        open_folder(tmp_path / "set", "all")


def test_splits_without_train_are_no_classes(split_folder):
    shutil.rmtree(split_folder / "train")
    write_pictures(split_folder / "test" / "cat", 1)
    assert len(open_folder(split_folder, "test")) == 1
    with pytest.raises(ValueError, match=r'must be one of val, test; got "train"'):
        open_folder(split_folder, "train")


def test_two_folders_of_one_split_are_refused(split_folder):
    write_pictures(split_folder / "Valid", 1)
    with pytest.raises(ValueError, match=r"got Valid/, val/, which both mean val\. Move one"):
        open_folder(split_folder, "train")


def test_a_split_behind_a_broken_link_is_named(split_folder):
    (split_folder / "test").symlink_to(split_folder / "gone")
    with pytest.raises(ValueError, match=r"divided/test must lead to .* got a broken link"):
        open_folder(split_folder, "train")


def test_an_unlabelled_train_beside_a_labelled_val(split_folder):
    shutil.rmtree(split_folder / "train")
    write_pictures(split_folder / "train", 5)
    train, val = (open_folder(split_folder, split) for split in ("train", "val"))
    assert len(train) == 5 and not train.labelled and train.class_names is None
    assert train.account.unlabelled == "no class folder holds 5 images such as 00.png"
    assert val.labelled and val.class_names == ("cat", "dog")


def test_splits_may_be_flat(tmp_path):
    for split, count in (("train", 4), ("val", 2)):
        write_pictures(tmp_path / split, count)
    (tmp_path / "cover.png").touch()
    train, val = (open_folder(tmp_path, split) for split in ("train", "val"))
    assert (len(train), len(val)) == (4, 2) and not train.labelled and not val.labelled
    assert val.account.unlabelled == "it has no class folders"
    note = f"left out beside the splits of {tmp_path}: 1 image, cover.png"
    assert train.account.notes == (note,)


def test_images_beside_classes_are_read_without_labels(class_folder):
    write_pictures(class_folder / "deep" / "er", 1)
    (class_folder / "deep" / "er" / "00.png").rename(class_folder / "stray.png")
    source = open_folder(class_folder)
    assert len(source) == 13 and source.source.listing.files[0] == "stray.png"
    assert not source.labelled and source.class_names is None and set(source[0]) == {"image"}
    assert source.account.unlabelled == "no class folder holds 1 image, stray.png"
    held = data.ImageData(str(class_folder), 8, 3, in_memory=True).open("fit")
    assert data.account_of(held).unlabelled == source.account.unlabelled


def test_names_need_not_be_utf8(class_folder):
    fingerprint = open_folder(class_folder).fingerprint
    odd = os.fsdecode(b"\xe9lan")
    (class_folder / "dog" / "00.png").rename(class_folder / "dog" / f"{odd}.png")
    source = open_folder(class_folder)
    assert len(source) == 12 and source.fingerprint != fingerprint
    assert [source[row]["label"] for row in range(12)] == [0] * 6 + [1] * 6
    (class_folder / "dog").rename(class_folder / odd)
    renamed = class_folder.rename(class_folder.with_name(odd))
    source = open_folder(renamed)
    assert source.class_names == ("cat", r"\xe9lan") and source.name.endswith(r"/\xe9lan")
    assert len(source) == 12 and source[11]["label"] == 1
    json.dumps([source.class_names, source.name], ensure_ascii=False).encode()


def test_a_single_class_may_be_a_folder_too_high(class_folder):
    (note,) = open_folder(class_folder.parent).account.notes
    assert note.endswith(
        f"of one class, pictures; if that folder is the data set, give {class_folder}"
    )
