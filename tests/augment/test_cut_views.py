"""Views whose crops the host has made: the rest of the view, and nothing but it."""

import dataclasses

import jax
import numpy as np
import pytest

from jaxssl import cropping
from jaxssl.augment import policies

SIZE = 6
WHOLE = {"crop_scale": (1.0, 1.0), "crop_ratio": (1.0, 1.0)}
VIEW = policies.View(SIZE, **WHOLE, blur_prob=0.7, solarize_prob=0.3)
FLIP = policies.CropFlip(SIZE, **WHOLE)
CALM = policies.View(SIZE, **WHOLE, jitter_prob=0.0, grayscale_prob=0.0, blur_prob=0.0)
PAIRS = {
    "two draws of one": policies.Pair(CALM),
    "other probabilities": policies.Pair(VIEW, dataclasses.replace(VIEW, blur_prob=0.1)),
    "another crop": policies.Pair(CALM, dataclasses.replace(CALM, interpolation="cubic")),
}


def images(count):
    return np.random.default_rng(0).integers(0, 256, (count, SIZE, SIZE, 3), np.uint8)


def cut(asked, pixels):
    """What the host sends where the crops are these images."""
    ends = np.cumsum([crop.count for crop in asked])[:-1]
    return cropping.Crops(tuple(np.split(pixels, ends)))


def split(count, key):
    return jax.random.split(key, count)


@pytest.mark.parametrize("view", [FLIP, VIEW], ids=["CropFlip", "View"])
def test_a_view_of_its_crop_is_the_view_that_cuts_out_the_whole_image(view, key):
    (pixels,) = images(1)
    crops = cut(view.host_crops(), pixels[None])
    np.testing.assert_array_equal(jax.jit(view)(key, crops), jax.jit(view)(key, pixels))


@pytest.mark.parametrize("pair", PAIRS.values(), ids=PAIRS)
def test_each_view_of_a_pair_has_its_own_crop(pair, key):
    pixels = images(2)
    made = jax.jit(pair.pair)(key, cut(pair.host_crops(), pixels))
    views = pair.first, pair.second or pair.first
    for view, one_key, image, found in zip(views, jax.random.split(key), pixels, made, strict=True):
        np.testing.assert_allclose(found, jax.jit(view)(one_key, image), atol=1e-6)


def test_one_view_of_a_pair_is_made_of_the_first_crop(key):
    pair, pixels = policies.Pair(FLIP), images(2)
    np.testing.assert_array_equal(pair(key, cut(pair.host_crops(), pixels)), pair(key, pixels[0]))


def test_each_view_of_a_multi_crop_has_its_own_crop(key):
    augment = policies.MultiCrop(PAIRS["two draws of one"], CALM, num_local=3)
    pixels = images(5)
    made = jax.jit(augment)(key, cut(augment.host_crops(), pixels))
    keys = [each for part in zip((2, 3), jax.random.split(key)) for each in split(*part)]
    expected = map(jax.jit(CALM), keys, pixels)
    found = np.concatenate([made["global"], made["local"]])
    np.testing.assert_allclose(found, np.stack(list(expected)), atol=1e-6)


def test_what_is_asked_of_the_host_are_the_crops_of_the_views():
    first, local = policies.swav().host_crops()
    assert first == (224, (0.14, 1.0), (3 / 4, 4 / 3), "linear", 2) and first.varies
    assert local[:2] == (96, (0.05, 0.14)) and local.count == 6
    assert [crop.count for crop in policies.swav(num_local=0).host_crops()] == [2]
    (fixed,) = policies.CropFlip.fixed_scale(8, image_size=10).host_crops()
    assert not fixed.varies


def test_a_view_that_is_given_two_crops_says_who_should_make_them(key):
    with pytest.raises(ValueError, match=r"one crop, its own; got 2\..* --data\.crops device\."):
        VIEW(key, cropping.Crops((images(2),)))
