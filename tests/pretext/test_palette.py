"""Colours that stand for all, against scikit-learn's clusters and a loop over pixels."""

import numpy as np
import pytest
from sklearn import cluster

from jaxssl.pretext import palette


def test_clusters_are_means_of_their_pixels_and_as_good_as_others():
    random = np.random.default_rng(0)
    centres = random.integers(30, 220, (5, 3))
    images = np.clip(centres[random.integers(0, 5, (20, 8, 8))] + random.normal(0, 6, 3), 0, 255)
    images = (images + random.normal(0, 6, images.shape)).clip(0, 255).astype(np.uint8)
    found = palette.fit(images, 5)
    assert np.all(np.diff(found.sum(axis=1)) > 0)
    pixels = images.reshape(-1, 3) / 255
    distances = np.linalg.norm(pixels[:, None] - found[None], axis=-1)
    means = [pixels[distances.argmin(axis=1) == number].mean(axis=0) for number in range(5)]
    np.testing.assert_allclose(found, means, atol=1e-6)
    theirs = cluster.KMeans(5, n_init=10, random_state=0).fit(pixels)
    assert np.sum(distances.min(axis=1) ** 2) < 1.01 * theirs.inertia_
    np.testing.assert_array_equal(palette.fit(images, 5), found)  # the same on every machine


def test_many_greys_of_few_pixels_are_left_where_they_began(monkeypatch):
    """As many clusters as colours: each its own, drawn from a part of the pixels."""
    monkeypatch.setattr(palette, "NUM_PIXELS", 500)
    images = np.repeat(np.arange(0, 250, 50, dtype=np.uint8), 200).reshape(10, 10, 10, 1)
    np.testing.assert_allclose(palette.fit(images, 5)[:, 0], np.arange(0, 250, 50) / 255)


@pytest.mark.parametrize(
    ("num_clusters", "text"),
    [
        (1, "palette.fit: num_clusters must be at least 2; got 1. The paper has 512."),
        (4, "different colours of the images; got 4 clusters of 3 colours. Lower it."),
    ],
)
def test_errors(num_clusters, text):
    images = np.repeat(np.array([0, 9, 200], np.uint8), 12).reshape(1, 6, 6, 1)
    with pytest.raises(ValueError, match=text):
        palette.fit(images, num_clusters)
