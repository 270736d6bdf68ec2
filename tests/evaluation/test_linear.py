import json

import numpy as np
import pytest
import sklearn.datasets
import sklearn.linear_model

from jaxssl.evaluation import linear

SHORT = linear.LinearConfig(l2_grid=(1e-1, 1e-2, 1e-3))


@pytest.fixture(scope="module")
def digits():
    images, labels = sklearn.datasets.load_digits(return_X_y=True)
    return images[:500], labels[:500], images[500:800], labels[500:800]


@pytest.fixture(scope="module")
def probed(digits):
    return linear.fit(*digits, config=SHORT)


def test_accuracy_is_that_of_scikit_learn_at_the_same_penalty(digits, probed):
    train, train_labels, test, test_labels = digits
    peer = sklearn.linear_model.LogisticRegression(
        C=1 / (len(train) * probed.l2), tol=1e-8, max_iter=20000
    ).fit((train - probed.mean) * probed.scale, train_labels)
    standardised = (test - probed.mean) * probed.scale
    assert probed.converged
    assert probed.test_accuracy == pytest.approx(peer.score(standardised, test_labels), abs=1e-4)
    np.testing.assert_array_equal(probed.predictions, peer.predict(standardised))


def test_held_out_accuracies_are_those_of_scikit_learn(digits, probed):
    train, train_labels, _, _ = digits
    held_out = linear._hold_out(train_labels, SHORT.holdout, seed=0)
    mean, deviation = train[~held_out].mean(axis=0), train[~held_out].std(axis=0)
    standardised = (train - mean) / np.where(deviation == 0, np.inf, deviation)
    for candidate in probed.candidates:
        peer = sklearn.linear_model.LogisticRegression(
            C=1 / (np.sum(~held_out) * candidate.l2), tol=1e-6, max_iter=20000
        ).fit(standardised[~held_out], train_labels[~held_out])
        expected = peer.score(standardised[held_out], train_labels[held_out])
        assert candidate.holdout_accuracy == pytest.approx(expected, abs=1e-4)


def test_the_strongest_of_the_best_candidates_is_chosen(probed):
    accuracies = [candidate.holdout_accuracy for candidate in probed.candidates]
    strengths = [candidate.l2 for candidate in probed.candidates]
    assert strengths == sorted(strengths, reverse=True)
    assert probed.l2 == strengths[accuracies.index(max(accuracies))]


def test_test_labels_change_nothing_but_the_score(digits, probed):
    train, train_labels, test, test_labels = digits
    shuffled = np.random.default_rng(0).permutation(test_labels)
    other = linear.fit(train, train_labels, test, shuffled, config=SHORT)
    np.testing.assert_array_equal(other.weights, probed.weights)
    np.testing.assert_array_equal(other.predictions, probed.predictions)
    assert other.candidates == probed.candidates
    assert other.test_accuracy == np.mean(probed.predictions == shuffled)


def test_test_features_do_not_reach_the_fit(digits, probed):
    train, train_labels, test, test_labels = digits
    other = linear.fit(train, train_labels, 5 * test[:9] + 3, test_labels[:9], config=SHORT)
    np.testing.assert_array_equal(other.weights, probed.weights)
    np.testing.assert_array_equal(other.mean, probed.mean)


def test_shuffled_training_labels_give_chance(digits):
    train, train_labels, test, test_labels = digits
    shuffled = np.random.default_rng(0).permutation(train_labels)
    result = linear.fit(train, shuffled, test, test_labels, config=SHORT)
    assert abs(result.test_accuracy - 0.1) < 0.06


def test_separable_classes_are_read_perfectly():
    labels = np.arange(120) % 3
    features = 8.0 * np.eye(3)[labels] + np.random.default_rng(0).normal(size=(120, 3))
    result = linear.fit(features[:90], labels[:90], features[90:], labels[90:])
    assert result.test_accuracy == result.train_accuracy == 1.0
    assert 0 < result.half_width < 0.07
    np.testing.assert_array_equal(result.per_class, [1, 1, 1])


def test_scale_and_offset_of_a_feature_do_not_matter(digits, probed):
    train, train_labels, test, test_labels = digits
    other = linear.fit(40 * train - 7, train_labels, 40 * test - 7, test_labels, config=SHORT)
    np.testing.assert_allclose(other.weights, probed.weights, atol=1e-3)


def test_constant_features_are_ignored(digits, probed):
    train, train_labels, test, test_labels = digits
    constant, other_value = np.full((len(train), 1), 0.1), np.full((len(test), 1), 1e3)
    result = linear.fit(
        np.hstack([train, constant]),
        train_labels,
        np.hstack([test, other_value]),
        test_labels,
        config=SHORT,
    )
    assert result.num_constant == probed.num_constant + 1
    assert result.test_accuracy == probed.test_accuracy


def test_an_unfinished_fit_is_told(digits):
    config = linear.LinearConfig(l2_grid=(1e-2,), max_iterations=1)
    result = linear.fit(*digits, config=config)
    assert not result.converged
    assert not result.to_json()["certificate"]["converged"]


def test_the_grid_grows_at_its_edges(digits):
    config = linear.LinearConfig(l2_grid=(10.0,))
    weak = linear.fit(*digits, config=config)
    assert len(weak.candidates) > 1
    assert weak.l2 < 10.0
    assert not weak.at_edge


def test_the_grid_stays_as_it_is_where_it_may_not_grow(digits):
    config = linear.LinearConfig(l2_grid=(10.0,), extend=False)
    result = linear.fit(*digits, config=config)
    assert [candidate.l2 for candidate in result.candidates] == [10.0]
    assert result.at_edge


def test_strengths_all_equally_good_end_at_the_edge_and_say_so():
    labels = np.arange(200) % 2
    # No strength is better than another: the strongest of equals, at the limit, is chosen.
    features = 9.0 * labels[:, None] + np.arange(200)[:, None] / 200
    result = linear.fit(features, labels, features, labels, config=SHORT)
    assert result.l2 == pytest.approx(10.0)
    assert result.at_edge


def test_labels_may_skip_numbers_and_the_test_split_may_have_more():
    labels = np.array([3, 8] * 30)
    features = labels[:, None] + np.random.default_rng(0).normal(size=(60, 1)) / 10
    test_labels = np.array([3, 8, 5])
    result = linear.fit(features, labels, test_labels[:, None].astype(float), test_labels)
    assert result.num_classes == 2
    assert set(result.predictions) == {3, 8}
    assert result.test_accuracy == pytest.approx(2 / 3)


def test_the_held_out_part_is_stratified_and_seeded():
    targets = np.repeat([0, 1, 2], [50, 20, 1])
    held_out = linear._hold_out(targets, 0.1, seed=0)
    assert np.bincount(targets[held_out], minlength=3).tolist() == [5, 2, 0]
    np.testing.assert_array_equal(held_out, linear._hold_out(targets, 0.1, seed=0))
    assert (held_out != linear._hold_out(targets, 0.1, seed=1)).any()


def test_json_has_the_numbers_and_no_nan(digits, probed):
    assert json.loads(json.dumps(probed.to_json(), allow_nan=False)) == probed.to_json() | {
        "candidates": json.loads(json.dumps(probed.to_json()["candidates"]))
    }
    missing = probed._replace(per_class=np.array([0.5, np.nan]))
    assert missing.to_json()["per_class"] == [0.5, None]


def test_unusable_splits_are_named(digits):
    train, train_labels, test, test_labels = digits
    with pytest.raises(ValueError, match=r"must have the training features' 64 columns; got 63"):
        linear.fit(train, train_labels, test[:, 1:], test_labels)
    with pytest.raises(ValueError, match=r"at least two classes; got only 4"):
        linear.fit(train, np.full(500, 4), test, test_labels)
    with pytest.raises(ValueError, match=r"keep at least one example out; got 0\.1 of 4 examples"):
        linear.fit(train[:4], np.array([0, 0, 1, 1]), test, test_labels)
    with pytest.raises(ValueError, match=r"test features must be finite"):
        linear.fit(train, train_labels, np.full_like(test, np.nan), test_labels)


@pytest.mark.parametrize(
    "fields, message",
    [
        ({"l2_grid": ()}, r"l2_grid must hold at least one strength; got \(\)"),
        ({"l2_grid": (1.0, 0.0)}, r"l2_grid must be finite and above 0; got \(1\.0, 0\.0\)"),
        ({"holdout": 1.0}, r"LinearConfig: holdout must be in \(0, 1\); got 1\.0"),
        ({"tolerance": 0.0}, r"tolerance must be finite and above 0; got 0\.0"),
        ({"max_iterations": 0}, r"max_iterations must be at least 1; got 0"),
    ],
)
def test_unusable_settings_are_named(fields, message):
    with pytest.raises(ValueError, match=message):
        linear.LinearConfig(**fields)
