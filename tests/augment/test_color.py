import colorsys

import augment_reference as reference
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.augment import color


@pytest.fixture
def image():
    return np.random.default_rng(1).random((6, 5, 3)).astype(np.float32)


def image_mean(image):
    return jnp.asarray(image).mean(axis=(0, 1))


@pytest.mark.parametrize("channels", [1, 3, 4])
def test_brightness_and_contrast_equal_the_loops(channels):
    image = np.random.default_rng(2).random((4, 5, channels)).astype(np.float32)
    bright = color.apply(jnp.asarray(image), color.brightness(1.4, channels=channels))
    np.testing.assert_allclose(bright, reference.brightness(image, 1.4), atol=1e-6)
    flat = color.apply(jnp.asarray(image), color.contrast(0.3, image_mean(image)))
    np.testing.assert_allclose(flat, reference.contrast(image, 0.3), atol=1e-6)


@pytest.mark.parametrize("factor", [0.0, 0.4, 1.0, 1.7])
def test_saturation_equals_the_loops(image, factor):
    out = color.apply(jnp.asarray(image), color.saturation(factor))
    np.testing.assert_allclose(out, reference.saturation(image, factor), atol=1e-6)


@pytest.mark.parametrize("shift", [-0.2, 0.05, 0.5])
def test_hue_equals_the_loops(image, shift):
    out = color.apply(jnp.asarray(image), color.hue(shift))
    np.testing.assert_allclose(out, reference.hue_yiq(image, shift), atol=2e-6)


def test_grayscale_equals_the_loops(image):
    out = color.apply(jnp.asarray(image), color.grayscale())
    np.testing.assert_allclose(out, reference.grayscale(image), atol=1e-6)


def test_one_map_equals_the_sequence_of_operations(image):
    chain = color.brightness(1.3, channels=3)
    chain = color.compose(color.contrast(0.6, color.transform(chain, image_mean(image))), chain)
    chain = color.compose(color.saturation(1.5), chain)
    chain = color.compose(color.hue(0.13), chain)
    expected = reference.contrast(reference.brightness(image, 1.3), 0.6)
    expected = reference.hue_yiq(reference.saturation(expected, 1.5), 0.13)
    np.testing.assert_allclose(color.apply(jnp.asarray(image), chain), expected, atol=3e-6)


def test_compose_applies_the_inner_map_first(image):
    """The jitters commute with each other, so the order needs maps that do not."""
    draws = np.random.default_rng(5).normal(size=(2, 3, 4)).astype(np.float32)
    inner, outer = (color.Affine(jnp.asarray(d[:, :3]), jnp.asarray(d[:, 3])) for d in draws)
    expected = color.apply(color.apply(jnp.asarray(image), inner), outer)
    composed = color.apply(jnp.asarray(image), color.compose(outer, inner))
    np.testing.assert_allclose(composed, expected, atol=2e-5)


@pytest.mark.parametrize("shift", [0.03, 0.2, 0.5])
def test_hue_keeps_luma_and_greys(image, shift):
    out = np.asarray(color.apply(jnp.asarray(image), color.hue(shift)))
    np.testing.assert_allclose(out @ color.LUMA, image @ color.LUMA, atol=1e-6)
    grey = jnp.full((2, 2, 3), 0.4)
    np.testing.assert_allclose(color.apply(grey, color.hue(shift)), grey, atol=1e-6)


@pytest.mark.parametrize("shift", [-0.02, 0.02, 0.05])
def test_hue_advances_hsv_hue_about_as_far_and_the_same_way(shift):
    image = np.random.default_rng(3).random((12, 12, 3)).astype(np.float32)

    def hsv_hue(pixels):
        return np.array([colorsys.rgb_to_hsv(*pixel)[0] for pixel in pixels.reshape(-1, 3)])

    turned = np.asarray(color.apply(jnp.asarray(image), color.hue(shift)), np.float64)
    # A shift of HSV hue itself measures 1 here, so this also checks the measure.
    exact = (hsv_hue(reference.hue_hsv(image, shift)) - hsv_hue(image) + 0.5) % 1.0 - 0.5
    np.testing.assert_allclose(exact / shift, 1.0, atol=1e-5)
    advance = ((hsv_hue(turned) - hsv_hue(image) + 0.5) % 1.0 - 0.5) / shift
    assert 0.6 < advance.min() and advance.max() < 1.7
    assert abs(advance.mean() - 1) < 0.15


def test_zero_hue_and_unit_factors_are_the_identity(image):
    for affine in (
        color.hue(0.0),
        color.saturation(1.0),
        color.brightness(1.0, channels=3),
        color.contrast(1.0, image_mean(image)),
    ):
        np.testing.assert_array_equal(affine.matrix, np.eye(3))
        np.testing.assert_array_equal(affine.bias, np.zeros(3))


def test_select_takes_the_map_or_the_identity(image):
    affine = color.contrast(0.5, image_mean(image))
    taken = color.select(jnp.array(True), affine)
    left = color.select(jnp.array(False), affine)
    np.testing.assert_array_equal(color.apply(jnp.asarray(image), left), image)
    np.testing.assert_array_equal(taken.matrix, affine.matrix)
    np.testing.assert_array_equal(taken.bias, affine.bias)


@pytest.mark.parametrize("dtype", [jnp.float16, jnp.bfloat16, jnp.float32])
def test_floating_images_become_float32(dtype):
    out = color.to_float(jnp.full((1, 1, 1), 0.5, dtype))
    assert out.dtype == jnp.float32 and out[0, 0, 0] == 0.5


def test_bytes_become_the_unit_interval():
    out = color.to_float(jnp.array([0, 51, 255], jnp.uint8))
    np.testing.assert_allclose(out, [0, 0.2, 1], atol=1e-7)
    assert out.dtype == jnp.float32


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 1.0])
def test_solarisation_inverts_from_the_threshold_on(image, threshold):
    image[0, 0], image[1, 1], image[2, 2] = 0.5, 1.0, 0.0
    out = color.solarize(jnp.asarray(image), threshold)
    np.testing.assert_allclose(out, reference.solarize(image, threshold), atol=1e-7)
    assert out.dtype == jnp.float32


def test_other_dtypes_are_refused():
    with pytest.raises(TypeError) as error:
        color.to_float(jnp.zeros((2, 2, 3), jnp.int32))
    assert str(error.value) == (
        "to_float: an image must be uint8 in [0, 255] or floating in [0, 1]; got int32. "
        "Cast it with astype(jnp.uint8)."
    )


def test_gradients_pass_through_the_map(image):
    gradient = jax.grad(lambda x: color.apply(x, color.hue(0.1)).sum())(jnp.asarray(image))
    assert np.isfinite(gradient).all()
