"""Each corruption beside another library's, and what holds for all of them."""

import colorsys

import numpy as np
import pytest
import scipy.ndimage
import tiny
from PIL import Image

from jaxssl.evaluation import corruptions

ROWS = np.arange(4, dtype=np.int32)
KINDS = pytest.mark.parametrize("name", list(corruptions.ALL))


def corrupt(name, images, strength, rows=ROWS, seed=0):
    return np.asarray(corruptions.corrupt(name, images, rows, strength, seed))


def test_there_are_five_kinds_at_five_strengths_and_rotation():
    assert len(corruptions.CORRUPTIONS) == 5
    assert all(len(each.strengths) == 5 for each in corruptions.ALL.values())


@KINDS
def test_an_image_becomes_the_same_in_any_batch_and_worse_with_strength(name):
    images = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), np.uint8)
    strengths = corruptions.ALL[name].strengths
    made = [corrupt(name, images, strength) for strength in strengths]
    assert {each.dtype for each in made} == {np.dtype(np.uint8)}
    alone = corrupt(name, images[2:3], strengths[2], rows=ROWS[2:3])
    np.testing.assert_array_equal(alone[0], made[2][2])
    away = [np.abs(each.astype(float) - images).mean() for each in made]
    assert away[0] > 0.5
    assert away[0] < away[-1] or name == "rotation"
    assert away == sorted(away) or name in ("rotation", "pixelate")


@KINDS
def test_grey_images_are_corrupted_too(name):
    grey = tiny.images(4)[..., :1]
    assert corrupt(name, grey, corruptions.ALL[name].strengths[0]).shape == grey.shape


def test_noise_is_normal_and_follows_the_seed_and_the_row():
    images = np.full((4, 32, 32, 3), 128, np.uint8)
    noise = (corrupt("noise", images, 0.08).astype(float) - 128) / 255
    assert noise.std() == pytest.approx(0.08, rel=0.03) and abs(noise.mean()) < 0.003
    assert not np.array_equal(noise[0], noise[1])
    assert not np.array_equal(
        corrupt("noise", images, 0.08, seed=1), corrupt("noise", images, 0.08)
    )


@pytest.mark.parametrize("deviation", [0.8, 2.0])
def test_blur_is_that_of_scipy(deviation):
    weights = corruptions._blurring(deviation, 16)
    own = deviation * 16 / 32
    expected = scipy.ndimage.gaussian_filter1d(np.eye(16), own, axis=0, mode="reflect", radius=4)
    np.testing.assert_allclose(weights, expected, atol=1e-3)
    np.testing.assert_allclose(weights.sum(axis=1), 1)
    images = tiny.images(4)
    blurred = scipy.ndimage.gaussian_filter(images / 255, own, axes=(1, 2), mode="reflect")
    np.testing.assert_allclose(corrupt("blur", images, deviation), 255 * blurred, atol=1.5)


def test_pixels_are_those_of_pillow():
    images = tiny.images(4)
    small = [Image.fromarray(each).resize((4, 4), Image.Resampling.BOX) for each in images]
    expected = [np.asarray(each.resize((16, 16), Image.Resampling.NEAREST)) for each in small]
    np.testing.assert_allclose(corrupt("pixelate", images, 0.25), expected, atol=1)


def test_contrast_and_brightness_are_those_of_their_formulas():
    images = tiny.images(4)
    scaled = images / 255
    mean = scaled.mean(axis=(1, 2), keepdims=True)
    expected = 255 * np.clip((scaled - mean) * 0.3 + mean, 0, 1)
    np.testing.assert_allclose(corrupt("contrast", images, 0.3), expected, atol=0.51)
    images[0, 0, 0] = 0  # black has no hue
    brighter = corrupt("brightness", images, 0.3)
    for before, after in zip(images.reshape(-1, 3)[::7], brighter.reshape(-1, 3)[::7]):
        hue, saturation, value = colorsys.rgb_to_hsv(*(before / 255))
        expected = 255 * np.array(colorsys.hsv_to_rgb(hue, saturation, min(value + 0.3, 1)))
        np.testing.assert_allclose(after, expected, atol=0.51)


def test_rotation_turns_counter_clockwise():
    images = tiny.images(4)
    np.testing.assert_array_equal(corrupt("rotation", images, 90.0), np.rot90(images, axes=(1, 2)))
    np.testing.assert_array_equal(corrupt("rotation", images, 0.0), images)
    expected = scipy.ndimage.rotate(
        images / 255, 30, axes=(1, 2), reshape=False, order=1, mode="nearest"
    )
    np.testing.assert_allclose(corrupt("rotation", images, 30.0), 255 * expected, atol=1)


def test_strengths_of_a_kind_share_a_program():
    corruptions._corrupt.clear_cache()
    for strength in (0.1, 0.2):
        corrupt("noise", tiny.images(4), strength)
    assert corruptions._corrupt._cache_size() == 1
