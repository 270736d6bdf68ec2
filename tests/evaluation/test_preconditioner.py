import numpy as np
import pytest

from jaxssl.evaluation import preconditioner
from jaxssl.evaluation.standardised import Standardised


@pytest.mark.parametrize("narrow", [1024, 0])
@pytest.mark.parametrize("shared", [True, False])
def test_rows_equally_in_doubt_give_the_inverse_of_the_blocks_of_the_hessian(
    monkeypatch, shared, narrow
):
    monkeypatch.setattr(preconditioner, "_NARROW", narrow)
    generator = np.random.default_rng(0)
    features = generator.normal(size=(30, 4)).astype(np.float32)
    prob = np.full((3, 30), 1 / 3, np.float32)
    inverse = preconditioner.BlockInverse(Standardised(features), prob, 0.1, shared=shared)
    hessian = np.diag([0.1] * 4 + [0.0])
    for row in features.astype(np.float64):
        wide = np.append(row, 1.0)
        hessian += 1 / 3 * 2 / 3 * np.outer(wide, wide) / 30
    gradient = generator.normal(size=(3, 5))
    gradient -= gradient.mean(axis=0)
    expected = np.array([np.linalg.solve(hessian, each) for each in gradient])
    np.testing.assert_allclose(inverse(gradient), expected, rtol=1e-4, atol=1e-5)


def test_a_matrix_that_rounding_made_indefinite_still_has_a_definite_inverse():
    hessian = np.diag([1.0, 1.0, -1e-4]).astype(np.float32)
    inverse = preconditioner._inverse(hessian, np.zeros(3))
    ridge = 1e-7 * 1.9999 * 1000  # the first of its tenfold steps above 1e-4
    np.testing.assert_allclose(np.diag(inverse), [1, 1, 1 / (ridge - 1e-4)], rtol=1e-3)
