"""Data that is no image, or not only: sources of columns, and what batches make of them."""

import re
from pathlib import Path

import numpy as np
import pytest

from jaxssl import data


@pytest.fixture
def tokens():
    return np.random.default_rng(0).integers(0, 100, (20, 7), np.int32)


def test_sequences_are_loaded_in_the_order_of_images(tokens, images):
    sequences = data.Loader(data.from_columns({"tokens": tokens}), batch_size=6, seed=3)
    pictures = data.Loader(data.from_arrays(images), batch_size=6, seed=3)
    for step in (0, 4):
        batch = sequences.batch(step)
        assert batch.keys() == {"tokens", "index"} and batch["tokens"].dtype == np.int32
        np.testing.assert_array_equal(batch["index"], pictures.batch(step)["index"])
        np.testing.assert_array_equal(batch["tokens"], tokens[batch["index"]])


def test_images_stay_with_their_captions_and_labels(tokens, images, labels):
    columns = {"image": images, "caption": tokens, "label": labels}
    source = data.from_columns(columns, class_names=tuple("abcd"), name="birds")
    assert (len(source), source.name, source.num_classes) == (20, "birds", 4)
    batch = data.Loader(source, batch_size=6, seed=0).batch(2)
    assert batch.keys() == {"image", "caption", "index"}
    np.testing.assert_array_equal(batch["image"], images[batch["index"]])
    np.testing.assert_array_equal(batch["caption"], tokens[batch["index"]])
    walked = list(data.batches(source, 8))
    for name, column in columns.items():
        np.testing.assert_array_equal(np.concatenate([part[name] for part in walked]), column)
    record = source[7]
    np.testing.assert_array_equal(record["caption"], tokens[7])
    assert record["label"] == 3 and isinstance(record["label"], int)
    np.testing.assert_array_equal(
        source.subset(np.array([4, 9])).columns["caption"], tokens[[4, 9]]
    )


def test_only_the_image_is_fitted(tokens, images):
    source = data.from_columns({"image": images, "caption": tokens})
    fitted = source.fit_images(image_size=9, channels=3)
    assert fitted.columns["image"].shape == (20, 9, 9, 3)
    assert fitted.columns["caption"] is tokens and fitted.fingerprint == source.fingerprint


def test_an_example_is_told_by_every_column_but_its_label(tokens, images, labels):
    columns = {"image": images, "caption": tokens}
    found = data.from_columns(columns).identities()
    assert len(set(found)) == 20
    assert data.from_columns(columns | {"label": labels}).identities() == found
    other = data.from_columns(columns | {"caption": tokens[::-1]}).identities()
    assert set(found).isdisjoint(other)


def test_fingerprint_sees_names_types_and_content_and_no_order(tokens, images, labels):
    columns = {"a": tokens, "b": tokens + 1}
    others = [
        columns,
        {"a": tokens, "c": tokens + 1},
        {"a": tokens + 1, "b": tokens},
        {"a": tokens.astype(np.uint32), "b": tokens + 1},
        columns | {"label": labels},
    ]
    assert len({data.from_columns(each).fingerprint for each in others}) == 5
    backwards = dict(reversed(columns.items()))
    assert data.from_columns(backwards).fingerprint == data.from_columns(columns).fingerprint
    whole = data.from_arrays(images, labels).fingerprint
    assert data.from_columns({"image": images, "label": labels}).fingerprint == whole


def test_fingerprints_of_images_never_change():
    """They are in the records of runs. Made once with sha256 of the shape, pixels and labels."""
    source = data.from_arrays(np.arange(24, dtype=np.uint8).reshape(2, 2, 2, 3), np.array([1, 0]))
    assert source.fingerprint.startswith("89bc2f55773fe6a6")


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({}, r'must have a column other than "label", .* got no column\.$'),
        ({"label": np.arange(3)}, r'other than "label", .* got label\.$'),
        (
            {"x": np.zeros(3, "u1"), "index": np.arange(3, dtype="i4")},
            r'named "index", .*; got x, ',
        ),
        (
            {"x": np.array(["a", "b"])},
            r'the column "x" of arrays must be numbers; got str.*Pad seq',
        ),
        ({"x": np.zeros((3, 2), np.int64)}, r"32 bits or fewer; got int64\. .*astype\(np\.int32\)"),
        ({"x": np.zeros((3, 2))}, r"got float64\. Convert it with astype\(np\.float32\)"),
        ({"x": np.zeros((0, 2), "f4")}, r"must be \[N, \.\.\.\] and not empty; got \[0, 2\]"),
        ({"x": np.float32(1)}, r"and not empty; got \[\]"),
        (
            {"x": np.zeros((3, 2), "f4"), "y": np.zeros((4, 2), "f4")},
            r'a row for each example; got 3 of "x" and 4 of "y"',
        ),
        ({"image": np.zeros((3, 4, 4, 3), "f4")}, r"from_columns: images of arrays must be uint8"),
        ({"x": np.zeros(3, "f4"), "label": np.arange(2)}, r"got 3 examples and 2 labels"),
    ],
)
def test_wrong_columns_say_what_is_missing(columns, message):
    with pytest.raises(ValueError, match=message) as raised:
        data.from_columns(columns)
    assert "\n" not in str(raised.value)


def test_the_config_of_the_guide_opens_its_text(tmp_path):
    guide = Path(__file__).parents[2] / "docs" / "data.md"
    blocks = re.findall(r"```python\n(.*?)```", guide.read_text(), re.DOTALL)
    (code,) = (block for block in blocks if "class TextData" in block)
    names = {"__name__": "guide"}
    exec(code, names)
    np.save(tmp_path / "train.npy", np.arange(30, dtype=np.int32))
    config = names["TextData"](str(tmp_path), length=4)
    source = config.matching([]).open(config.train_split)
    assert len(source) == 7 and source.name == "text"
    assert source[6]["tokens"].tolist() == [24, 25, 26, 27]
    assert data.Loader(source, batch_size=2, seed=0).batch(0)["tokens"].shape == (2, 4)
