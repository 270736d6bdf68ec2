import numpy as np
import pytest
import sklearn.linear_model

from jaxssl.evaluation import logistic, quasi_newton, standardised
from jaxssl.evaluation.standardised import Standardised

L2 = 1e-3


@pytest.fixture(scope="module")
def grid_features():
    """Cells of a smooth map, as grid features are: neighbours alike, spectrum steep, all ≥ 0."""
    generator = np.random.default_rng(0)
    targets = generator.integers(0, 4, 900)
    maps = generator.normal(size=(900, 6, 6, 3)) + generator.normal(size=(4, 6, 6, 3))[targets]
    for axis in (1, 2):
        maps = maps + np.roll(maps, 1, axis)
    return np.maximum(maps, 0).reshape(900, -1).astype(np.float32) * 7 + 2, targets


def test_moments_are_those_of_the_rows_that_count():
    features = np.random.default_rng(1).normal(3, 2, (50, 4)).astype(np.float32)
    features[:, 2] = 1e6  # no spread
    rows = np.array([4, 1, 30, 7])
    mean, scale = standardised.moments(features, rows=rows)
    np.testing.assert_allclose(mean, features[rows].mean(0, dtype=np.float64), rtol=1e-6)
    deviation = features[rows].astype(np.float64).std(0)
    np.testing.assert_allclose(scale[[0, 1, 3]], 1 / deviation[[0, 1, 3]], rtol=1e-6)
    assert scale[2] == 0


def test_nothing_of_the_features_is_changed(grid_features):
    features, targets = grid_features
    before = features.copy()
    _solve(features, targets)
    np.testing.assert_array_equal(features, before)


def test_solution_on_grid_features_is_that_of_scikit_learn(grid_features):
    features, targets = grid_features
    mean, scale = standardised.moments(features)
    solution = _solve(features, targets)
    scaled = (features - mean) * scale
    judge = sklearn.linear_model.LogisticRegression(
        C=1 / (L2 * len(targets)), tol=1e-10, max_iter=100_000
    )
    judge.fit(scaled, targets)
    logits = scaled @ solution.weights + solution.bias
    prob = np.exp(logits - logits.max(1, keepdims=True))
    prob /= prob.sum(1, keepdims=True)
    np.testing.assert_allclose(prob, judge.predict_proba(scaled), atol=1e-4)
    assert np.mean(prob.argmax(1) == targets) == judge.score(scaled, targets)


@pytest.mark.parametrize(("values", "kept"), [(2**10, 2**30), (2**10, 0)])
def test_the_size_of_blocks_and_where_they_are_kept_do_not_matter(
    grid_features, monkeypatch, values, kept
):
    features, targets = grid_features
    whole = _solve(features, targets)
    monkeypatch.setattr(standardised, "_CPU_BLOCK_VALUES", values)
    monkeypatch.setattr(standardised, "_HOST_BLOCK_VALUES", values)
    monkeypatch.setattr(standardised, "_KEPT_BYTES", kept)
    in_blocks = _solve(features, targets)
    assert in_blocks.certificate.converged
    np.testing.assert_allclose(in_blocks.weights, whole.weights, atol=5e-4)
    np.testing.assert_allclose(in_blocks.bias, whole.bias, atol=5e-4)


def test_fewer_rows_than_features_have_the_optimum_of_all_features(grid_features):
    features, targets = grid_features
    few = features[:60], targets[:60]
    assert len(few[0]) < features.shape[1]
    solution = _solve(*few)
    assert solution.weights.shape == (features.shape[1], 4)
    _, to_weights, to_bias = logistic.objective_and_gradient(
        _scaled(few[0]), few[1], solution.weights, solution.bias, l2=L2
    )
    assert np.linalg.norm(np.vstack([to_weights, to_bias])) < 1e-5
    assert solution.certificate.converged


def test_rows_that_fill_up_the_last_block_do_not_count(grid_features):
    features, targets = grid_features
    rows = Standardised(features[:7], rows=np.arange(5))
    objective = quasi_newton.Objective(rows, targets[:5], 4)
    weights = np.random.default_rng(2).normal(size=(4, rows.dim + 1)) * 0.01
    _, to_weights, to_bias = logistic.objective_and_gradient(
        features[:5], targets[:5], weights[:, :-1].T, weights[:, -1], l2=0.0
    )
    want = np.hstack([to_weights.T, to_bias[:, None]])
    np.testing.assert_allclose(objective.start(weights), want, rtol=1e-3, atol=1e-4)


def _scaled(features):
    mean, scale = standardised.moments(features)
    return ((features - mean) * scale).astype(np.float32)


def _solve(features, targets):
    mean, scale = standardised.moments(features)
    problem = logistic.Problem(
        Standardised(features, mean=mean, scale=scale), targets, num_classes=4
    )
    return problem.solve(l2=L2, tolerance=1e-5, max_iterations=1000)
