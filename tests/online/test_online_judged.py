"""Which images online probes are judged on: never those that the run learns from."""

import dataclasses

import numpy as np
import pytest
import tiny

from jaxssl import data
from jaxssl.online import judged


def images(seed, count):
    return np.random.default_rng(seed).integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)


@dataclasses.dataclass(frozen=True)
class Splits:
    """A data set of some splits, each a seed and a number of images."""

    splits: tuple
    train_split: str = "train"
    test_split: str = "test"

    def open(self, split):
        found = dict(self.splits)
        if split not in found:
            raise ValueError(f"no split {split}")
        seed, count = found[split]
        return data.from_arrays(images(seed, count), np.arange(count) % 3, name=split)


def choose(train_split="train", **splits):
    config = Splits(tuple(splits.items()), train_split)
    return judged.Judged.choose(config, config.open(train_split))


def test_validation_comes_before_the_test_split():
    found = choose(train=(0, 30), validation=(1, 9), test=(2, 8))
    assert (found.split, found.is_test, len(found.images)) == ("validation", False, 9)
    assert found.describe() == "judged on 9 images of validation"
    assert found.to_json() == {
        "split": "validation", "is_test": False, "num_judged": 9, "num_bank": 30,
    }  # fmt: skip


@pytest.mark.parametrize(
    "splits",
    [
        {"train": (0, 30), "test": (2, 8)},  # no validation
        {"train": (0, 30), "validation": (0, 9), "test": (2, 8)},  # a part of what is learned from
        {"train": (0, 30), "validation": (2, 8), "test": (2, 8)},  # the test split by another name
    ],
)
def test_the_test_split_is_said_to_be_one(splits):
    found = choose(**splits)
    assert (found.split, found.is_test, len(found.images)) == ("test", True, 8)
    assert "the test split, since training leaves no validation part" in found.describe()
    assert "--data.train-split fit leaves one" in found.describe()


def test_a_run_that_learns_from_all_images_is_refused():
    with pytest.raises(ValueError, match=r"run.probe: must be judged on images that the run does"):
        choose("all", all=(0, 30), test=(0, 30))


def test_fit_of_a_real_config_leaves_validation(tmp_path):
    path = tmp_path / "tiny.npz"
    labels = np.arange(40) % 4
    np.savez(
        path, train_images=images(0, 40), train_labels=labels,
        test_images=images(1, 8), test_labels=labels[:8],
    )  # fmt: skip
    for split, expected in (("fit", ("validation", 4)), ("train", ("test", 8))):
        config = data.ImageData(str(path), 4, 3, train_split=split)
        found = judged.Judged.choose(config, config.open(split))
        assert (found.split, len(found.images)) == expected


def test_classes_must_be_known():
    config = Splits((("train", (0, 30)), ("test", (1, 8))))
    bare = data.from_arrays(images(0, 30), name="bare")
    with pytest.raises(ValueError, match=r'run.probe: every image of "train" must have a class;'):
        judged.Judged.choose(config, bare)


def test_long_splits_are_sampled_evenly(monkeypatch):
    monkeypatch.setattr(judged, "MAX_JUDGED", 4)
    monkeypatch.setattr(judged, "MAX_BANK", 10)
    found = choose(train=(0, 30), test=(2, 8))
    assert (len(found.images), len(found.bank)) == (4, 10)
    np.testing.assert_array_equal(found.images.columns["image"][-1], images(2, 8)[-1])


def test_batches_are_whole_and_hold_no_label():
    source = data.from_arrays(tiny.images(10), np.arange(10) % 2)
    batches = list(judged.local_batches(source, 4))
    assert [len(batch["image"]) for batch in batches] == [4, 4, 4]
    assert all(batch.keys() == {"image"} for batch in batches)
    joined = np.concatenate([batch["image"] for batch in batches])
    np.testing.assert_array_equal(joined[:10], source.columns["image"])
    np.testing.assert_array_equal(joined[10:], source.columns["image"][[9, 9]])
