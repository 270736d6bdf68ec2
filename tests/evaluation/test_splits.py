"""No accuracy is measured on images that the probe was fitted to, or without labels."""

import dataclasses
import json

import numpy as np
import pictures
import pytest

from jaxssl import data, inputs, named
from jaxssl.evaluation import knn, preparation, splits
from jaxssl.evaluation.subject import Subject


@pytest.fixture
def config(tmp_path):
    """Two hundred images of noise with labels that say nothing of them, as a single set."""
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (200, 8, 8, 3), np.uint8)
    np.savez(tmp_path / "noise.npz", images=images, labels=np.arange(200) % 4)
    return data.ImageData(str(tmp_path / "noise.npz"), image_size=8, channels=3)


def test_a_probe_of_noise_is_at_chance_whatever_pretraining_learned_from(config):
    # Pretrained on "all": a probe fitted to the same would know every test image.
    config = dataclasses.replace(config, train_split="all")
    recorded = json.loads(json.dumps(named.to_json(config)))
    meta = {"config": {"data": recorded}, "image_size": 8, "channels": 3}
    opened = splits.open_splits(meta)
    assert (opened.train_name, opened.test_name) == ("train", "test")
    splits.check(opened)
    leaking = splits.open_splits(meta, train_split="all")

    def accuracy(opened):
        sets = [
            (source.columns["image"].reshape(len(source), -1) - 127.5, source.labels)
            for source in (opened.train, opened.test)
        ]
        (result,) = knn.evaluate(*sets[0], *sets[1], num_neighbors=(1,))
        return result.accuracy

    assert accuracy(opened) < 0.5 and accuracy(leaking) == 1.0  # chance 0.25, of 40 images
    with pytest.raises(ValueError, match=r'share no image; got 100 % of "test" of .* in "all"'):
        splits.check(leaking)


@pytest.mark.parametrize(
    ("train", "test", "share"),
    [
        ("train", "test", 0),
        ("fit", "validation", 0),
        ("fit", "test", 0),
        ("train", "validation", 1),
        ("train", "train", 1),
        ("test", "all", 0.2),
    ],
)
def test_what_splits_share(config, train, test, share):
    opened = splits.choose(config, train_split=train, test_split=test)
    assert splits.shared_part(opened.train, opened.test) == pytest.approx(share)
    if share:
        with pytest.raises(ValueError, match=rf'got {100 * share:.0f} % of "{test}"'):
            splits.check_disjoint(opened)


def test_images_without_a_class_are_named(tmp_path):
    pictures.write_pictures(tmp_path / "cat", 6)
    pictures.write_pictures(tmp_path / "dog", 6)
    (tmp_path / "cat" / "00.png").rename(tmp_path / "stray.png")
    opened = splits.choose(data.ImageData(str(tmp_path), 8, 3))
    message = r"without labels, since no class folder holds 1 image, stray\.png\. Name a labelled"
    with pytest.raises(ValueError, match=message):
        splits.check(opened)


def test_a_link_to_the_training_images_is_no_test_split(tmp_path):
    pictures.write_pictures(tmp_path / "elsewhere" / "cat", 3)
    pictures.write_pictures(tmp_path / "set" / "train" / "dog", 3)
    (tmp_path / "set" / "train" / "cat").symlink_to(tmp_path / "elsewhere" / "cat")
    (tmp_path / "set" / "val").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ValueError, match=r'share no image; got 100 % of "test"'):
        splits.check(splits.choose(data.ImageData(str(tmp_path / "set"), 8, 3)))


def test_a_split_without_labels_is_named():
    images = np.random.default_rng(0).integers(0, 256, (8, 4, 4, 3), np.uint8)
    labelled = data.from_arrays(images[:4], np.arange(4), name="birds")
    bare = data.from_arrays(images[4:], name="birds")
    text = r'got the split "unlabelled" of birds without labels. Name a labelled split with --tr'
    with pytest.raises(ValueError, match=text):
        splits.check(splits.Splits(bare, labelled, "unlabelled", "test"))
    hidden = dataclasses.replace(
        labelled, columns={"image": images[4:], "label": -np.ones(4, np.int32)}
    )
    text = r'at least 0; got -1 in the split "test" of birds.*another with --test-split'
    with pytest.raises(ValueError, match=text):
        splits.check(splits.Splits(labelled, hidden, "train", "test"))


def test_images_that_others_stand_in_for_are_counted(tmp_path):
    for split, count in (("train", 5), ("test", 4)):
        pictures.write_pictures(tmp_path / split / "cat", count)
    (tmp_path / "test" / "cat" / "02.png").write_bytes(b"nope")
    opened = splits.choose(data.ImageData(str(tmp_path), 8, 3))
    for source in (opened.train, opened.test):
        assert sum(len(batch["label"]) for batch in data.batches(source, 2)) == len(source)
    fed = (inputs.Input("image", (8, 8, 3), "uint8"),)
    protocol = preparation.protocol_of(opened, fed, subject=Subject())
    assert protocol["test_unreadable"] == 1 and "train_unreadable" not in protocol


def test_labels_that_are_not_known_beforehand_are_read():
    labels = np.arange(300, dtype=np.int32) % 7
    source = data.from_arrays(np.zeros((300, 2, 2, 1), np.uint8), labels)
    assert splits.labels_of(source) is source.labels

    class Records:
        def __len__(self):
            return len(source)

        def __getitem__(self, index):
            return source[index]

    np.testing.assert_array_equal(splits.labels_of(Records()), labels)
