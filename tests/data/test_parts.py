"""The parts of "train" that choices are made on, and how examples are told from each other."""

import numpy as np
import pytest

from jaxssl import data


@pytest.fixture
def npz(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (50, 6, 6, 1), np.uint8)
    np.savez(tmp_path / "a.npz", images=images, labels=np.arange(50) % 4)
    return tmp_path / "a.npz"


def opened(path, *splits, **fields):
    config = data.ImageData(str(path), 6, 1, **fields)
    return [config.open(split) for split in splits]


def check_parts(sources):
    """fit and validation divide train, nine to one, and keep its order."""
    train, fit, validation = ([*source.identities()] for source in sources)
    assert len(validation) == len(train) // 10 and len(fit) + len(validation) == len(train)
    assert set(fit).isdisjoint(validation) and set(fit) | set(validation) == set(train)
    assert [each for each in train if each in set(fit)] == fit
    assert len({source.fingerprint for source in sources}) == 3
    rows = [train.index(each) for each in validation]
    for place, row in enumerate(rows):
        np.testing.assert_array_equal(sources[2][place]["image"], sources[0][row]["image"])
        assert sources[2][place]["label"] == sources[0][row]["label"]
    assert sources[2].num_classes == sources[0].num_classes
    return rows


def test_train_is_divided_in_memory_and_on_disk_alike(npz, tmp_path):
    in_memory = opened(npz, "train", "fit", "validation")
    rows = check_parts(in_memory)
    assert rows not in ([0, 1, 2, 3], [36, 37, 38, 39])  # no cut
    data.prepare(npz, tmp_path / "squares", show_progress=False)
    on_disk = opened(tmp_path / "squares", "train", "fit", "validation")
    assert check_parts(on_disk) == rows
    by_name = opened("tfds:squares", "train", "fit", "validation", data_dir=str(tmp_path))
    assert check_parts(by_name) == rows
    (held,) = opened(tmp_path / "squares", "validation", in_memory=True)
    np.testing.assert_array_equal(
        held.columns["image"], np.stack([one["image"] for one in on_disk[2]])
    )


def test_slices_of_tfds_know_what_they_share(npz, tmp_path):
    data.prepare(npz, tmp_path / "squares", show_progress=False)
    parts = "train[:50%]", "train[50%:]", "train[25%:75%]", "all", "train+test"
    first, second, middle, whole, total = (
        set(source.identities()) for source in opened(tmp_path / "squares", *parts)
    )
    assert len(first) == len(second) == 20 and first.isdisjoint(second)
    assert len(first & middle) == 10 and first < whole and total == whole


def test_a_validation_split_of_its_own_comes_first(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (30, 6, 6, 1), np.uint8)
    np.savez(tmp_path / "b.npz", train_images=images[:20], val_images=images[20:])
    fit, validation = opened(tmp_path / "b.npz", "fit", "validation")
    assert len(fit) == 18
    np.testing.assert_array_equal(validation.columns["image"], images[20:])


def test_one_image_cannot_be_divided(tmp_path):
    np.savez(tmp_path / "c.npz", train_images=np.zeros((1, 6, 6, 1), np.uint8))
    text = r"must hold at least 2 images to be divided into fit and validation; got 1"
    with pytest.raises(ValueError, match=text):
        opened(tmp_path / "c.npz", "fit")
