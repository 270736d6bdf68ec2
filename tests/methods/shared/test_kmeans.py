"""Spherical k-means against a float64 loop, and where clusters or points are missing."""

import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.methods.shared import kmeans

NUM_POINTS, NUM_CENTROIDS, NUM_FEATURES = 41, 5, 4


@functools.partial(jax.jit, static_argnames=("num_iterations", "block_size"))
def fit(key, points, previous, num_iterations=3, block_size=16):
    return kmeans.fit(key, points, previous, num_iterations=num_iterations, block_size=block_size)


def unit_rows(seed, num_rows):
    rows = np.random.default_rng(seed).normal(size=(num_rows, NUM_FEATURES))
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def nearest_of(point, centroids):
    best, largest = 0, -np.inf
    for number, centroid in enumerate(centroids):
        cosine = sum(a * b for a, b in zip(point, centroid, strict=True))
        if cosine > largest:
            best, largest = number, cosine
    return best


def iterated(points, centroids, num_iterations):
    """The oracle: from given centroids, points of zeros belonging to none."""
    points, centroids = np.asarray(points, np.float64), np.asarray(centroids, np.float64)
    for _ in range(num_iterations):
        members = [[] for _ in centroids]
        for point in points:
            if np.any(point != 0):
                members[nearest_of(point, centroids)].append(point)
        centroids = np.array(
            [
                sum(of_one) / np.sqrt(np.sum(sum(of_one) ** 2)) if of_one else centroid
                for of_one, centroid in zip(members, centroids, strict=True)
            ]
        )
    return centroids


def started(key, points, previous):
    """Where the k-means begins: one iteration on top of it is undone by none."""
    return np.asarray(kmeans._start(key, jnp.asarray(points), jnp.asarray(previous)))


@pytest.mark.parametrize("block_size", [16, 41, 100])
def test_centroids_are_those_of_a_loop_whatever_the_blocks(key, block_size):
    points, previous = unit_rows(0, NUM_POINTS), unit_rows(1, NUM_CENTROIDS)
    points[[3, 40]] = 0
    got = fit(key, points, previous, block_size=block_size)
    expected = iterated(points, started(key, points, previous), 3)
    np.testing.assert_allclose(got, expected, atol=1e-6)
    assert got.dtype == jnp.float32


def test_it_starts_from_different_points_of_the_memory():
    points, previous = unit_rows(0, 8), unit_rows(1, NUM_CENTROIDS)
    points[::2] = 0
    starts = np.stack([started(jax.random.key(seed), points, previous) for seed in range(20)])
    for start in starts:
        filled = {tuple(row) for row in points[1::2]}
        drawn = [tuple(row) for row in start[:4]]
        assert set(drawn) == filled
        np.testing.assert_array_equal(start[4], previous[4])
    assert len({start.tobytes() for start in starts}) > 10


def test_fewer_places_than_centroids_leave_the_rest_as_it_was(key):
    points, previous = unit_rows(0, 3), unit_rows(1, NUM_CENTROIDS)
    start = started(key, points, previous)
    np.testing.assert_array_equal(np.unique(start[:3], axis=0), np.unique(points, axis=0))
    np.testing.assert_array_equal(start[3:], previous[3:])


def test_an_empty_memory_leaves_all_centroids(key):
    previous = unit_rows(1, NUM_CENTROIDS)
    got = fit(key, np.zeros((NUM_POINTS, NUM_FEATURES), np.float32), previous)
    np.testing.assert_array_equal(got, previous)


def test_a_centroid_without_points_stays(key):
    """Twins start two equal centroids; the lower number takes all, the higher one stands."""
    points = np.repeat(np.eye(NUM_FEATURES, dtype=np.float32)[:2], 20, axis=0)
    got = np.asarray(fit(key, points, unit_rows(1, NUM_CENTROIDS)))
    np.testing.assert_array_equal(got, started(key, points, unit_rows(1, NUM_CENTROIDS)))
    assert np.all(np.isfinite(got))


def test_it_finds_separate_clusters(key):
    corners = np.eye(NUM_FEATURES, dtype=np.float32)
    points = np.repeat(corners, 8, axis=0) + 0.05 * unit_rows(2, 32)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    centroids = fit(key, points, unit_rows(1, 12), num_iterations=10)
    chosen = np.asarray(kmeans.nearest(jnp.asarray(points), centroids))
    for number in set(chosen):
        assert len(set(np.flatnonzero(chosen == number) // 8)) == 1
    assert chosen.dtype == np.int32


def test_no_gradient_flows(key):
    points, previous = unit_rows(0, NUM_POINTS), unit_rows(1, NUM_CENTROIDS)
    gradients = jax.jit(
        jax.grad(lambda p, c: jnp.sum(kmeans.fit(key, p, c, num_iterations=2)), argnums=(0, 1))
    )(points, previous)
    assert not any(np.any(gradient) for gradient in gradients)


def test_wrong_arguments_are_named(key):
    points, previous = unit_rows(0, NUM_POINTS), unit_rows(1, NUM_CENTROIDS)
    with pytest.raises(ValueError, match=r"kmeans.fit: points .*equal D; got \(41, 4\) and \(5, 3"):
        kmeans.fit(key, points, previous[:, :3])
    with pytest.raises(ValueError, match=r"kmeans.fit: num_iterations must be at least 1; got 0"):
        kmeans.fit(key, points, previous, num_iterations=0)
    with pytest.raises(ValueError, match=r"kmeans.fit: block_size must be at least 1; got 0"):
        kmeans.fit(key, points, previous, block_size=0)
