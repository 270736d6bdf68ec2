"""Many regressions at once, against the gradient written apart and against scikit-learn."""

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression

from jaxssl.evaluation import row_space

NUM, CLASSES = 24, 3
TARGETS = np.arange(NUM) % CLASSES


def centred(dim):
    generator = np.random.default_rng(dim)
    rows = generator.normal(size=(NUM, dim)) + np.eye(CLASSES, dim)[TARGETS]
    rows -= rows.mean(axis=0)
    return rows / np.sqrt((rows**2).sum(axis=1).mean())


@pytest.mark.parametrize("dim", [4, 60])
def test_the_basis_spans_the_rows(dim):
    rows = centred(dim)
    basis = row_space.span(rows)
    assert basis.coordinates.shape == (NUM, min(dim, NUM - 1))  # centred rows lose a direction
    directions = rows.T @ basis.mixing
    np.testing.assert_allclose(directions.T @ directions, np.eye(directions.shape[1]), atol=1e-9)
    np.testing.assert_allclose(basis.coordinates @ directions.T, rows, atol=1e-9)
    gram = basis.coordinates.T @ basis.coordinates / NUM
    np.testing.assert_allclose(gram, np.diag(basis.spread), atol=1e-12)


@pytest.mark.parametrize("dim", [4, 60])
def test_every_fold_and_strength_is_solved_as_if_alone(dim):
    rows = centred(dim)
    basis = row_space.span(rows)
    fitted = np.ones((3, NUM), bool)
    fitted[0, :4], fitted[1, 5:10] = False, False
    l2 = np.array([1.0, 1e-1, 1e-2])
    fits = row_space.solve(
        basis,
        TARGETS,
        fitted / fitted.sum(axis=1, keepdims=True),
        l2,
        num_classes=CLASSES,
        tolerance=2e-6,
        max_iterations=500,
    )
    assert fits.gradient_norm.max() <= 2e-6
    for fold, seen in enumerate(fitted):
        for place, strength in enumerate(l2):
            judge = LogisticRegression(
                C=1 / (strength * seen.sum()), tol=1e-9, solver="newton-cholesky"
            )
            judge.fit(rows[seen], TARGETS[seen])
            weights = rows.T @ basis.mixing @ fits.weights[fold, place]
            logits = rows @ weights + fits.bias[fold, place]
            odds = np.exp(logits - logits.max(axis=1, keepdims=True))
            want = judge.predict_proba(rows)
            np.testing.assert_allclose(odds / odds.sum(axis=1, keepdims=True), want, atol=1e-4)


def test_constant_rows_have_no_directions():
    basis = row_space.span(np.zeros((6, 3)))
    assert basis.coordinates.shape == (6, 0)
    fits = row_space.solve(
        basis,
        np.arange(6) % 2,
        np.full((1, 6), 1 / 6),
        np.array([0.1]),
        num_classes=2,
        tolerance=1e-5,
        max_iterations=10,
    )
    np.testing.assert_allclose(fits.bias, 0, atol=1e-6)


def test_an_unfinished_fit_is_told():
    fits = row_space.solve(
        row_space.span(centred(4)),
        TARGETS,
        np.full((1, NUM), 1 / NUM),
        np.array([1e-3]),
        num_classes=CLASSES,
        tolerance=1e-6,
        max_iterations=2,
    )
    assert fits.gradient_norm[0, 0] > 1e-6
