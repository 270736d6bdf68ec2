"""The difference of two accuracies on the same examples, beside SciPy's bootstrap and test."""

import numpy as np
import pytest
import scipy.stats

from jaxssl.evaluation import paired


def answers(seed, num=400, right=0.7):
    return np.random.default_rng(seed).random(num) < right


@pytest.mark.parametrize("draws", [1, 3])
def test_the_interval_is_that_of_scipys_paired_bootstrap(draws):
    first, second = (
        np.mean([answers(10 * who + each, right=right) for each in range(draws)], axis=0)
        for who, right in ((1, 0.6), (2, 0.7))
    )
    found = paired.compare(first, second, seed=1)
    assert found.mean == pytest.approx(np.mean(second) - np.mean(first), abs=1e-9)
    oracle = scipy.stats.bootstrap(
        (first, second),
        lambda a, b, axis: np.mean(b - a, axis=axis),
        paired=True,
        vectorized=True,
        n_resamples=10_000,
        method="percentile",
        rng=np.random.default_rng(0),
    ).confidence_interval
    # Ends of 10,000 resamples vary by about a fiftieth of the interval's half.
    assert found.low == pytest.approx(oracle.low, abs=4e-3)
    assert found.high == pytest.approx(oracle.high, abs=4e-3)
    assert found.p is None


@pytest.mark.parametrize("seeds", [(0, 1), (2, 3), (4, 4)])
def test_mcnemar_is_the_exact_binomial_test(seeds):
    first, second = answers(seeds[0], 60), answers(seeds[1], 60, right=0.85)
    only_first = sum(a and not b for a, b in zip(first, second))
    only_second = sum(b and not a for a, b in zip(first, second))
    oracle = scipy.stats.binomtest(only_second, only_first + only_second).pvalue
    assert paired.compare(first, second).p == pytest.approx(oracle, rel=1e-9)


def test_pairs_tell_more_than_two_accuracies():
    first = answers(0, 1000)
    second = first.copy()
    second[np.flatnonzero(~first)[:12]] = True  # 12 more are right, and none is lost
    found = paired.compare(first, second)
    assert found.mean == pytest.approx(0.012)
    assert 0.003 < found.low < found.mean < found.high < 0.02
    assert found.p == pytest.approx(2 * 0.5**12)
    back = paired.compare(second, first)
    assert (back.low, back.high) == pytest.approx((-found.high, -found.low), abs=1e-3)


def test_who_answers_alike_does_not_differ_and_seeds_settle_the_rest():
    same = answers(0)
    assert paired.compare(same, same) == (0.0, 0.0, 0.0, 1.0)
    other = answers(1)
    assert paired.compare(same, other, seed=3) == paired.compare(same, other, seed=3)
    assert paired.compare(same, other, seed=3) != paired.compare(same, other, seed=4)


@pytest.mark.parametrize(("first", "second"), [((3,), (4,)), ((0,), (0,)), ((2, 3), (2, 3))])
def test_other_examples_cannot_be_paired(first, second):
    with pytest.raises(ValueError, match="an answer for each of the same test examples; got shape"):
        paired.compare(np.zeros(first, bool), np.zeros(second, bool))
