"""Histograms of oriented gradients against scikit-image, SciPy's Sobel, and a float64 loop."""

import math

import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage

from jaxssl.pretext import hog


def image(channels=1, height=24, width=16):
    return np.random.default_rng(0).uniform(size=(height, width, channels)).astype(np.float32)


def test_gradients_are_sobels_with_reflected_borders():
    picture = image(2)
    for axis, got in enumerate(hog.gradients(jnp.asarray(picture))):
        for channel in range(2):
            expected = ndimage.sobel(np.float64(picture[..., channel]), axis=axis, mode="mirror")
            np.testing.assert_allclose(got[..., channel], expected, rtol=1e-4, atol=1e-5)


def test_histograms_are_those_of_scikit_image():
    """Its gradients are differences of neighbours, 0 at the border, and its angles begin with those
    along the columns."""
    feature = pytest.importorskip("skimage.feature")
    picture = image()[..., 0]
    down, along = np.zeros_like(picture), np.zeros_like(picture)
    down[1:-1] = picture[2:] - picture[:-2]
    along[:, 1:-1] = picture[:, 2:] - picture[:, :-2]
    down, along = jnp.asarray(down)[..., None], jnp.asarray(along)[..., None]
    got = np.asarray(hog.histograms(along, down, cell_size=8, num_bins=9))[:, :, 0]
    expected = feature.hog(
        np.float64(picture), 9, (8, 8), (1, 1), block_norm="L2", feature_vector=False
    )[:, :, 0, 0]
    got = got / np.linalg.norm(got, axis=-1, keepdims=True)
    np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-5)


def test_hog_is_the_loop_of_the_official_code():
    picture = image(3)
    got = hog.hog(jnp.asarray(picture), cell_size=4, num_bins=9)
    assert got.shape == (6, 4, 3, 9) and got.dtype == jnp.float32
    for channel in range(3):
        down, along = (
            ndimage.sobel(np.float64(picture[..., channel]), axis=axis, mode="mirror")
            for axis in range(2)
        )
        for row, column in np.ndindex(6, 4):
            votes = np.zeros(9)
            for y in range(4 * row, 4 * row + 4):
                for x in range(4 * column, 4 * column + 4):
                    phase = math.atan2(along[y, x], down[y, x]) / math.pi * 9
                    votes[math.floor(phase) % 9] += math.hypot(along[y, x], down[y, x])
            expected = votes / np.linalg.norm(votes)
            np.testing.assert_allclose(got[row, column, channel], expected, rtol=1e-4, atol=1e-5)


def test_a_cell_without_an_edge_is_all_0():
    np.testing.assert_array_equal(hog.hog(jnp.full((8, 8, 1), 0.3), cell_size=4), 0)


def test_the_scale_of_a_channel_does_not_matter():
    picture = jnp.asarray(image(2))
    scaled = picture * jnp.array([0.2, 3.0])[None, None] + 0.5
    got, want = hog.hog(scaled, cell_size=8), hog.hog(picture, cell_size=8)
    np.testing.assert_allclose(got, want, atol=2e-3)


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({"cell_size": 5}, r"hog: height and width must be multiples of the cell; got image 24x16"),
        ({"cell_size": 0}, "hog: cell_size must be at least 1; got 0"),
        ({"cell_size": 4, "num_bins": 0}, "hog: num_bins must be at least 1; got 0"),
    ],
)
def test_cells_that_cannot_be_are_refused(options, text):
    with pytest.raises(ValueError, match=text):
        hog.hog(jnp.asarray(image()), **options)
