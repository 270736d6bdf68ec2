"""Images with a text each: which belong together, in which split, of which class."""

import io
import json
import tarfile

import numpy as np
import pytest
from pictures import write_pictures

from jaxssl import data
from jaxssl.augment import policies
from jaxssl.data import captions
from jaxssl.inputs import Input

SEPARATOR = 256


def opened(path, split="all", **options):
    fields = {"image_size": 8, "channels": 3, "length": 12, **options}
    return data.PairData(str(path), **fields).open(split)


def texts(source, **options):
    """The texts of a source, by row."""
    config = data.PairData("unused", 8, 3, **options)
    return [config.decode(source[row]["tokens"]) for row in range(len(source))]


def write_texts(directory):
    """A text beside each picture, of its name."""
    for file in sorted(directory.glob("*")):
        file.with_suffix(".txt").write_text(f"text {file.stem}\n")
    return directory


def write_table(directory, count=10, name="pairs.jsonl", **more):
    """Pictures 00 to 09 and a row for each; returns the table."""
    write_pictures(directory / "pictures", count)
    files = sorted((directory / "pictures").iterdir())
    rows = [
        {"image": f"pictures/{file.name}", "text": f"text {file.stem}", **more} for file in files
    ]
    (directory / name).write_text("\n".join(map(json.dumps, rows)))
    return directory / name


def write_tar(file, members, **options):
    """An archive of (name, content)."""
    with tarfile.open(file, "w", **options) as archive:
        for name, content in members:
            info = tarfile.TarInfo(name)
            info.size = len(content)
            archive.addfile(info, io.BytesIO(content))
    return file


def tar_members(tmp_path, count, *, start=0, suffix=".txt"):
    """Members of pictures 00 … with a text each; in .json with a class."""
    write_pictures(tmp_path / f"of-{start}", count, seed=start)
    for number, file in enumerate(sorted((tmp_path / f"of-{start}").iterdir()), start=start):
        text = f"text {number:02d}"
        described = json.dumps({"caption": text, "label": f"class {number % 2}"})
        yield f"part/{number:02d}{file.suffix}", file.read_bytes()
        yield f"part/{number:02d}{suffix}", (text if suffix == ".txt" else described).encode()


def test_a_text_ends_with_separators_and_is_cut():
    config = data.PairData("unused", 8, 3, length=6)
    tokens = config.encode([b"ab", b"", b"abcdefgh"])
    assert tokens.dtype == np.uint16
    end = [SEPARATOR]
    np.testing.assert_array_equal(tokens, [[*b"ab", *end * 4], end * 6, [*b"abcde", *end]])
    assert [config.decode(row) for row in tokens] == ["ab", "", "abcde"]
    with pytest.raises(ValueError, match='at most 5 tokens; got 8 in "abcdefgh"'):
        config.encode([b"abcdefgh"], cut=False)


def test_images_of_a_folder_have_the_text_beside_them(tmp_path):
    for name in ("cat", "dog"):
        write_pictures(tmp_path / name, 6)
        write_texts(tmp_path / name)
    source = opened(tmp_path)
    assert texts(source) == [f"text {number:02d}" for number in range(6)] * 2
    assert source.class_names == ("cat", "dog") and source[7]["label"] == 1
    images = data.ImageData(str(tmp_path), 8, 3).open("all")
    np.testing.assert_array_equal(source[3]["image"], images[3]["image"])
    assert source.account.notes == ()
    parts = {split: set(opened(tmp_path, split).identities()) for split in ("train", "test", "fit")}
    assert len(parts["train"]) == 10 and len(parts["test"]) == 2 and len(parts["fit"]) == 9
    assert not parts["train"] & parts["test"] and parts["fit"] < parts["train"]
    with data.Loader(opened(tmp_path, "train"), batch_size=4, seed=0) as loader:
        batch = loader.batch(0)
    assert batch.keys() == {"image", "tokens", "index"} and batch["tokens"].shape == (4, 12)
    asked = policies.CropFlip(6).host_crops()
    with data.Loader(opened(tmp_path, "train"), batch_size=4, seed=0, crops=asked) as loader:
        cropped = loader.batch(0)
    assert cropped["image"].groups[0].shape == (4, 1, 6, 6, 3)
    np.testing.assert_array_equal(cropped["tokens"], batch["tokens"])


def test_images_without_a_text_are_left_out_and_said(tmp_path):
    write_pictures(tmp_path / "train", 4)
    write_texts(tmp_path / "train")
    (tmp_path / "train" / "02.txt").write_text(" \n")
    (tmp_path / "train" / "03.txt").unlink()
    source = opened(tmp_path, "train")
    assert texts(source) == ["text 00", "text 01"] and not source.labelled
    (note,) = source.account.notes
    write_pictures(tmp_path / "other" / "cat", 3)
    write_pictures(tmp_path / "other" / "dog", 3, seed=1)
    write_texts(tmp_path / "other" / "dog")
    (tmp_path / "other" / "cat" / "02.txt").write_text("text")
    labelled = opened(tmp_path / "other")
    assert [labelled[row]["label"] for row in range(len(labelled))] == [0, 1, 1, 1]
    assert note == f"left out of {tmp_path}: 2 images without a text such as 02.png"


def test_rows_of_a_table_are_pairs(tmp_path):
    table = write_table(tmp_path, label=7)
    source = opened(table)
    assert texts(source) == [f"text {number:02d}" for number in range(10)]
    assert source.class_names == ("7",) and source[0]["label"] == 0
    assert [len(opened(table, split)) for split in ("train", "test", "validation")] == [8, 2, 1]
    assert opened(table, "train").account.divided.startswith("8 of 10 images; 2 kept")
    in_memory = opened(table, in_memory=True)
    assert isinstance(in_memory, data.ArraySource)
    np.testing.assert_array_equal(in_memory.columns["tokens"][4], source[4]["tokens"])
    np.testing.assert_array_equal(in_memory.columns["image"][4], source[4]["image"])


def test_an_image_of_several_texts_is_in_one_split(tmp_path):
    table = write_table(tmp_path)
    lines = table.read_text().splitlines()
    table.write_text("\n".join([*lines, *lines]))
    train, test = (set(opened(table, split).identities()) for split in ("train", "test"))
    assert len(opened(table, "test")) == 4 and len(test) == 2 and not train & test


@pytest.mark.parametrize("suffix", [".txt", ".json"])
def test_members_of_an_archive_are_pairs(tmp_path, suffix):
    archive = write_tar(tmp_path / "pairs.tar", tar_members(tmp_path, 6, suffix=suffix))
    source = opened(archive)
    assert texts(source) == [f"text {number:02d}" for number in range(6)]
    images = data.ImageData(str(tmp_path / "of-0"), 8, 3).open("all")
    for row in range(6):
        np.testing.assert_array_equal(source[row]["image"], images[row]["image"])
    names = ("class 0", "class 1") if suffix == ".json" else None
    assert source.class_names == names
    assert len(set(source.identities())) == 6


def test_archives_of_splits_have_these(tmp_path):
    folder = tmp_path / "shards"
    folder.mkdir()
    for name, start in (("train-000", 0), ("train-001", 6), ("test-000", 12)):
        members = tar_members(tmp_path, 6, start=start, suffix=".json")
        write_tar(folder / f"{name}.tar", members)
    assert texts(opened(folder, "test")) == [f"text {number}" for number in range(12, 18)]
    assert len(opened(folder, "train")) == 12 and len(opened(folder)) == 18
    assert len(opened(folder, "fit")) == 11


def test_the_fingerprint_is_of_images_and_of_whole_texts(tmp_path):
    table = write_table(tmp_path)
    before = opened(table).fingerprint
    assert opened(table, length=4, image_size=4).fingerprint == before
    table.write_text(table.read_text().replace("text 09", "text 9a"))
    assert opened(table).fingerprint != before


@pytest.mark.parametrize("name", captions.DISGUISED)
def test_names_of_classes_become_captions(name, monkeypatch):
    images = data.from_arrays(
        np.zeros((70, 8, 8, 1), np.uint8), np.arange(70) % 2, class_names=("Shirt", "Ankle boot")
    )
    monkeypatch.setattr(
        captions.opening,
        "find_unprepared",
        lambda path: captions.Found(("train", "test"), lambda split: images),
    )
    source = opened(name, "train", channels=1, length=48)
    found = texts(source, length=48)
    for row, text in enumerate(found):
        class_name = ("Shirt", "Ankle boot")[row % 2]
        assert text in {template.format(class_name) for template in captions.TEMPLATES}
    assert len(set(found)) == 2 * len(captions.TEMPLATES)
    assert "labels in disguise" in source.account.notes[-1] and source.name == name
    assert found == texts(opened(name, "train", channels=1, length=48), length=48)


def test_matching_takes_the_size_of_the_encoder():
    config = data.PairData("unused", 32, 3, length=20)
    found = config.matching((Input("image", (16, 16, 1), "float32"),))
    assert (found.image_size, found.channels, found.length) == (16, 1, 20)
    assert config.unit == "pairs" and config.vocabulary == 258


def test_what_cannot_be_read_is_said(tmp_path):
    write_pictures(tmp_path / "bare", 3)
    (tmp_path / "x.csv").write_text("")
    (tmp_path / "a.jsonl").write_text('{"image": "x.png"}')
    (tmp_path / "b.jsonl").write_text('{"image": "x.png", "text": "a"}')
    (tmp_path / "c.jsonl").write_text("{")
    (tmp_path / "d.jsonl").write_text("")
    (tmp_path / "a.tar").write_bytes(b"no archive")
    write_tar(tmp_path / "b.tar", tar_members(tmp_path, 2))
    whole = (tmp_path / "b.tar").read_bytes()
    (tmp_path / "cut.tar").write_bytes(whole[:900])
    write_tar(tmp_path / "c.tar", [("a.jpg", b"1"), ("a.json", b"{")])
    write_tar(tmp_path / "d.tar", [("a.jpg", b"1"), ("a.json", b'{"text": 3}')])
    for path, message in (
        ("nowhere", "fashion-mnist-captions.*got .*nowhere, which does not exist"),
        ("bare", r"a .txt of the same name; got 3 images such as 00.png, and no text"),
        ("x.csv", "a file must be .jsonl or .tar; got .*x.csv. Give the directory"),
        (
            "a.jsonl",
            r"""have an "image", the path of a file, and a "text"; row 1 has \['image'\]""",
        ),
        (
            "b.jsonl",
            "image of row 1 of .*b.jsonl must be a file, .* got x.png, where there is none",
        ),
        ("c.jsonl", "every line of .*c.jsonl must be JSON; line 1 is not"),
        ("d.jsonl", "d.jsonl must hold images with texts; got none"),
        ("a.tar", "a.tar must be a whole tar archive, not compressed; got one that cannot be read"),
        ("cut.tar", "cut.tar must be a whole tar archive"),
        ("c.tar", "the .json of c.tar/a.jpg must be JSON"),
        ("d.tar", 'the .json of d.tar/a.jpg must have a "text", a string; got 3'),
    ):
        with pytest.raises(ValueError, match=message):
            opened(tmp_path / path)
    with pytest.raises(ValueError, match='Did you mean "photographs-captions"'):
        opened("photograph-captions")
    with pytest.raises(ValueError, match='got "tset"'):
        opened(tmp_path / "b.tar", "tset")
    with pytest.raises(ValueError, match="PairData: length must be at least 2; got 1"):
        opened(tmp_path, length=1)


def test_a_damaged_image_of_an_archive_is_named(tmp_path):
    archive = write_tar(tmp_path / "x.tar", [("a.jpg", b"none"), ("a.txt", b"text")])
    with pytest.raises(
        ValueError, match=r"may be unreadable; got 1, .*x\.tar/a\.jpg: content of no"
    ):
        opened(archive, max_unreadable=0.0)[0]
