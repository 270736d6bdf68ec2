"""Lab against a loop in float64, against scikit-image, and back again."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from skimage import color

from jaxssl import colorspace

STEPS = np.linspace(0, 1, 9)
GRID = np.stack(np.meshgrid(STEPS, STEPS, STEPS), axis=-1).reshape(-1, 3)  # float64 [729, 3]
DARK = np.random.default_rng(0).uniform(0, 0.1, (200, 3))
COLORS = np.concatenate([GRID, DARK])


def lab_of_one(rgb):
    """Lab of one pixel from the formulae, a channel at a time."""
    linear = [c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in rgb]
    red, green, blue = linear
    x = (0.412453 * red + 0.357580 * green + 0.180423 * blue) / 0.95047
    y = (0.212671 * red + 0.715160 * green + 0.072169 * blue) / 1.0
    z = (0.019334 * red + 0.119193 * green + 0.950227 * blue) / 1.08883
    fx, fy, fz = (t ** (1 / 3) if t > 0.008856 else 7.787 * t + 16 / 116 for t in (x, y, z))
    return 116 * fy - 16, 500 * (fx - fy), 200 * (fy - fz)


def test_lab_is_that_of_the_loop_and_of_scikit_image():
    expected = np.array([lab_of_one(rgb) for rgb in COLORS])
    np.testing.assert_allclose(colorspace.rgb_to_lab(COLORS), expected, rtol=0, atol=1e-10)
    np.testing.assert_allclose(color.rgb2lab(COLORS), expected, rtol=0, atol=1e-6)
    ours = colorspace.rgb_to_lab(jnp.asarray(COLORS, jnp.float32))
    assert ours.dtype == jnp.float32
    np.testing.assert_allclose(ours, expected, rtol=0, atol=2e-4)


def test_known_colors():
    lab = colorspace.rgb_to_lab(jnp.array([[0.0, 0, 0], [1, 1, 1], [1, 0, 0]]))
    expected = [[0, 0, 0], [100, -0.0025, 0.0047], [53.2408, 80.0925, 67.2032]]
    np.testing.assert_allclose(lab, expected, rtol=0, atol=2e-3)


def test_round_trip():
    lab = colorspace.rgb_to_lab(jnp.asarray(COLORS, jnp.float32))
    np.testing.assert_allclose(colorspace.lab_to_rgb(lab), COLORS, rtol=0, atol=2e-5)
    wide = colorspace.lab_to_rgb(colorspace.rgb_to_lab(COLORS))
    assert wide.dtype == np.float64
    np.testing.assert_allclose(wide, COLORS, rtol=0, atol=1e-5)  # the thresholds have 7 digits
    np.testing.assert_allclose(color.lab2rgb(color.rgb2lab(COLORS)), wide, rtol=0, atol=1e-6)


def test_a_color_that_srgb_lacks_is_clipped():
    rgb = colorspace.lab_to_rgb(jnp.array([[50.0, -100, 0], [100, 60, 0]]))
    np.testing.assert_allclose(rgb, [[0, 0.5905, 0.4579], [1, 0.8135, 1]], rtol=0, atol=1e-3)
    assert rgb.min() >= 0 and rgb.max() <= 1


def test_lightness_is_the_first_channel():
    images = jnp.asarray(COLORS, jnp.float32)
    expected = colorspace.rgb_to_lab(images)[..., :1]
    np.testing.assert_allclose(colorspace.lightness(images), expected, rtol=0, atol=1e-5)
    grey = images[:, :1]
    expected = colorspace.rgb_to_lab(jnp.tile(grey, (1, 3)))[..., :1]
    np.testing.assert_allclose(colorspace.lightness(grey), expected, rtol=0, atol=1e-4)


@pytest.mark.parametrize(
    "function", (colorspace.rgb_to_lab, colorspace.lab_to_rgb, colorspace.lightness)
)
def test_gradients_are_finite_at_black_and_white(function):
    pixels = jnp.array([[0.0, 0, 0], [1, 1, 1], [1, 0, 0], [100, 0, 0]])
    gradient = jax.grad(lambda pixels: function(pixels).sum())(pixels)
    assert np.all(np.isfinite(gradient))


def test_half_precision_is_computed_in_float32():
    assert colorspace.rgb_to_lab(jnp.ones((2, 3), jnp.bfloat16)).dtype == jnp.float32


def test_static_mistakes_are_named():
    with pytest.raises(TypeError, match=r"rgb_to_lab: rgb must be floating; got uint8\. Divide"):
        colorspace.rgb_to_lab(jnp.zeros((2, 3), jnp.uint8))
    with pytest.raises(ValueError, match=r"lab_to_rgb: lab must have 3 channels .* shape \(2, 1\)"):
        colorspace.lab_to_rgb(jnp.zeros((2, 1)))
    with pytest.raises(ValueError, match=r"lightness: images must have 1 or 3 channels in the"):
        colorspace.lightness(jnp.zeros((2, 2)))
