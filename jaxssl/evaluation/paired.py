"""Whether one of two networks is better, from the test examples that both were judged on."""

from typing import NamedTuple

import numpy as np
from scipy import special

RESAMPLES = 10_000
_QUANTILES = (0.025, 0.975)


class Difference(NamedTuple):
    """A second accuracy minus a first one.

    Attributes:
        mean: in [-1, 1].
        low: lower end of its 95 % interval, by the bootstrap.
        high: upper end.
        p: of McNemar's exact test; None where an example is not just right or wrong.
    """

    mean: float
    low: float
    high: float
    p: float | None


def compare(
    first: np.ndarray, second: np.ndarray, *, seed: int = 0, resamples: int = RESAMPLES
) -> Difference:
    """The difference of two accuracies on the same examples.

    The interval holds the middle 95 % of mean(b_i - a_i) over resampled examples i, N drawn of N
    with replacement, both answers of an example together. It counts the luck of the test examples,
    not that of training. Resamples are drawn as counts of the few values that b_i - a_i takes, a
    multinomial, which is the same distribution at a cost that does not grow with N.

    Args:
        first: a, [N] booleans, whether each example was predicted right; or numbers in [0, 1], how
            often, over seeds or draws.
        second: b, the same of the other network.
        seed: of the resamples.
        resamples: how many.

    Raises:
        ValueError: arrays that are not one answer for each of the same examples.

    Source: Efron and Tibshirani, An Introduction to the Bootstrap, 1993, ch. 13 (percentiles);
        Dietterich, Approximate Statistical Tests for Comparing Supervised Classification Learning
        Algorithms, 1998.
    """
    if first.shape != second.shape or first.ndim != 1 or not len(first):
        raise ValueError(
            "paired.compare: both must have an answer for each of the same test examples; got "
            f"shapes {first.shape} and {second.shape}."
        )
    # Rounded, since thirds that are added in another order would be two values.
    differences = np.round(second.astype(np.float64) - first, 12)
    values, counts = np.unique(differences, return_counts=True)
    drawn = np.random.default_rng(seed).multinomial(len(first), counts / len(first), size=resamples)
    low, high = np.quantile(drawn @ values / len(first), _QUANTILES)
    is_binary = first.dtype == bool and second.dtype == bool
    return Difference(
        mean=float(differences.mean()),
        low=float(low),
        high=float(high),
        p=mcnemar(first, second) if is_binary else None,
    )


def mcnemar(first: np.ndarray, second: np.ndarray) -> float:
    """How likely a split at least this uneven is where neither network is better, in (0, 1].

    Of the n examples that only one of both gets right, k are the second's; p is twice the smaller
    tail of the binomial distribution of k among n at one half, at most 1.

    Args:
        first: [N] booleans, whether each example was predicted right.
        second: the same of the other network.

    Source: McNemar, Note on the sampling error of the difference between correlated proportions or
        percentages, 1947; the exact form.
    """
    only_first, only_second = int(np.sum(first & ~second)), int(np.sum(second & ~first))
    num = only_first + only_second
    return float(min(1.0, 2 * special.bdtr(min(only_first, only_second), num, 0.5)))
