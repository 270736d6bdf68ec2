"""Images that cannot be read: which ones stand in for them, how often it is said, when it stops."""

import dataclasses
import logging

import numpy as np
import pytest
from pictures import write_pictures

from jaxssl import data


def opened(folder, split="all", **options):
    return data.ImageData(str(folder), 8, 3, **options).open(split)


def damage(folder, *names):
    for name in names:
        path = folder / name
        path.write_bytes(path.read_bytes()[: path.stat().st_size // 2])


def images(source):
    return [record["image"] for record in map(source.__getitem__, range(len(source)))]


def assert_same(found, expected):
    np.testing.assert_array_equal(np.stack(found), np.stack(expected))


def test_the_next_image_stands_in_with_its_label(class_folder):
    whole = opened(class_folder)
    records = [whole[row] for row in range(12)]
    damage(class_folder, "cat/05.jpg", "dog/05.jpg")
    source = opened(class_folder, max_unreadable=0.2)
    # The last cat's place is taken by the first dog, the last dog's by the first cat.
    expected = [*range(5), 6, *range(6, 11), 0]
    for row, stand_in in enumerate(expected):
        np.testing.assert_array_equal(source[row]["image"], records[stand_in]["image"])
        assert source[row]["label"] == records[stand_in]["label"]
    np.testing.assert_array_equal(source[-1]["image"], records[0]["image"])
    with pytest.raises(IndexError, match="row 12 of 12"):
        source[12]


def test_several_in_a_row_have_the_same_stand_in(tmp_path):
    write_pictures(tmp_path / "a", 6)
    expected = images(opened(tmp_path / "a"))
    damage(tmp_path / "a", "01.jpg", "02.png", "03.jpg")
    found = images(opened(tmp_path / "a", max_unreadable=0.5))
    assert_same(found, [expected[row] for row in (0, 4, 4, 4, 4, 5)])


def test_every_order_process_and_resume_reads_the_same(tmp_path):
    write_pictures(tmp_path / "a", 40)
    damage(tmp_path / "a", "07.jpg", "20.png")
    options = {"max_unreadable": 0.05}
    forwards = images(opened(tmp_path / "a", **options))
    source = opened(tmp_path / "a", **options)
    assert_same([source[row]["image"] for row in reversed(range(40))], forwards[::-1])
    assert_same(opened(tmp_path / "a", in_memory=True, **options).columns["image"], forwards)
    shares = []
    for process in range(2):
        source = opened(tmp_path / "a", **options)
        with data.Loader(source, batch_size=8, seed=3, process=(process, 2)) as each:
            shares.append([each.batch(step) for step in range(5)])
    with data.Loader(opened(tmp_path / "a", **options), batch_size=8, seed=3) as one:
        for step in (4, 2):  # as after a resume
            both = [share[step]["image"] for share in shares]
            np.testing.assert_array_equal(one.batch(step)["image"], np.concatenate(both))


def test_each_is_logged_once_with_its_path(tmp_path, caplog):
    write_pictures(tmp_path / "a", 8)
    damage(tmp_path / "a", "03.jpg")
    source = opened(tmp_path / "a")
    for _ in range(3):
        images(source)
    (line,) = [each.getMessage() for each in caplog.records if "cannot be read" in each.message]
    assert line.startswith(f"{tmp_path}/a/03.jpg cannot be read (")
    assert line.endswith("); the next image of its split stands in for it")
    assert caplog.records[0].levelno == logging.WARNING
    assert data.account_of(source).unreadable == (f"{tmp_path}/a/03.jpg",)
    held = opened(tmp_path / "a", in_memory=True)
    assert data.account_of(held).unreadable == (f"{tmp_path}/a/03.jpg",)


def test_too_many_are_a_clear_stop(tmp_path):
    write_pictures(tmp_path / "a", 20)
    damage(tmp_path / "a", "03.jpg", "10.png")
    source = opened(tmp_path / "a")
    source[3]  # one in a hundred, rounded up
    message = (
        r"of the 20 images of .*/a at most 1 \(1 %\) may be unreadable; got 2, the last .*10\.png: "
        r".*Repair or remove them, .* or allow more with --data\.max-unreadable\."
    )
    for _ in range(2):
        with pytest.raises(ValueError, match=message):
            source[10]
    none = opened(tmp_path / "a", max_unreadable=0.0)
    with pytest.raises(ValueError, match=r"at most 0 \(0 %\) may be unreadable; got 1, the last"):
        none[3]
    with pytest.raises(ValueError, match=r"max_unreadable must be in \[0, 1\]; got 2\. It is a sh"):
        data.ImageData("a", 8, 3, max_unreadable=2)


def test_the_loader_stops_with_the_same_words(tmp_path):
    write_pictures(tmp_path / "a", 8)
    damage(tmp_path / "a", "03.jpg", "04.png")
    with data.Loader(opened(tmp_path / "a"), batch_size=8, seed=0) as loader:
        with pytest.raises(ValueError, match=r"at most 1 .* may be unreadable; got 2"):
            loader.batch(0)


def test_nothing_readable_is_said(tmp_path):
    write_pictures(tmp_path / "a", 2)
    damage(tmp_path / "a", "00.png", "01.jpg")
    with pytest.raises(ValueError, match=r"a must hold a readable image; got none\."):
        opened(tmp_path / "a", max_unreadable=1.0)[0]


def test_a_part_of_a_split_is_filled_from_itself(tmp_path):
    write_pictures(tmp_path / "a", 30)
    fit, validation = (opened(tmp_path / "a", split) for split in ("fit", "validation"))
    files = [path.name for path in map(type(tmp_path), validation.identities())]
    known = {image.tobytes() for image in images(validation)}
    damage(tmp_path / "a", files[0])
    again = opened(tmp_path / "a", "validation", max_unreadable=0.5)
    assert again[0]["image"].tobytes() in known
    assert again[0]["image"].tobytes() not in {image.tobytes() for image in images(fit)}


def test_damaged_records_of_a_prepared_set_are_replaced_too(class_folder, tmp_path):
    data.prepare(class_folder, tmp_path / "out", show_progress=False)
    source = opened(tmp_path / "out", "train")
    expected = source[4]

    class Damaged:
        def __len__(self):
            return len(source)

        def __getitem__(self, row):
            record = dict(source.source.records[row])
            return record | {"image": b"nope"} if row == 3 else record

    records = dataclasses.replace(source.source, records=Damaged())
    damaged = dataclasses.replace(source, source=records)
    np.testing.assert_array_equal(damaged[3]["image"], expected["image"])
    assert damaged[3]["label"] == expected["label"]
    assert data.account_of(damaged).unreadable == ("record 3 of out/1.0.0",)
