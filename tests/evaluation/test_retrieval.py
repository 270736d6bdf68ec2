"""Retrieval beside scikit-learn and loops: whole rankings, in blocks."""

import json

import numpy as np
import pytest
import sklearn.metrics

from jaxssl.evaluation import retrieval


def splits(seed=0, train=90, test=31, classes=4, dim=6):
    random = np.random.default_rng(seed)
    labels = random.integers(0, classes, train), random.integers(0, classes, test)
    means = random.normal(size=(classes, dim))
    features = [means[own] + random.normal(size=(len(own), dim)) for own in labels]
    return features[0], labels[0], features[1], labels[1]


def ranking(train, test):
    normal = [each / np.linalg.norm(each, axis=1, keepdims=True) for each in (train, test)]
    return normal[1] @ normal[0].T


def test_average_precision_is_that_of_scikit_learn(monkeypatch):
    train, train_labels, test, test_labels = splits()
    monkeypatch.setattr(retrieval, "_SIMILARITIES", 90 * 8)  # four blocks, the last not full
    found = retrieval.evaluate(train, train_labels, test, test_labels)
    expected = [
        sklearn.metrics.average_precision_score(train_labels == label, row)
        for label, row in zip(test_labels, ranking(train, test))
    ]
    np.testing.assert_allclose(found.average_precision, expected, rtol=1e-5)
    assert found.mean_average_precision == pytest.approx(np.mean(expected), rel=1e-6)
    spread = np.std(expected, ddof=1) / np.sqrt(len(expected))
    assert found.half_width == pytest.approx(1.96 * spread, rel=1e-3)


def test_recall_and_precision_are_those_of_a_loop():
    train, train_labels, test, test_labels = splits(1)
    found = retrieval.evaluate(train, train_labels, test, test_labels, num_retrieved=(1, 3, 90))
    for k in (1, 3, 90):
        right = [
            [train_labels[row] == label for row in np.argsort(-cosines)[:k]]
            for label, cosines in zip(test_labels, ranking(train, test))
        ]
        assert found.recall[k] == pytest.approx(np.mean([any(each) for each in right]))
        assert found.precision[k] == pytest.approx(np.mean(right))
    assert found.recall[1] == found.precision[1]


def test_classes_apart_are_retrieved_perfectly_and_unknown_ones_never():
    labels = np.arange(40) % 4
    features = np.eye(4)[labels]
    found = retrieval.evaluate(features, labels, features[:8], np.r_[labels[:4], 9, 9, 9, 9])
    np.testing.assert_array_equal(found.average_precision, [1, 1, 1, 1, 0, 0, 0, 0])
    assert found.mean_average_precision == found.recall[10] == 0.5


def test_equals_are_in_training_order_and_count_together():
    features = np.ones((5, 2))
    labels = np.array([1, 0, 0, 0, 1])
    found = retrieval.evaluate(features, labels, features[:1], labels[:1], num_retrieved=(1,))
    expected = sklearn.metrics.average_precision_score(labels, np.ones(5))
    assert found.mean_average_precision == pytest.approx(expected) == 2 / 5
    assert found.recall[1] == 1 and found.half_width == 0


def test_ks_that_do_not_fit_are_left_out_or_refused():
    assert retrieval.RetrievalConfig().fit_to(7).num_retrieved == (1, 5)
    assert retrieval.RetrievalConfig((20,)).fit_to(7).num_retrieved == (20,)
    with pytest.raises(
        ValueError, match=r"num_retrieved must be in \[1, 90\]; got \(91,\)\. There"
    ):
        retrieval.evaluate(*splits(), num_retrieved=(91,))
    with pytest.raises(ValueError, match="num_retrieved must be at least 1"):
        retrieval.RetrievalConfig((0,))
    with pytest.raises(ValueError, match="needs a labelled split"):
        retrieval.evaluate(splits()[0], None, *splits()[2:])


def test_json_holds_every_number():
    found = retrieval.evaluate(*splits())
    values = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert values["k=5"] == {"recall": found.recall[5], "precision": found.precision[5]}
    assert values["mean_average_precision"] == found.mean_average_precision
