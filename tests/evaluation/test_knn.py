import jax
import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.datasets
import sklearn.neighbors

from jaxssl.evaluation import knn


def loop_votes(train, labels, test, count, temperature, num_classes):
    predictions = []
    for row in test.astype(np.float64):
        cosines = [
            row @ other / (np.linalg.norm(row) * np.linalg.norm(other))
            for other in train.astype(np.float64)
        ]
        votes = [0.0] * num_classes
        for index in sorted(range(len(train)), key=lambda i: -cosines[i])[:count]:
            votes[labels[index]] += np.exp(cosines[index] / temperature)
        predictions.append(votes.index(max(votes)))
    return predictions


@pytest.mark.parametrize("temperature", [0.07, 1.0])
def test_votes_are_those_of_the_formula(temperature):
    generator = np.random.default_rng(0)
    train, test = generator.normal(size=(40, 5)), generator.normal(size=(11, 5))
    labels = generator.integers(0, 4, 40)
    results = knn.evaluate(
        train, labels, test, np.zeros(11, int), num_neighbors=(1, 7, 40), temperature=temperature
    )
    for result in results:
        expected = loop_votes(train, labels, test, result.num_neighbors, temperature, 4)
        np.testing.assert_array_equal(result.predictions, expected)
        assert result.accuracy == pytest.approx(np.mean(np.array(expected) == 0))


def test_accuracy_is_that_of_scikit_learn_over_several_blocks():
    images, labels = sklearn.datasets.load_digits(return_X_y=True)
    rows = images / np.linalg.norm(images, axis=1, keepdims=True)
    peer = sklearn.neighbors.KNeighborsClassifier(
        20,
        algorithm="brute",
        weights=lambda distance: np.exp((1 - distance**2 / 2) / 0.07),
    ).fit(rows[:900], labels[:900])
    (result,) = knn.evaluate(
        images[:900], labels[:900], images[900:], labels[900:], num_neighbors=(20,)
    )
    assert len(images) - 900 > knn._BLOCK
    assert result.accuracy == pytest.approx(peer.score(rows[900:], labels[900:]), abs=2e-3)
    assert result.accuracy > 0.9
    assert 0 < result.half_width < 0.03


@pytest.mark.parametrize("num_classes", [3, 8, 1000])
def test_a_vote_in_blocks_is_that_of_all_tests_and_classes_at_once(num_classes, monkeypatch):
    generator = np.random.default_rng(0)
    similarities = -np.sort(-generator.integers(0, 9, (50, 8)) / 10, axis=1).astype(np.float32)
    classes = generator.integers(0, num_classes, (50, 8)).astype(np.int32)
    weights = np.exp((similarities - similarities[:, :1]) / np.float32(0.07))
    votes = jnp.einsum("nk,nkc->nc", weights, jax.nn.one_hot(classes, num_classes))
    monkeypatch.setattr(knn, "_BALLOTS", 7 * 8 * min(8, num_classes))  # 7 rows: one is left over
    knn._vote.clear_cache()
    found = knn._vote(similarities, classes, num_classes=num_classes, temperature=0.07)
    np.testing.assert_array_equal(found, np.argmax(votes, axis=1))
    knn._vote.clear_cache()


def test_a_vote_over_imagenet_takes_the_memory_of_a_block():
    similarities = jax.ShapeDtypeStruct((50_000, 200), np.float32)
    classes = jax.ShapeDtypeStruct((50_000, 200), np.int32)
    lowered = knn._vote.lower(similarities, classes, num_classes=1000, temperature=0.07)
    assert lowered.compile().memory_analysis().temp_size_in_bytes < 200 * 2**20


def test_a_large_bank_is_compared_with_few_rows_at_a_time(monkeypatch):
    generator = np.random.default_rng(0)
    train, test = (generator.normal(size=(n, 4)).astype(np.float32) for n in (40, 11))
    whole = knn.nearest(train, np.arange(40), test, count=5)
    seen, top = [], knn._top
    monkeypatch.setattr(
        knn, "_top", lambda bank, block, count: seen.append(len(block)) or top(bank, block, count=5)
    )
    monkeypatch.setattr(knn, "_SIMILARITIES", 3 * 40)
    for whole_values, values in zip(whole, knn.nearest(train, np.arange(40), test, count=5)):
        np.testing.assert_allclose(values, whole_values, rtol=1e-6)
    assert seen == [3, 3, 3, 3]


def test_classes_are_those_of_training_however_far_apart():
    train, labels = np.eye(3), [7, 4_000_000_000, 2**40]
    (result,) = knn.evaluate(train, labels, train[::-1], labels[::-1], num_neighbors=(1,))
    assert result.predictions.tolist() == labels[::-1] and result.accuracy == 1.0


def test_scale_of_a_row_does_not_matter():
    generator = np.random.default_rng(0)
    train, test, labels = (
        generator.normal(size=(30, 4)),
        generator.normal(size=(9, 4)),
        np.arange(30),
    )
    scales = np.exp(generator.normal(size=(30, 1)))
    first, second = (
        knn.evaluate(rows, labels, test, np.zeros(9, int), num_neighbors=(3,))[0].predictions
        for rows in (train, scales * train)
    )
    np.testing.assert_array_equal(first, second)


def test_equal_rows_come_in_training_order_and_equal_votes_go_to_the_lowest_class():
    train = np.array([[0.0, 1.0], [1.0, 0.0], [2.0, 0.0]])
    query = np.array([[1.0, 0.0]])
    _, rows = knn.nearest(train.astype(np.float32), np.arange(3), query.astype(np.float32), count=2)
    assert rows.tolist() == [[1, 2]]
    (result,) = knn.evaluate(train, [0, 2, 1], query, [1], num_neighbors=(2,))
    assert result.predictions.tolist() == [1]


def test_zero_rows_and_a_tiny_temperature_stay_finite():
    train, labels = np.array([[0.0, 0.0], [1.0, 0.0], [0.0, 1.0]]), [0, 1, 2]
    (result,) = knn.evaluate(train, labels, [[0.0, 3.0]], [2], num_neighbors=(3,), temperature=1e-4)
    assert result.predictions.tolist() == [2]


@pytest.mark.parametrize(
    "options, message",
    [
        ({"num_neighbors": (2, 9)}, r"num_neighbors must be in \[1, 3\]; got \(2, 9\)\. There"),
        ({"num_neighbors": (0,)}, r"num_neighbors must be in \[1, 3\]; got \(0,\)\."),
        (
            {"num_neighbors": (1,), "temperature": 0.0},
            r"temperature must be .*above 0; got 0\.0",
        ),
    ],
)
def test_unusable_settings_are_named(options, message):
    with pytest.raises(ValueError, match=message):
        knn.evaluate(np.eye(3), [0, 1, 2], np.eye(3), [0, 1, 2], **options)


@pytest.mark.parametrize("container", [np.asarray, jnp.asarray])
def test_the_bank_that_is_handed_over_stays_as_it_was(container):
    bank = container(np.full((64, 16), 3.0, np.float32))
    knn.nearest(bank, np.arange(64), np.ones((2, 16), np.float32), count=1)
    np.testing.assert_array_equal(bank, np.full((64, 16), 3.0))
