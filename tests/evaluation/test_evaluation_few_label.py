import hashlib
import json
import re

import numpy as np
import pytest
import scipy.stats

from jaxssl.evaluation import few_label

ONE_BUDGET = few_label.FewLabelConfig(per_class=(4,), fractions=(), draws=2, strengths=(1.0, 0.1))


def _clusters(num, dim, seed, *, num_classes=3, spread=2.0):
    """Overlapping classes in [num, dim], and their labels, which are not consecutive."""
    generator = np.random.default_rng(seed)
    targets = generator.integers(0, num_classes, num)
    centres = np.random.default_rng(0).normal(size=(num_classes, dim))
    features = centres[targets] + spread * generator.normal(size=(num, dim))
    return features.astype(np.float32) * np.arange(1, dim + 1), 2 * targets + 1


def _unit(features):
    """Centred, and divided by one number that makes the mean squared norm of the rows 1."""
    centred = features.astype(np.float64) - features.mean(0, dtype=np.float64)
    return centred / np.sqrt(np.mean(np.sum(centred**2, axis=1)))


@pytest.mark.parametrize("dim", [5, 40])  # fewer and more features than the 12 labels
def test_fits_are_those_of_scikit_learn(dim):
    from sklearn.linear_model import LogisticRegression

    train, test = _clusters(300, dim, 1), _clusters(400, dim, 2)
    config = few_label.FewLabelConfig(per_class=(4,), fractions=(), draws=3, strengths=(0.3,))
    (budget,) = few_label.evaluate(*train, *test, config=config).values()
    centred, mean = _unit(train[0]), train[0].mean(0, dtype=np.float64)
    for draw in budget.draws:
        rows = np.array(draw.rows)
        judge = LogisticRegression(C=1 / 0.3, tol=1e-8, max_iter=10_000)
        judge.fit(centred[rows], train[1][rows])
        want = judge.score((test[0] - mean) * (centred[0, 0] / (train[0][0, 0] - mean[0])), test[1])
        assert draw.test_accuracy == pytest.approx(want, abs=1e-4)
        assert draw.strength == 0.3 and draw.num_labels == 12
    assert 0.4 < budget.test_accuracy < 1  # a problem on which fits can differ


def test_the_penalty_is_the_one_that_cross_validation_prefers():
    """Against a loop over folds that scikit-learn fits."""
    from sklearn.linear_model import LogisticRegression

    train, test = _clusters(300, 12, 3, spread=1.2), _clusters(50, 12, 4, spread=1.2)
    config = few_label.FewLabelConfig(
        per_class=(7,), fractions=(), draws=6, strengths=(0.01, 100.0, 1.0), folds=3
    )
    (budget,) = few_label.evaluate(*train, *test, config=config).values()
    scaled = _unit(train[0])
    for draw in budget.draws:
        rows, seen = np.array(draw.rows), {}
        folds = np.empty(len(rows), int)
        for index, row in enumerate(rows):
            label = int(train[1][row])
            folds[index] = seen.setdefault(label, 0) % 3
            seen[label] += 1
        losses = {}
        for strength in (100.0, 1.0, 0.01):
            loss = 0.0
            for fold in range(3):
                fitted, judged = rows[folds != fold], rows[folds == fold]
                judge = LogisticRegression(C=1 / strength, tol=1e-8, max_iter=10_000)
                judge.fit(scaled[fitted], train[1][fitted])
                prob = judge.predict_proba(scaled[judged])
                columns = np.searchsorted(judge.classes_, train[1][judged])
                loss -= np.sum(np.log(prob[np.arange(len(judged)), columns]))
            losses[strength] = loss / len(rows)
        assert draw.strength == min(losses, key=losses.get)
        assert draw.cv_loss == pytest.approx(min(losses.values()), rel=1e-3)


def test_draws_are_stratified_nested_and_published():
    labels = np.repeat([0, 1, 2], [50, 30, 20])
    few, more = (few_label.draw_rows(labels, count, seed=1) for count in (2, 5))
    assert np.bincount(labels[few]).tolist() == [2, 2, 2]
    assert np.bincount(labels[more]).tolist() == [5, 5, 5]
    assert set(few) < set(more)
    order = list(np.random.default_rng(1).permutation(100))
    by_hand = [row for label in range(3) for row in [r for r in order if labels[r] == label][:2]]
    assert few.tolist() == sorted(by_hand)
    tenth = few_label.draw_rows(labels, 0.1, seed=1)
    assert np.bincount(labels[tenth]).tolist() == [5, 3, 2]
    assert np.bincount(labels[few_label.draw_rows(labels, 0.001, seed=1)]).tolist() == [1, 1, 1]
    assert few_label.draw_rows(labels, 2, seed=2).tolist() != few.tolist()


def test_interval_is_student_t_over_draws():
    train, test = _clusters(200, 4, 5), _clusters(100, 4, 6)
    (budget,) = few_label.evaluate(*train, *test, config=ONE_BUDGET).values()
    accuracies = [draw.test_accuracy for draw in budget.draws]
    low, high = scipy.stats.t.interval(
        0.95, 1, loc=np.mean(accuracies), scale=scipy.stats.sem(accuracies)
    )
    assert budget.test_accuracy == pytest.approx(np.mean(accuracies))
    assert budget.half_width == pytest.approx((high - low) / 2)


def test_neither_the_test_split_nor_other_labels_have_a_say():
    train, test = _clusters(200, 8, 7), _clusters(100, 8, 8)
    choices = [(d.strength, d.cv_loss, d.rows) for d in _draws(train, test)]
    noise = np.random.default_rng(9)
    other_test = noise.normal(size=test[0].shape), noise.permutation(test[1])
    assert choices == [(d.strength, d.cv_loss, d.rows) for d in _draws(train, other_test)]


def _draws(train, test):
    (budget,) = few_label.evaluate(*train, *test, config=ONE_BUDGET).values()
    return budget.draws


def test_one_label_a_class_takes_the_fixed_penalty():
    train, test = _clusters(100, 3, 10), _clusters(50, 3, 11)
    config = few_label.FewLabelConfig(
        per_class=(1,), fractions=(0.5,), draws=1, single_strength=7.0
    )
    measured = few_label.evaluate(*train, *test, config=config)
    assert list(measured) == ["1 per class", "50 %"]
    one = measured["1 per class"]
    assert one.half_width is None and one.cv_loss is None and one.draws[0].strength == 7.0
    rows = np.array(measured["50 %"].draws[0].rows, "<i8")
    assert measured["50 %"].draws[0].rows_sha256 == hashlib.sha256(rows.tobytes()).hexdigest()
    assert json.loads(json.dumps(one.to_json()))["draws"][0]["seed"] == 0


def test_a_feature_that_does_not_vary_changes_nothing():
    (features, labels), test = _clusters(200, 4, 12), _clusters(100, 4, 13)
    want = _draws((features, labels), test)
    constant = [
        np.append(each, np.full((len(each), 1), 3.0), axis=1) for each in (features, test[0])
    ]
    got = _draws((constant[0], labels), (constant[1], test[1]))
    assert [draw.test_accuracy for draw in got] == [draw.test_accuracy for draw in want]


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"per_class": (), "fractions": ()}, "per_class: must name a budget"),
        ({"per_class": (0,)}, "per_class: must be at least 1 label a class; got (0,)"),
        ({"fractions": (1.5,)}, "fractions: must lie between 0 and 1; got (1.5,)"),
        ({"draws": 0}, "draws, folds: must be at least 1 and 2; got 0 and 5."),
        ({"strengths": (0.0,)}, "strengths, single_strength: must be positive; got (0.0,)"),
    ],
)
def test_config_errors(fields, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        few_label.FewLabelConfig(**fields)


def test_input_errors():
    features, labels = _clusters(30, 4, 14)
    with pytest.raises(ValueError, match=r"every class must have 100 images; class \d has \d+"):
        few_label.draw_rows(labels, 100, seed=0)
    with pytest.raises(ValueError, match="must hold at least two classes; got only 1"):
        few_label.draw_rows(np.ones(5, int), 2, seed=0)
    with pytest.raises(ValueError, match="must have the training features' 4 columns; got 3"):
        few_label.evaluate(features, labels, features[:, :3], labels)
