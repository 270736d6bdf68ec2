import numpy as np
import pytest
from sklearn.metrics import confusion_matrix

from jaxssl.evaluation import accuracy


@pytest.mark.parametrize("right, num", [(0, 10), (7, 10), (10, 10), (931, 1000)])
def test_half_width_is_that_of_the_wilson_interval(right, num):
    # The interval's ends are the two p at which (p̂ − p)² = z² p (1 − p) / n.
    z, observed = 1.959963984540054, right / num
    quadratic = [1 + z**2 / num, -(2 * observed + z**2 / num), observed**2]
    ends = np.roots(quadratic)
    assert accuracy.half_width(observed, num) == pytest.approx(abs(ends[0] - ends[1]) / 2)


def test_half_width_is_positive_where_all_are_right():
    assert accuracy.half_width(1.0, 100) > 0.01


def test_per_class_counts_each_label_apart():
    labels = np.array([0, 0, 2, 2, 2, 7])
    predictions = np.array([0, 2, 2, 2, 0, 0])
    recall = accuracy.per_class(predictions, labels, classes=np.array([0, 1, 2]))
    np.testing.assert_allclose(recall, [1 / 2, np.nan, 2 / 3])


def test_confusion_is_that_of_scikit_learn_over_the_classes_that_training_has():
    labels, predictions = np.random.default_rng(0).integers(0, 6, (2, 200))
    classes = np.array([1, 2, 4, 5])
    predictions = classes[predictions % 4]
    found = accuracy.confusion(predictions, labels, classes=classes)
    is_known = np.isin(labels, classes)
    expected = confusion_matrix(labels[is_known], predictions[is_known], labels=classes)
    np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    "features, labels, message",
    [
        (np.ones((3, 2)), None, r"f: train labels must be integers; got None\."),
        (np.ones(3), np.zeros(3, int), r"f: train features must be \[N, D\].*got shape \(3,\)"),
        (
            np.ones((3, 2)),
            np.zeros(4, int),
            r"one per row.*got labels \(4,\) for features \(3, 2\)",
        ),
        (np.ones((3, 2)), np.zeros(3), r"integers ≥ 0; got float64"),
        (np.ones((3, 2)), np.array([0, -1, 1]), r"integers ≥ 0; got int64 with minimum -1"),
        (
            np.array([[1.0, 2.0], [np.nan, 1.0], [np.inf, 0.0]]),
            np.zeros(3, int),
            r"finite; got NaN or infinity in 2 of 3 rows, first in row 1",
        ),
    ],
)
def test_unusable_splits_are_named(features, labels, message):
    with pytest.raises(ValueError, match=message):
        accuracy.check_pair("f", features, labels, split="train")
