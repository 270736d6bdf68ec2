import importlib.util

import numpy as np
import pytest

from jaxssl import data
from jaxssl.data import photographs


@pytest.fixture(scope="module")
def sources():
    config = data.ImageData("photographs", 32, 3)
    return {split: config.open(split) for split in photographs.SPLITS}


def test_ten_balanced_classes(sources):
    for split, count in photographs.WINDOWS_PER_CLASS.items():
        source = sources[split]
        assert (
            source.columns["image"].shape == (10 * count, 32, 32, 3)
            and source.columns["image"].dtype == np.uint8
        )
        np.testing.assert_array_equal(np.bincount(source.labels), [count] * 10)
        assert source.class_names[1] == "cat" and source.num_classes == 10


@pytest.mark.parametrize("image_size", [32, 96])
def test_splits_share_no_pixel_and_keep_their_distance(image_size):
    # Painted by hand: which pixels of a textured picture the windows of each split may cover.
    picture = np.random.default_rng(0).integers(0, 256, (300, 451, 3), np.uint8)
    covered = {}
    for split in photographs.SPLITS:
        covered[split] = np.zeros((300, 451), bool)
        tops, lefts = np.nonzero(photographs.allowed(picture, split, image_size))
        for top, left in zip(tops, lefts, strict=True):
            covered[split][top : top + image_size, left : left + image_size] = True
    test_rows, test_columns = np.nonzero(covered["test"])
    assert 0.2 < covered["test"].mean() < 0.26
    reach = photographs.MARGIN
    for top, left in zip(test_rows[::101], test_columns[::101], strict=True):
        near = covered["train"][max(0, top - reach) : top + reach + 1, :]
        assert not near[:, max(0, left - reach) : left + reach + 1].any()
    if image_size == 32:
        assert 0.6 < covered["train"].mean()
    assert covered["train"][299, 0] and covered["train"][0, 450]


@pytest.mark.parametrize("image_size", [20, 96])
def test_other_sizes_are_cut_in_native_pixels(sources, image_size):
    config = data.ImageData("photographs", image_size, 3)
    source = config.open("test")
    assert source.columns["image"].shape == (2500, image_size, image_size, 3)
    assert source.fingerprint == sources["test"].fingerprint != sources["train"].fingerprint
    np.testing.assert_array_equal(source.labels, sources["test"].labels)
    cat = photographs._photographs()[1]
    places = np.lib.stride_tricks.sliding_window_view(cat, (image_size, image_size), axis=(0, 1))
    (row,) = np.nonzero(source.labels == 1)[0][:1]
    first = places[..., 0, 0] == source.columns["image"][row][0, 0]  # the pixel of the corner
    tops, lefts = np.nonzero(first.all(-1))
    window = source.columns["image"][row].transpose(2, 0, 1)
    assert any((places[t, x] == window).all() for t, x in zip(tops, lefts, strict=True))


def test_the_choice_is_repeated_and_no_window_is_drawn_twice(sources):
    again = photographs.cut("train", 32)
    np.testing.assert_array_equal(again, sources["train"].columns["image"])
    cat = again[1500:3000].reshape(1500, -1)
    assert len(np.unique(cat, axis=0)) == 1500


def test_blank_windows_are_left_out(sources):
    deviations = sources["train"].columns["image"].mean(-1).std((1, 2))
    assert deviations.min() >= photographs.MIN_DEVIATION
    assert (deviations < photographs.MIN_DEVIATION + 1).any()


def test_grey_windows(sources):
    source = data.ImageData("photographs", 32, 1).open("test")
    assert source.columns["image"].shape == (2500, 32, 32, 1)
    luma = sources["test"].columns["image"][7] @ np.array([0.299, 0.587, 0.114])
    np.testing.assert_allclose(source.columns["image"][7, ..., 0], luma, atol=1)


def test_windows_must_fit_in_the_blocks():
    with pytest.raises(ValueError, match=r"must be at most 96, .*; got 97\. Take 96"):
        data.ImageData("photographs", 97, 3).open("train")


def test_another_split_is_refused():
    with pytest.raises(
        ValueError, match='split of photographs must be one of train, test, fit, validation; got "a'
    ):
        data.ImageData("photographs", 32, 3).open("all")


def test_a_missing_package_is_named(monkeypatch):
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    photographs._photographs.cache_clear()
    with pytest.raises(ModuleNotFoundError, match=r'no module skimage\. .*install scikit-image"'):
        photographs.open_photographs("train")
