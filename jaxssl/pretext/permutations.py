"""Sets of permutations of nine tiles that differ in as many places as possible.

A jigsaw has 9! = 362,880 solutions, too many for a classifier and many of them nearly alike. The
label is therefore the index into a small set, chosen greedily once. Everything here is NumPy, runs
on the host, and gives the same set for the same arguments on every machine.
"""

import functools
import itertools
from typing import Literal, NamedTuple

import numpy as np

from jaxssl import checks

NUM_TILES = 9
MOST = 10_000  # the largest set that was ever published; a pick takes about a millisecond
CRITERIA = ("mean", "minimum")
_TAKEN = np.iinfo(np.int32).max


class Distances(NamedTuple):
    """How far the permutations of a set are apart, in places out of 9.

    Attributes:
        mean: mean Hamming distance of two of them, at most 8N / (N - 1) for N permutations.
        minimum: Hamming distance of the closest two.
    """

    mean: float
    minimum: int


@functools.cache
def permutation_set(
    count: int, *, criterion: Literal["mean", "minimum"] = "mean", seed: int = 0
) -> tuple[tuple[int, ...], ...]:
    """Chooses permutations of 0 … 8 greedily for a large Hamming distance.

    The first is drawn at random. Each further one is, of all 9! that are left, the one with the
    largest mean distance to those chosen ("mean"), or with the largest distance to the closest of
    those chosen and among equals the largest mean distance ("minimum"); among equals still, the
    first in lexicographic order. "mean" reaches or almost reaches the bound 8N / (N - 1) but has
    near twins at distance 2 or 3; "minimum" has none (100 permutations: at least 6 apart) and about
    the same mean. Distances are kept up to date in one pass over 9! x 9 bytes a pick.

    Args:
        count: N, size of the set, 2 to 10,000; published sets have 24 to 10,000.
        criterion: "mean" (the paper's) or "minimum".
        seed: of the first permutation.

    Returns:
        N different permutations, each a tuple of 9 ints: the tile that lies in each place.

    Raises:
        ValueError: ``count`` or ``criterion`` outside of the above.

    Source: Noroozi and Favaro, Unsupervised Learning of Visual Representations by Solving Jigsaw
    Puzzles, 2016, arXiv:1603.09246, algorithm 1 and table 4.
    """
    fix = "Published sets have 24 to 10,000, most often 100 or 1,000."
    checks.in_range("permutation_set", 2, MOST, count=count, fix=fix)
    checks.choice("permutation_set", CRITERIA, criterion=criterion, fix="The paper's is 'mean'.")
    every = np.array(list(itertools.permutations(range(NUM_TILES))), np.uint8)  # [9!, 9]
    places = np.ascontiguousarray(every.T)
    shared = np.zeros(len(every), np.int32)  # places shared with the chosen ones, summed
    most = np.zeros(len(every), np.int32)  # with the chosen one it shares most with
    taken = np.zeros(len(every), bool)
    chosen = [int(np.random.default_rng(seed).integers(len(every)))]
    while len(chosen) < count:
        same = np.zeros(len(every), np.uint8)
        for place in places:
            same += place == place[chosen[-1]]
        shared += same
        taken[chosen[-1]] = True
        if criterion == "minimum":
            np.maximum(most, same, out=most)
            price = most * np.int32(NUM_TILES * MOST) + shared
        else:
            price = shared
        chosen.append(int(np.where(taken, _TAKEN, price).argmin()))
    return tuple(tuple(map(int, every[index])) for index in chosen)


def distances(permutations: tuple[tuple[int, ...], ...]) -> Distances:
    """Mean and smallest Hamming distance between the permutations of a set.

    Args:
        permutations: N >= 2 sequences of 9 ints.

    Returns:
        The distances over all N (N - 1) / 2 pairs.

    Raises:
        ValueError: fewer than two permutations.
    """
    rows = np.asarray(permutations, np.uint8)
    if len(rows) < 2:
        raise ValueError(
            f"distances: a set must have at least 2 permutations; got {len(rows)}. "
            "Make one with permutation_set."
        )
    total, minimum = 0, NUM_TILES
    for index, row in enumerate(rows[:-1]):
        differing = (rows[index + 1 :] != row[None, :]).sum(axis=1)
        total += int(differing.sum())
        minimum = min(minimum, int(differing.min()))
    return Distances(total / (len(rows) * (len(rows) - 1) / 2), minimum)
