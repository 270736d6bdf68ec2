import numpy as np
import pytest
import sklearn.linear_model

from jaxssl.evaluation import logistic, preconditioner


@pytest.fixture(scope="module")
def problem():
    generator = np.random.default_rng(0)
    targets = np.arange(150) % 3
    features = generator.normal(size=(150, 6)) + 1.5 * np.eye(6)[targets]
    features = (features - features.mean(axis=0)) / features.std(axis=0)
    return features.astype(np.float32), targets


def solve(problem, **changes):
    options = {"num_classes": 3, "l2": 1e-2, "tolerance": 1e-5, "max_iterations": 50} | changes
    return logistic.solve(*problem, **options)


def loop_objective(features, targets, weights, bias, l2):
    total = 0.0
    for row, target in zip(features.astype(np.float64), targets):
        logits = [sum(x * w for x, w in zip(row, column)) for column in weights.T] + bias
        total += np.log(sum(np.exp(logit) for logit in logits)) - logits[target]
    return total / len(features) + l2 / 2 * sum(w * w for w in weights.ravel())


def test_objective_and_gradient_match_a_loop_and_its_differences(problem):
    generator = np.random.default_rng(1)
    weights, bias = generator.normal(size=(6, 3)), generator.normal(size=3)
    objective, weight_gradient, bias_gradient = logistic.objective_and_gradient(
        *problem, weights, bias, l2=0.3
    )
    assert objective == pytest.approx(loop_objective(*problem, weights, bias, 0.3), rel=1e-12)
    for index in [(0, 0), (3, 2), (5, 1)]:
        step = np.zeros_like(weights)
        step[index] = 1e-5
        ends = [loop_objective(*problem, weights + s * step, bias, 0.3) for s in (1, -1)]
        assert weight_gradient[index] == pytest.approx((ends[0] - ends[1]) / 2e-5, abs=1e-8)
    step = np.array([0.0, 1e-5, 0.0])
    ends = [loop_objective(*problem, weights, bias + s * step, 0.3) for s in (1, -1)]
    assert bias_gradient[1] == pytest.approx((ends[0] - ends[1]) / 2e-5, abs=1e-8)


@pytest.mark.parametrize("l2", [1.0, 1e-2, 1e-5])
def test_probabilities_are_those_of_scikit_learn(problem, l2):
    features, targets = problem
    solution = solve(problem, l2=l2, tolerance=1e-6)
    peer = sklearn.linear_model.LogisticRegression(
        C=1 / (len(features) * l2), tol=1e-10, max_iter=20000
    ).fit(features.astype(np.float64), targets)
    logits = features @ solution.weights + solution.bias
    prob = np.exp(logits - logits.max(axis=1, keepdims=True))
    prob /= prob.sum(axis=1, keepdims=True)
    assert solution.certificate.converged
    np.testing.assert_allclose(prob, peer.predict_proba(features), atol=1e-4)


def test_one_block_for_all_classes_finds_the_same_optimum(problem, monkeypatch):
    separate = solve(problem)
    monkeypatch.setattr(preconditioner, "_BLOCK_LIMIT", 0)
    shared = solve(problem)
    assert shared.certificate.converged
    np.testing.assert_allclose(shared.weights, separate.weights, atol=2e-3)


def test_the_excess_bound_holds(problem):
    best = solve(problem, tolerance=1e-7, max_iterations=100).certificate.objective
    rough = solve(problem, max_iterations=2).certificate
    assert 0 < rough.objective - best <= rough.excess_bound


def test_too_few_iterations_are_told(problem):
    certificate = solve(problem, max_iterations=1).certificate
    assert certificate.iterations == 1
    assert certificate.gradient_norm > 1e-5
    assert not certificate.converged


def test_a_warm_start_needs_fewer_iterations_for_the_same_optimum(problem):
    cold = solve(problem)
    warm = solve(problem, start=solve(problem, l2=1.1e-2))
    assert warm.certificate.iterations < cold.certificate.iterations
    np.testing.assert_allclose(warm.weights, cold.weights, atol=2e-3)


def test_separable_classes_and_redundant_features_still_converge():
    targets = np.arange(40) % 2
    column = (2.0 * targets - 1.0)[:, None].astype(np.float32)
    features = np.hstack([column, column, 0 * column])
    solution = logistic.solve(
        features, targets, num_classes=2, l2=1e-6, tolerance=1e-5, max_iterations=50
    )
    assert solution.certificate.converged
    np.testing.assert_array_equal(solution.weights[2], 0)
    np.testing.assert_array_equal((features @ solution.weights).argmax(axis=1), targets)
