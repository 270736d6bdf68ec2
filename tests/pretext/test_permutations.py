import itertools

import numpy as np
import pytest

from jaxssl.pretext import permutations

COUNTS = (2, 24, 100)
CRITERIA = ("mean", "minimum")


def hamming(first, second):
    return sum(a != b for a, b in zip(first, second, strict=True))


def pair_distances(chosen):
    return [hamming(a, b) for a, b in itertools.combinations(chosen, 2)]


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("count", COUNTS)
def test_a_set_holds_different_permutations(count, criterion):
    chosen = permutations.permutation_set(count, criterion=criterion)
    assert len(set(chosen)) == len(chosen) == count
    for permutation in chosen:
        assert sorted(permutation) == list(range(9))
        assert all(type(tile) is int for tile in permutation)


@pytest.mark.parametrize("criterion", CRITERIA)
@pytest.mark.parametrize("count", COUNTS)
def test_mean_distance_reaches_the_bound(count, criterion):
    got = permutations.distances(permutations.permutation_set(count, criterion=criterion))
    bound = 8 * count / (count - 1)
    assert got.mean <= min(bound, 9) + 1e-12
    assert got.mean > min(bound, 9) - 0.04


@pytest.mark.parametrize("count", (24, 100))
def test_sets_beat_random_ones(count):
    rng = np.random.default_rng(0)
    random = [
        permutations.distances(tuple(tuple(map(int, rng.permutation(9))) for _ in range(count)))
        for _ in range(10)
    ]
    by_mean, by_minimum = (
        permutations.distances(permutations.permutation_set(count, criterion=criterion))
        for criterion in CRITERIA
    )
    assert by_mean.mean > max(each.mean for each in random)
    assert by_minimum.minimum > max(each.minimum for each in random)
    assert by_minimum.minimum > by_mean.minimum
    assert by_minimum.minimum >= 6


def test_every_pick_is_the_greedy_one():
    """Against a loop over the definition, on a random part of all candidates."""
    candidates = [
        tuple(map(int, np.random.default_rng(seed).permutation(9))) for seed in range(300)
    ]
    for criterion, summary in (("mean", sum), ("minimum", min)):
        chosen = permutations.permutation_set(24, criterion=criterion)
        for index in range(1, 24):
            before = chosen[:index]
            best = summary(hamming(chosen[index], other) for other in before)
            for candidate in set(candidates) - set(before):
                assert summary(hamming(candidate, other) for other in before) <= best


def test_distances_are_those_of_all_pairs():
    chosen = permutations.permutation_set(24)
    found = pair_distances(chosen)
    got = permutations.distances(chosen)
    assert got.minimum == min(found)
    assert got.mean == pytest.approx(np.mean(found), rel=1e-12)


@pytest.mark.parametrize("criterion", CRITERIA)
def test_the_same_arguments_give_the_same_set(criterion):
    make = permutations.permutation_set.__wrapped__
    assert make(24, criterion=criterion) == make(24, criterion=criterion)
    assert make(24, criterion=criterion, seed=1) != make(24, criterion=criterion)
    longer = permutations.permutation_set(100, criterion=criterion)
    assert longer[:24] == make(24, criterion=criterion)


@pytest.mark.parametrize("count", [-1, 0, 1, 10_001, 362_880])
def test_wrong_counts_are_refused(count):
    with pytest.raises(ValueError, match=r"permutation_set: count must be in \[2, 10000\]; got "):
        permutations.permutation_set(count)


def test_unknown_criteria_and_lonely_permutations_are_refused():
    with pytest.raises(ValueError, match=r"criterion must be one of 'mean', 'minimum'; got 'max'"):
        permutations.permutation_set(24, criterion="max")
    with pytest.raises(ValueError, match=r"distances: a set must have at least 2 .*; got 1"):
        permutations.distances((tuple(range(9)),))
