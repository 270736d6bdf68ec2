"""Clusters beside scikit-learn: the iteration, its first centres, and the three scores."""

import itertools
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.cluster
import sklearn.metrics

from jaxssl.evaluation import clustering


def blobs(seed, num, spread=0.1, classes=5, dim=8):
    random = np.random.default_rng(seed)
    labels = np.arange(num) % classes
    means = np.eye(dim)[:classes]
    return means[labels] + spread * random.normal(size=(num, dim)), labels


def test_the_iteration_is_that_of_scikit_learn(monkeypatch):
    rows = np.random.default_rng(0).normal(size=(150, 4)).astype(np.float32)
    monkeypatch.setattr(clustering, "_BLOCK", 64)
    centres, inertia = clustering.improve(
        jnp.asarray(rows), jnp.asarray(rows[:6]), max_iterations=300
    )
    peer = sklearn.cluster.KMeans(6, init=rows[:6], n_init=1, tol=0, algorithm="lloyd").fit(rows)
    np.testing.assert_allclose(centres, peer.cluster_centers_, atol=1e-5)
    assert float(inertia) == pytest.approx(peer.inertia_ / 150, rel=1e-5)


def test_the_iteration_ends_where_it_is_told_and_an_empty_cluster_stays():
    rows = jnp.asarray([[0.0, 1.0], [0.0, 2.0], [1.0, 0.0]])
    first = jnp.asarray([[0.0, 1.5], [1.0, 0.0], [50.0, 50.0]])
    centres, _ = clustering.improve(rows, first, max_iterations=1)
    np.testing.assert_allclose(centres, first, atol=1e-6)


def test_first_centres_are_rows_far_apart():
    rows, labels = blobs(0, 100, spread=1e-3)
    for seed in range(5):
        centres = np.asarray(clustering.draw_centres(jax.random.key(seed), jnp.float32(rows), 5))
        places = [int(np.flatnonzero((np.float32(rows) == each).all(1))[0]) for each in centres]
        assert set(labels[places]) == set(range(5))


def test_classes_apart_are_clusters():
    found = clustering.evaluate(*blobs(0, 100), *blobs(1, 50))
    assert found.nmi == found.ari == found.accuracy == 1.0
    again = clustering.evaluate(*blobs(0, 100), *blobs(1, 50))
    np.testing.assert_array_equal(found.assigned, again.assigned)
    shuffled = np.random.default_rng(0).permutation(blobs(1, 50)[1])
    other = clustering.evaluate(*blobs(0, 100), blobs(1, 50)[0], shuffled)
    np.testing.assert_array_equal(found.assigned, other.assigned)
    assert other.ari < 0.2 and json.dumps(other.to_json(), allow_nan=False)


@pytest.mark.parametrize("seed", range(4))
def test_scores_are_those_of_scikit_learn(seed):
    random = np.random.default_rng(seed)
    labels = random.integers(0, 4, 60)
    clusters = np.where(random.random(60) < 0.6, labels, random.integers(0, 3 + seed, 60))
    table = clustering.contingency(clusters, labels)
    metrics = sklearn.metrics
    expected = metrics.normalized_mutual_info_score(labels, clusters)
    assert clustering.mutual_information(table) == pytest.approx(expected)
    expected = metrics.adjusted_rand_score(labels, clusters)
    assert clustering.rand_index(table) == pytest.approx(expected)
    square = np.zeros((max(table.shape),) * 2, int)
    square[: table.shape[0], : table.shape[1]] = table
    best = max(
        sum(square[row, column] for row, column in enumerate(each))
        for each in itertools.permutations(range(len(square)))
    )
    assert clustering.assignment_accuracy(table) == pytest.approx(best / 60)


def test_one_cluster_of_one_class_agrees():
    table = clustering.contingency(np.zeros(5, int), np.zeros(5, int))
    assert clustering.mutual_information(table) == clustering.rand_index(table) == 1.0


def test_what_cannot_be_clustered_is_named():
    features, labels = blobs(0, 20)
    with pytest.raises(ValueError, match="at least two classes; got only 3"):
        clustering.evaluate(features, np.full(20, 3), features, labels)
    with pytest.raises(ValueError, match=r"num_clusters must be in \[2, 20\]; got 21\. There are"):
        config = clustering.ClusteringConfig(num_clusters=21)
        clustering.evaluate(features, labels, features, labels, config=config)
    for fields in ({"num_clusters": 1}, {"restarts": 0}, {"max_iterations": 0}):
        with pytest.raises(ValueError, match=f"{next(iter(fields))} must be at least"):
            clustering.ClusteringConfig(**fields)
