import concurrent.futures
import io
import json
import pickle
import tarfile

import numpy as np
import pyarrow
import pytest
from PIL import Image
from pyarrow import parquet

from jaxssl import data
from jaxssl.data import tables

NAMES = ["cat", "dog", "cow"]


def picture(number):
    """A flat image of 8 x 8 in a grey of its own, as PNG."""
    content = io.BytesIO()
    Image.new("RGB", (8, 8), (number, number, number)).save(content, "PNG")
    return content.getvalue()


def table(numbers, labels=None, *, image="image", names=None):
    """Rows as Hugging Face's datasets write them."""
    images = [{"bytes": picture(number), "path": None} for number in numbers]
    kind = pyarrow.struct([("bytes", pyarrow.binary()), ("path", pyarrow.string())])
    columns = {image: pyarrow.array(images, kind)}
    features = {image: {"_type": "Image"}}
    if labels is not None:
        columns["label"] = pyarrow.array(labels)
        if names:
            features["label"] = {"_type": "ClassLabel", "names": names}
    about = json.dumps({"info": {"features": features}})
    return pyarrow.table(columns).replace_schema_metadata({"huggingface": about})


def write_arrow(file, rows):
    file.parent.mkdir(parents=True, exist_ok=True)
    with pyarrow.OSFile(str(file), "wb") as sink:
        with pyarrow.ipc.new_stream(sink, rows.schema) as writer:
            writer.write_table(rows, max_chunksize=4)


def write_parquet(file, rows):
    file.parent.mkdir(parents=True, exist_ok=True)
    parquet.write_table(rows, file, row_group_size=4)


def write_tar(file, members):
    file.parent.mkdir(parents=True, exist_ok=True)
    with tarfile.open(file, "w") as archive:
        for name, content in members.items():
            member = tarfile.TarInfo(name)
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))


def tarred(numbers, labels=()):
    members = {}
    for number, label in zip(numbers, [*labels] or [None] * len(numbers), strict=True):
        members[f"{number:04}.png"] = picture(number)
        if label is not None:
            members[f"{number:04}.cls"] = str(label).encode()
    return members


def opened(path, split, **fields):
    return data.ImageData(str(path), 4, 1, **fields).open(split)


def greys(source):
    return [int(source[row]["image"][0, 0, 0]) for row in range(len(source))]


def classes(source):
    return [source.class_names[source[row]["label"]] for row in range(len(source))]


@pytest.mark.parametrize("write, suffix", [(write_arrow, "arrow"), (write_parquet, "parquet")])
def test_tables_have_the_splits_of_their_paths(tmp_path, write, suffix):
    write(
        tmp_path / f"data/train-00000-of-00002.{suffix}",
        table(range(9), [0, 1, 2] * 3, names=NAMES),
    )
    write(
        tmp_path / f"data/train-00001-of-00002.{suffix}", table(range(9, 12), [2] * 3, names=NAMES)
    )
    write(
        tmp_path / f"data/test-00000-of-00001.{suffix}",
        table(range(20, 23), [1, -1, 0], names=NAMES),
    )
    train, test = opened(tmp_path, "train"), opened(tmp_path, "test")
    assert greys(train) == [*range(12)] and greys(test) == [20, 21, 22]
    assert classes(train) == ["cat", "dog", "cow"] * 3 + ["cow"] * 3
    assert [test[row]["label"] for row in range(3)] == [1, -1, 0]
    assert greys(opened(tmp_path, "all")) == [*range(12), 20, 21, 22]
    assert len(set(train.identities()) | set(test.identities())) == 15
    assert len({each.fingerprint for each in (train, test)}) == 2


@pytest.mark.parametrize("write, suffix", [(write_arrow, "arrow"), (write_parquet, "parquet")])
def test_one_table_is_a_single_set(tmp_path, write, suffix):
    file = tmp_path / f"photos.{suffix}"
    write(file, table(range(10), ["b", "a"] * 5, image="img"))
    train, test = opened(file, "train"), opened(file, "test")
    assert sorted(greys(train) + greys(test)) == [*range(10)] and len(test) == 2
    assert train.account.divided == "8 of 10 images; 2 kept for evaluation"
    assert train.class_names == ("a", "b")
    assert all(
        name == "ba"[grey % 2] for name, grey in zip(classes(train), greys(train), strict=True)
    )
    assert greys(pickle.loads(pickle.dumps(train))) == greys(train)


def test_what_datasets_save_is_not_taken_for_what_tfds_prepares(tmp_path):
    for split, count in (("train", 6), ("test", 3)):
        write_arrow(tmp_path / split / "data-00000-of-00001.arrow", table(range(count)))
        (tmp_path / split / "dataset_info.json").write_text("{}")
    (tmp_path / "dataset_dict.json").write_text('{"splits": ["train", "test"]}')
    assert len(opened(tmp_path, "train")) == 6
    own = opened(tmp_path / "test", "all")
    assert len(own) == 3 and not own.labelled
    assert own.account.unlabelled == "it has no column of classes"
    write_arrow(tmp_path / "cache/0.0.0/x-train.arrow", table(range(5)))
    (tmp_path / "cache/0.0.0/dataset_info.json").write_text("{}")
    assert len(opened(tmp_path / "cache", "train")) == 5


def test_archives_are_read_where_they_lie(tmp_path):
    write_tar(tmp_path / "images-train-000000.tar", tarred(range(5), [10, 2, 2, 10, 7]))
    write_tar(tmp_path / "images-train-000001.tar", tarred(range(5, 7), [2, 7]))
    write_tar(tmp_path / "images-val-000000.tar", tarred(range(20, 22), [7, 11]))
    train, val = opened(tmp_path, "train"), opened(tmp_path, "val")
    assert train.class_names == val.class_names == ("2", "7", "10", "11")
    assert (greys(train), greys(val)) == ([*range(7)], [20, 21])
    assert classes(train) == ["10", "2", "2", "10", "7", "2", "7"] and classes(val) == ["7", "11"]
    assert greys(opened(tmp_path, "test")) == [20, 21]  # val stands for it


@pytest.mark.parametrize("label", [b'{"label": "cat"}', b"{}"])
def test_a_class_may_be_said_by_json(tmp_path, label):
    members = {}
    for number in range(5):
        members |= {f"{number}.png": picture(number), f"{number}.json": label}
    write_tar(tmp_path / "x.tar", members)
    source = opened(tmp_path / "x.tar", "all")
    if label == b"{}":
        assert not source.labelled and source.account.unlabelled == "not all of its images have one"
    else:
        assert source.class_names == ("cat",)


def test_groups_of_rows_that_memory_cannot_hold_are_unpacked_again(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "_memory", lambda: 0)
    monkeypatch.setattr(tables, "_KEPT_GROUPS", 1)
    write_parquet(tmp_path / "x.parquet", table(range(12)))
    source = opened(tmp_path / "x.parquet", "all")
    assert [int(source[row]["image"][0, 0, 0]) for row in (11, 0, 5, 11)] == [11, 0, 5, 11]
    listing = source.source.listing
    assert len(listing.groups.groups) == 3 and len(listing.groups._held) == 1
    (note,) = source.account.notes
    assert "do not fit into memory" in note and "jaxssl prepare" in note


def test_threads_may_ask_for_more_groups_than_are_kept(tmp_path, monkeypatch):
    monkeypatch.setattr(tables, "_memory", lambda: 0)
    monkeypatch.setattr(tables, "_KEPT_GROUPS", 1)
    write_parquet(tmp_path / "x.parquet", table(range(40)))
    source = opened(tmp_path / "x.parquet", "all")
    with concurrent.futures.ThreadPoolExecutor(16) as pool:
        found = list(pool.map(lambda row: int(source[row]["image"][0, 0, 0]), [*range(40)] * 20))
    assert found == [*range(40)] * 20


def test_an_image_that_is_missing_is_unreadable(tmp_path):
    rows = table(range(20))
    images = rows.column("image").to_pylist()
    images[3] = {"bytes": None, "path": None}
    images[4] = {"bytes": None, "path": "nothing.png"}
    images[7] = {"bytes": None, "path": str(tmp_path / "beside.png")}
    (tmp_path / "beside.png").write_bytes(picture(70))
    rows = rows.set_column(0, "image", pyarrow.array(images, rows.schema.field("image").type))
    rows = rows.replace_schema_metadata(table([0]).schema.metadata)
    (tmp_path / "tables").mkdir()
    write_arrow(tmp_path / "tables" / "x.arrow", rows)
    source = opened(tmp_path / "tables", "all", max_unreadable=0.1)
    assert greys(source)[2:9] == [2, 5, 5, 5, 6, 70, 8]
    assert source.account.unreadable == tuple(
        str(tmp_path / "tables" / f"x.arrow[{row}]") for row in (3, 4)
    )


def test_tables_are_prepared_like_folders(tmp_path):
    write_parquet(tmp_path / "in/train.parquet", table(range(6), [0, 1] * 3, names=NAMES))
    write_parquet(tmp_path / "in/test.parquet", table(range(9, 11), [0, 1], names=NAMES))
    data.prepare(tmp_path / "in", tmp_path / "made", show_progress=False)
    made = opened(tmp_path / "made", "train")
    assert sorted(greys(made)) == [*range(6)] and made.class_names == tuple(NAMES)


def test_archives_beside_images_are_the_data_where_they_outnumber_them(tmp_path):
    write_tar(tmp_path / "train" / "0.tar", tarred(range(5)))
    (tmp_path / "docs").mkdir()
    (tmp_path / "docs" / "a.png").write_bytes(picture(77))
    assert greys(opened(tmp_path, "all")) == [77]
    write_tar(tmp_path / "train" / "1.tar", tarred([9]))
    assert sorted(greys(opened(tmp_path, "train"))) == [*range(5), 9]
    (tmp_path / "docs" / "b.png").write_bytes(picture(78))
    assert greys(opened(tmp_path, "all")) == [77, 78]


@pytest.mark.parametrize("inside", ["", "data", "train"])
def test_tables_of_images_come_before_a_picture_beside_them(tmp_path, inside):
    for name in ("a.png", "b.png", "c.png"):
        (tmp_path / name).write_bytes(picture(77))
    write_parquet(tmp_path / "about_train.parquet", pyarrow.table({"n": [1]}))
    assert greys(opened(tmp_path, "all")) == [77, 77, 77]
    (tmp_path / "about_train.parquet").unlink()
    write_parquet(tmp_path / inside / "train-0.parquet", table(range(4)))
    source = opened(tmp_path, "train")
    assert sorted(greys(source)) == [*range(4)]
    said = f"left out beside the shards of {tmp_path}: 3 images such as a.png"
    assert said in data.account_of(source).notes


def test_a_table_without_images_says_something_of_the_images_beside_it(tmp_path):
    (tmp_path / "a.png").write_bytes(picture(77))
    write_parquet(tmp_path / "metadata.parquet", pyarrow.table({"file_name": ["a.png"], "n": [1]}))
    assert greys(opened(tmp_path, "all")) == [77]


def arrow(folder, name, rows):
    write_arrow(folder / name, rows)


BAD = {
    "several kinds": (
        lambda at: (write_tar(at / "a.tar", tarred([1])), write_arrow(at / "b.arrow", table([1]))),
        r"must hold shards of one kind; got \.arrow and \.tar\. Name the folder of one",
    ),
    "a stray one": (
        lambda at: (arrow(at, "train.arrow", table([1])), arrow(at, "more.arrow", table([1]))),
        "must all name their splits, or none; got more.arrow beside those of train",
    ),
    "no images": (
        lambda at: arrow(at, "x.arrow", pyarrow.table({"text": ["a"], "n": [1]})),
        r"must have a column of image files.*got the columns text \(string\), n \(int64\)",
    ),
    "no row": (lambda at: arrow(at, "x.arrow", table([])), "must hold images; got none in 1 files"),
    "other columns": (
        lambda at: (arrow(at, "a.arrow", table([1])), arrow(at, "b.arrow", table([1], image="x"))),
        "must have the same columns; got x and None in .*b.arrow, image and None in .*a.arrow",
    ),
    "no arrow": (lambda at: (at / "x.arrow").write_bytes(b"nothing"), "must be a whole Arrow file"),
    "no parquet": (
        lambda at: (at / "x.parquet").write_bytes(b"no"), "must be a whole Parquet file"),
    "half an archive": (
        lambda at: (at / "x.tar").write_bytes(b"x" * 700), "must be a whole tar archive"),
    "a label without a name": (
        lambda at: arrow(at, "x.arrow", table([1, 2], [0, 5], names=NAMES)),
        "labels must be below the number of class names, 3; got 5",
    ),
    "broken json": (
        lambda at: write_tar(at / "x.tar", {"a.png": picture(1), "a.json": b"{"}),
        r"the \.json of .*a\.png must be JSON",
    ),
    "a list": (
        lambda at: write_tar(at / "x.tar", {"a.png": picture(1), "a.json": b"[]"}),
        r"the \.json of .*a\.png must be an object; got list",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BAD)
def test_bad_shards_are_refused(tmp_path, case):
    write, message = BAD[case]
    write(tmp_path)
    with pytest.raises(ValueError, match=message):
        opened(tmp_path, "all")


def test_labels_count_the_classes_of_all_splits(tmp_path):
    arrow(tmp_path, "train.arrow", table([1, 2], [30, 10]))
    arrow(tmp_path, "test.arrow", table([3, 4], [20, 30]))
    train, test = opened(tmp_path, "train"), opened(tmp_path, "test")
    assert train.class_names == test.class_names == ("10", "20", "30")
    assert (classes(train), classes(test)) == (["30", "10"], ["20", "30"])
    np.testing.assert_array_equal(train.source.labels, [2, 0])
