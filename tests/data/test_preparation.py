import io
import os

import numpy as np
import pytest
import tensorflow_datasets as tfds
from pictures import write_pictures
from PIL import Image

from jaxssl import data
from jaxssl.data import preparation


def prepare(source, out_dir, **options):
    return data.prepare(source, out_dir, show_progress=False, **options)


def all_records(path, size=8, channels=3):
    source = data.ImageData(str(path), size, channels).open("all")
    return source, [source[row] for row in range(len(source))]


def as_set(records):
    return {(record["image"].tobytes(), record["label"]) for record in records}


def encoded_images(directory, split):
    records = tfds.builder_from_directory(directory).as_data_source(
        split, decoders={"image": tfds.decode.SkipDecoding()}
    )
    return {record["image"] for record in records}


def test_a_class_folder_comes_back_whole(class_folder, tmp_path):
    done = prepare(class_folder, tmp_path / "out" / "pets")
    assert done == data.Prepared(tmp_path / "out" / "pets" / "1.0.0", 12, ())
    source, records = all_records(tmp_path / "out" / "pets")
    assert source.class_names == ("cat", "dog")
    assert as_set(records) == as_set(all_records(class_folder)[1])
    for split in ("train", "test"):
        before = data.ImageData(str(class_folder), 8, 3).open(split)
        after = data.ImageData(str(tmp_path / "out" / "pets"), 8, 3).open(split)
        assert as_set(before[row] for row in range(len(before))) == as_set(
            after[row] for row in range(len(after))
        )
    assert len(tfds.data_source("pets", split="train", data_dir=tmp_path / "out")) == 10


def test_png_and_jpeg_keep_their_bytes_and_others_become_png(tmp_path):
    folder = tmp_path / "mixed"
    write_pictures(folder, 6, suffixes=(".png", ".jpg", ".bmp"))
    Image.new("L", (9, 9), 7).save(folder / "grey.png")
    done = prepare(folder, tmp_path / "out")
    stored = encoded_images(done.directory, "all")
    kept = {(folder / name).read_bytes() for name in ("00.png", "03.png", "01.jpg", "04.jpg")}
    assert kept <= stored and len(stored) == 7
    for content in stored - kept:
        with Image.open(io.BytesIO(content)) as image:
            assert (image.format, image.mode) == ("PNG", "RGB")


def test_own_splits_are_kept(split_folder, tmp_path):
    prepare(split_folder, tmp_path / "out")
    builder = tfds.builder_from_directory(tmp_path / "out" / "1.0.0")
    assert {name: info.num_examples for name, info in builder.info.splits.items()} == {
        "train": 8,
        "val": 4,
    }
    source = data.ImageData(str(tmp_path / "out"), 8, 3).open("test")
    assert len(source) == 4  # val stands for test


def test_arrays_come_back_exactly(idx_directory, images, labels, tmp_path):
    prepare(idx_directory, tmp_path / "out")
    for split, rows in (("train", slice(12)), ("test", slice(12, None))):
        source = data.ImageData(str(tmp_path / "out"), 6, 1).open(split)
        assert as_set(source[row] for row in range(len(source))) == {
            (image.tobytes(), label) for image, label in zip(images[rows], labels[rows])
        }
    records = tfds.builder_from_directory(tmp_path / "out" / "1.0.0").as_data_source("train")
    assert records[0]["image"].shape == (6, 6, 1)


def test_unlabelled_images_have_no_label_feature(tmp_path):
    write_pictures(tmp_path / "flat", 4)
    prepare(tmp_path / "flat", tmp_path / "out")
    assert not data.ImageData(str(tmp_path / "out"), 8, 3).open("train").labelled


def test_corrupt_files_are_named_counted_and_left_out(class_folder, tmp_path, capfd):
    noise = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    Image.fromarray(noise).save(class_folder / "dog" / "half.jpg")
    content = (class_folder / "dog" / "half.jpg").read_bytes()
    (class_folder / "dog" / "half.jpg").write_bytes(
        content[: len(content) // 2]
    )  # its header is whole
    (class_folder / "cat" / "text.png").write_bytes(b"nope")
    expected = as_set(record for record in all_good_records(class_folder, ("half.jpg", "text.png")))
    done = prepare(class_folder, tmp_path / "out")
    assert done.written == 12 and len(done.skipped) == 2
    skipped = " ".join(done.skipped)
    assert "cat/text.png: content of no known image format" in skipped
    assert "dog/half.jpg: image file is truncated" in skipped
    assert as_set(all_records(tmp_path / "out")[1]) == expected
    assert capfd.readouterr().out == ""


def all_good_records(folder, bad):
    source = data.ImageData(str(folder), 8, 3).open("all")
    for row, file in enumerate(source.source.listing.files):
        if os.path.basename(file) not in bad:
            yield source[row]


def test_progress_counts_images(class_folder, tmp_path, capfd):
    data.prepare(class_folder, tmp_path / "out")
    shown = capfd.readouterr()
    assert "10/10" in shown.err and "2/2" in shown.err and shown.out == ""


@pytest.mark.parametrize("interruption", [KeyboardInterrupt, MemoryError])
def test_an_interrupted_preparation_leaves_nothing(
    class_folder, tmp_path, monkeypatch, interruption
):
    real, seen = preparation._checked, []

    def interrupted(path, *options):
        seen.append(path)
        if len(seen) == 8:
            raise interruption
        return real(path, *options)

    monkeypatch.setattr(preparation, "_checked", interrupted)
    with pytest.raises(interruption):
        prepare(class_folder, tmp_path / "out" / "pets", num_threads=1)
    assert list((tmp_path / "out").iterdir()) == []
    monkeypatch.undo()
    assert prepare(class_folder, tmp_path / "out" / "pets").written == 12


def test_an_empty_out_dir_is_used(class_folder, tmp_path):
    (tmp_path / "out").mkdir()
    assert prepare(class_folder, tmp_path / "out").written == 12


def test_out_dir_in_use_is_refused_and_untouched(class_folder, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "mine.txt").write_text("keep")
    with pytest.raises(
        ValueError, match=r"out_dir must be new or empty; got .*out, which is in use"
    ):
        prepare(class_folder, tmp_path / "out")
    assert (tmp_path / "out" / "mine.txt").read_text() == "keep"


def test_names_that_tfds_cannot_take_are_refused_with_another(class_folder, tmp_path):
    with pytest.raises(ValueError, match=r'got "2 My-Photos". Try "my_photos"'):
        prepare(class_folder, tmp_path / "2 My-Photos")
    assert not list(tmp_path.glob("*My*"))


def test_prepared_and_missing_sources_are_refused(class_folder, tmp_path):
    prepare(class_folder, tmp_path / "out")
    with pytest.raises(ValueError, match=r"must not be prepared already; got .*out/1\.0\.0"):
        prepare(tmp_path / "out", tmp_path / "again")
    with pytest.raises(FileNotFoundError, match="does not exist"):
        prepare(tmp_path / "nowhere", tmp_path / "again")


def test_a_split_without_a_readable_image_is_an_error(tmp_path):
    (tmp_path / "bad").mkdir()
    for index in range(3):
        (tmp_path / "bad" / f"{index}.png").write_bytes(b"nope")
    with pytest.raises(ValueError, match=r"split train must hold a readable image; got none of 2"):
        prepare(tmp_path / "bad", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_the_records_do_not_depend_on_the_threads(class_folder, tmp_path):
    orders = []
    for num_threads in (1, 5):
        out = tmp_path / f"out{num_threads}"
        prepare(class_folder, out, num_threads=num_threads)
        orders.append([record["image"].tobytes() for record in all_records(out)[1]])
    assert orders[0] == orders[1]


def test_grey_data_sets_convert_pictures(class_folder, tmp_path):
    done = prepare(class_folder, tmp_path / "out", channels=1)
    records = tfds.builder_from_directory(done.directory).as_data_source("train")
    assert records[0]["image"].shape[-1] == 1
    assert np.ptp(records[0]["image"]) > 0
