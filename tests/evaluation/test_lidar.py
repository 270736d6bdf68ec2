"""LiDAR against loops over images and views, and on spectra that are known."""

import math

import numpy as np
import pytest
import scipy.linalg

from jaxssl.evaluation.lidar import lidar


def rows(seed, *shape):
    return np.random.default_rng(seed).normal(size=shape)


def expected_lidar(views, *, delta, epsilon):
    n, q, size = views.shape
    means = [sum(image) / q for image in views]
    mean = sum(means) / n
    between = sum(np.outer(m - mean, m - mean) for m in means) / (n - 1)
    within = delta * np.eye(size)
    for image, m in zip(views, means):
        for view in image:
            within = within + np.outer(view - m, view - m) / (n * (q - 1))
    root = np.linalg.inv(scipy.linalg.sqrtm(within))
    values = np.linalg.eigvalsh(root @ between @ root)
    share = [value / values.sum() + epsilon for value in values]
    return math.exp(-sum(p * math.log(p) for p in share))


@pytest.mark.parametrize(("delta", "epsilon"), [(1e-4, 1e-7), (0.5, 1e-3)])
def test_matches_the_loops(delta, epsilon):
    views = rows(0, 9, 1, 5) * [3, 2, 1, 1, 0.2] + rows(1, 9, 4, 5) * [0.1, 1, 0.1, 2, 0.1] + 4
    got = lidar(views, delta=delta, epsilon=epsilon)
    np.testing.assert_allclose(got, expected_lidar(views, delta=delta, epsilon=epsilon), rtol=1e-9)


def test_counts_the_directions_in_which_images_differ_beyond_their_views():
    images, noise = np.zeros((4000, 1, 6)), 0.1 * rows(1, 4000, 2, 6)
    images[..., :3] = rows(0, 4000, 1, 3)
    np.testing.assert_allclose(lidar(images + noise), 3, rtol=0.05)
    # What differs as much between views counts little, though it fills as many directions.
    noise[..., 1:3] *= 300
    assert lidar(images + noise) < 1.2
    assert lidar(np.ones((5, 2, 3))) < 1.001  # collapsed


def test_mistakes_are_named():
    with pytest.raises(ValueError, match=r"lidar: views must be \[n, q, D\]; got shape \(4, 3\)"):
        lidar(rows(0, 4, 3))
    with pytest.raises(ValueError, match=r"lidar: num_views must be at least 2; got 1"):
        lidar(rows(0, 4, 1, 3))
    with pytest.raises(ValueError, match=r"lidar: delta must be finite and above 0; got 0"):
        lidar(rows(0, 4, 2, 3), delta=0)
    with pytest.raises(ValueError, match=r"lidar: views must be finite"):
        lidar(np.full((4, 2, 3), np.inf))
