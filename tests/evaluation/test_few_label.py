import hashlib
import json
import re

import numpy as np
import pytest
import scipy.stats
from sklearn.linear_model import LogisticRegression

from jaxssl.evaluation import few_label, small_probe

ONE_BUDGET = few_label.FewLabelConfig(per_class=(4,), fractions=(), draws=2, strengths=(1.0, 0.1))


def _clusters(num, dim, seed, *, num_classes=3, spread=2.0):
    """Overlapping classes in [num, dim], and their labels, which are not consecutive."""
    generator = np.random.default_rng(seed)
    targets = generator.integers(0, num_classes, num)
    centres = np.random.default_rng(0).normal(size=(num_classes, dim))
    features = 3 * (centres[targets] + spread * generator.normal(size=(num, dim))) + 7
    return features.astype(np.float32), 2 * targets + 1


def _judge(rows, labels, strength):
    """Scikit-learn's fit to scaled rows; its objective is the sum over rows and ‖W‖² / (2 C)."""
    judge = LogisticRegression(C=1 / strength, tol=1e-9, solver="newton-cholesky")
    return judge.fit(rows, labels)


def _scaled(drawn, others):
    """Both centred and divided by one number, that of the drawn rows."""
    mean = drawn.astype(np.float64).mean(axis=0)
    norm = np.sqrt(np.mean([np.sum((row - mean) ** 2) for row in drawn]))
    return (drawn - mean) / norm, (others - mean) / norm


@pytest.mark.parametrize("dim", [5, 40])  # fewer and more features than the 12 labels
def test_fits_are_those_of_scikit_learn(dim):
    train, test = _clusters(300, dim, 1), _clusters(400, dim, 2)
    config = few_label.FewLabelConfig(per_class=(4,), fractions=(), draws=3, strengths=(0.3,))
    (budget,) = few_label.evaluate(*train, *test, config=config).values()
    for draw in budget.draws:
        rows, others = _scaled(train[0][draw.rows], test[0])
        want = _judge(rows, train[1][draw.rows], 0.3).score(others, test[1])
        assert draw.test_accuracy == pytest.approx(want, abs=1e-4)
        assert draw.strength == 0.3 and draw.num_labels == 12 and draw.converged
    assert 0.4 < budget.test_accuracy < 1  # a problem on which fits can differ


def test_probabilities_are_those_of_scikit_learn():
    (features, labels), (test, _) = _clusters(30, 40, 1), _clusters(50, 40, 2)
    options = {"single_strength": 1.0, "num_folds": 5, "tolerance": 1e-5, "max_iterations": 500}
    targets = labels // 2
    found = small_probe.fit(features, targets, num_classes=3, strengths=(0.3,), **options)
    rows, others = _scaled(features, test)
    logits = test @ found.weights + found.bias
    odds = np.exp(logits - logits.max(axis=1, keepdims=True))
    want = _judge(rows, targets, 0.3).predict_proba(others)
    np.testing.assert_allclose(odds / odds.sum(axis=1, keepdims=True), want, atol=1e-4)
    assert 0 < found.gradient_norm <= 1e-5


def test_the_penalty_is_the_one_that_cross_validation_prefers():
    """Against a loop over folds that scikit-learn fits."""
    train, test = _clusters(300, 12, 3, spread=2.5), _clusters(50, 12, 4, spread=2.5)
    config = few_label.FewLabelConfig(
        per_class=(6,), fractions=(), draws=6, strengths=(0.05, 0.5, 5.0), folds=3
    )
    (budget,) = few_label.evaluate(*train, *test, config=config).values()
    smallest = []
    for draw in budget.draws:
        rows, labels = _scaled(train[0][draw.rows], train[0][:0])[0], train[1][draw.rows]
        folds, seen = np.empty(len(rows), int), {}
        for place, label in enumerate(labels.tolist()):
            folds[place] = seen.setdefault(label, 0) % 3
            seen[label] += 1
        losses = []
        for strength in (5.0, 0.5, 0.05):
            total = 0.0
            for fold in range(3):
                judge = _judge(rows[folds != fold], labels[folds != fold], strength)
                prob = judge.predict_proba(rows[folds == fold])
                for each, label in zip(prob, labels[folds == fold]):
                    total -= np.log(each[judge.classes_ == label][0])
            losses.append(total / len(rows))
        np.testing.assert_allclose(draw.cv_losses, losses, atol=5e-3)
        assert draw.strength == (5.0, 0.5, 0.05)[int(np.argmin(losses))]
        smallest.append(min(losses))
    assert budget.cv_loss == pytest.approx(np.mean(smallest), abs=5e-3)
    assert len({draw.strength for draw in budget.draws}) > 1


def test_of_many_rows_some_folds_are_left_out_only(monkeypatch):
    train, test = _clusters(200, 4, 5), _clusters(50, 4, 6)
    judged = []
    solve = small_probe.row_space.solve
    monkeypatch.setattr(
        small_probe.row_space,
        "solve",
        lambda basis, targets, weights, *rest, **options: (
            judged.append((weights == 0).sum(axis=0)),
            solve(basis, targets, weights, *rest, **options),
        )[1],
    )
    monkeypatch.setattr(small_probe, "_JUDGED_ROWS", 12)
    config = few_label.FewLabelConfig(per_class=(10,), fractions=(), draws=1)
    few_label.evaluate(*train, *test, config=config)
    times = judged[0]  # cross-validation; the other call is the fit to all rows
    assert times.max() == 1 and times.sum() == 12 and judged[1].sum() == 0


def test_a_class_of_one_row_is_never_left_out():
    targets = np.array([0, 1, 0, 2, 0, 1, 0])
    assert small_probe.assign_folds(targets, 3).tolist() == [0, 0, 1, -1, 2, 1, 0]


def test_draws_are_stratified_nested_and_published():
    labels = np.repeat([0, 1, 2], [50, 30, 20])
    few, more = (few_label.draw_rows(labels, count, seed=1) for count in (2, 5))
    assert np.bincount(labels[few]).tolist() == [2, 2, 2]
    assert np.bincount(labels[more]).tolist() == [5, 5, 5]
    assert set(few) < set(more)
    keys = np.random.PCG64(1).random_raw(100).tolist()
    order = sorted(range(100), key=keys.__getitem__)
    by_hand = [row for label in range(3) for row in [r for r in order if labels[r] == label][:2]]
    assert few.tolist() == sorted(by_hand)
    tenth = few_label.draw_rows(labels, 0.1, seed=1)
    assert np.bincount(labels[tenth]).tolist() == [5, 3, 2]
    assert np.bincount(labels[few_label.draw_rows(labels, 0.02, seed=1)]).tolist() == [1, 1, 1]
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


def test_the_test_split_has_no_say():
    train, test = _clusters(200, 8, 7), _clusters(100, 8, 8)
    noise = np.random.default_rng(9)
    other_test = noise.normal(size=test[0].shape), noise.permutation(test[1])
    for one in (1, 4):
        config = few_label.FewLabelConfig(per_class=(one,), fractions=(), draws=2)
        (want,) = few_label.evaluate(*train, *test, config=config).values()
        (got,) = few_label.evaluate(*train, *other_test, config=config).values()
        assert got.cv_loss == want.cv_loss
        for draw, other in zip(want.draws, got.draws, strict=True):
            assert draw._replace(test_accuracy=0) == other._replace(test_accuracy=0)
        assert got.test_accuracy != want.test_accuracy


def _draws(train, test):
    (budget,) = few_label.evaluate(*train, *test, config=ONE_BUDGET).values()
    return budget.draws


def test_one_label_a_class_takes_the_fixed_penalty():
    train, test = _clusters(100, 3, 10), _clusters(50, 3, 11)
    config = few_label.FewLabelConfig(
        per_class=(1,), fractions=(0.5,), draws=2, single_strength=7.0
    )
    measured = few_label.evaluate(*train, *test, config=config)
    assert list(measured) == ["1 per class", "50 %"]
    one = measured["1 per class"]
    assert one.draws[0].cv_losses == () and one.draws[0].strength == 7.0
    rows = np.array(measured["50 %"].draws[0].rows, "<i8")
    assert measured["50 %"].draws[0].rows_sha256 == hashlib.sha256(rows.tobytes()).hexdigest()
    assert json.loads(json.dumps(one.to_json()))["draws"][0]["seed"] == 0


def test_with_one_label_a_class_layers_are_judged_on_the_other_draws():
    train, test = _clusters(100, 6, 10), _clusters(50, 6, 11)
    config = few_label.FewLabelConfig(per_class=(1,), fractions=(), draws=3, single_strength=0.5)
    (budget,) = few_label.evaluate(*train, *test, config=config).values()
    losses = []
    for draw in budget.draws:
        others = {row for other in budget.draws for row in other.rows} - set(draw.rows)
        rows, left_out = _scaled(train[0][draw.rows], train[0][sorted(others)])
        judge = _judge(rows, train[1][draw.rows], 0.5)
        prob = judge.predict_proba(left_out)
        own = [
            np.log(each[judge.classes_ == label][0])
            for each, label in zip(prob, train[1][sorted(others)])
        ]
        losses.append(-np.mean(own))
    assert budget.cv_loss == pytest.approx(np.mean(losses), abs=1e-3)
    alone = few_label.FewLabelConfig(per_class=(1,), fractions=(), draws=1)
    (budget,) = few_label.evaluate(*train, *test, config=alone).values()
    assert budget.cv_loss is None and budget.half_width is None


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
        (
            {"per_class": (), "fractions": ()},
            "per_class or fractions must name a budget; got",
        ),
        ({"per_class": (0,)}, "FewLabelConfig: per_class must be at least 1; got (0,)"),
        ({"fractions": (1.5,)}, "fractions must be in (0, 1); got (1.5,)"),
        ({"draws": 0}, "draws must be at least 1; got 0."),
        ({"folds": 1}, "folds must be at least 2; got 1."),
        ({"strengths": ()}, "strengths must hold at least one; got ()."),
        ({"strengths": (0.0,)}, "strengths must be finite and above 0; got (0.0,)."),
        ({"single_strength": 0.0}, "single_strength must be finite and above 0; got 0.0."),
        ({"tolerance": 0.0}, "tolerance must be finite and above 0; got 0.0. float32"),
        ({"max_iterations": 0}, "max_iterations must be at least 1; got 0."),
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
