"""Folders as people have them: links, pipes, and what other programs leave behind."""

import os
import pathlib

import pytest
from pictures import write_pictures

from jaxssl import data
from jaxssl.data import tree


def open_folder(path):
    return data.ImageData(str(path), 8, 3).open("all")


def walked(root):
    walk = tree.Walk(root)
    return [os.path.join(inside, name) for inside, names in walk for name in names], walk.left_out


def write(root, *paths):
    for path in paths:
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).touch()


def test_folders_come_in_order_and_links_last(tmp_path):
    write(tmp_path, "set/z", "set/b/c/2", "set/b/1", "set/a/3", "elsewhere/4")
    (tmp_path / "set" / "a" / "link").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "set" / "a" / "file").symlink_to(tmp_path / "set" / "z")
    found, left_out = walked(tmp_path / "set")
    assert found == ["z", "a/3", "a/file", "b/1", "b/c/2", "a/link/4"]
    assert left_out == {}


def test_every_real_folder_is_read_once(tmp_path):
    write(tmp_path, "set/cat/1", "set/dog/2", "beside/3")
    for name, target in (
        ("cat/up", tmp_path / "set"),
        ("cat/way_up", tmp_path),
        ("cat/here", tmp_path / "set" / "cat"),
        ("dog/up", tmp_path / "set"),
        ("all_cats", tmp_path / "set" / "cat"),
        ("beside", tmp_path / "beside"),
        ("beside_again", tmp_path / "beside"),
    ):
        (tmp_path / "set" / name).symlink_to(target)
    (tmp_path / "beside" / "back").symlink_to(tmp_path / "set" / "dog")
    found, left_out = walked(tmp_path / "set")
    assert found == ["cat/1", "dog/2", "beside/3"]
    assert list(left_out) == [tree.REPEATED]
    assert sorted(left_out[tree.REPEATED]) == [
        "all_cats", "beside/back", "beside_again", "cat/here", "cat/up", "cat/way_up", "dog/up",
    ]  # fmt: skip


def test_what_is_no_regular_file_is_counted_and_named(tmp_path):
    write_pictures(tmp_path / "cat", 4)
    write_pictures(tmp_path / "dog", 4)
    os.mkfifo(tmp_path / "cat" / "pipe.png")
    (tmp_path / "cat" / "gone.png").symlink_to("nowhere.png")
    (tmp_path / "cat" / "a.png").symlink_to("b.png")
    (tmp_path / "cat" / "b.png").symlink_to("a.png")
    (tmp_path / "horse").symlink_to(tmp_path / "unmounted")
    (tmp_path / "dog" / "cats").symlink_to(tmp_path / "cat")
    source = open_folder(tmp_path)
    assert len(source) == 8 and source.class_names == ("cat", "dog")
    assert source.account.notes == (
        f"left out of {tmp_path}: 4 broken links such as horse; 1 link to a folder that is read "
        "anyway, dog/cats; 1 pipe, socket or device, cat/pipe.png",
    )


def test_a_folder_that_cannot_be_opened_is_named(tmp_path, monkeypatch):
    write_pictures(tmp_path / "cat", 2)
    write_pictures(tmp_path / "dog" / "closed", 2)
    scandir = os.scandir

    def refuse(path):
        if pathlib.Path(path).name == "closed":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    source = open_folder(tmp_path)
    assert len(source) == 2 and source.class_names == ("cat",)
    assert "1 folder that cannot be opened, dog/closed" in source.account.notes[0]


@pytest.mark.parametrize(
    "left",
    [
        ".ipynb_checkpoints/00.png",
        "cat/.ipynb_checkpoints/00.png",
        "cat/deep/.cache/00.png",
        "__MACOSX/cat/._00.png",
        "__MACOSX/cat/00.png",
        "@eaDir/cat/00.png",
        "cat/@eaDir/00.png",
        "dog/$RECYCLE.BIN/00.png",
        "cat/._00.png",
        "._album.png",
    ],
)
def test_what_other_programs_leave_is_no_image(class_folder, left):
    write(class_folder, left)
    source = open_folder(class_folder)
    assert len(source) == 12 and source.class_names == ("cat", "dog") and source.labelled
    assert source.account.notes == ()


def test_a_class_needs_an_image(class_folder):
    (class_folder / "aardvark" / "young").mkdir(parents=True)
    source = open_folder(class_folder)
    assert source.class_names == ("cat", "dog")
    assert source.account.notes == (
        f"left out of {class_folder}: 1 folder without images, aardvark",
    )


def test_folders_may_be_called_like_images(class_folder):
    (class_folder / "cat").rename(class_folder / "walk.gif")
    (class_folder / "dog" / "00.png").rename(class_folder / "dog" / "deep.png")
    (class_folder / "dog" / "album.png").mkdir()
    source = open_folder(class_folder)
    assert len(source) == 12 and source.class_names == ("dog", "walk.gif")


def test_a_flat_folder_may_hold_an_album(tmp_path):
    write_pictures(tmp_path / "flat", 6)
    (tmp_path / "flat" / "album.png").mkdir()
    assert len(open_folder(tmp_path / "flat")) == 6


def test_other_files_are_counted_by_their_kind(class_folder):
    write(class_folder, "cat/1.heic", "cat/2.HEIC", "dog/3.txt", "dog/README", "a.csv", "b.xml")
    (note,) = open_folder(class_folder).account.notes
    assert note.endswith(": 6 other files (2 .heic, 1 .csv, 1 .xml, …)")
