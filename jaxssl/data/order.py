"""The order of training examples: a pure function of (seed, epoch, position).

Philox's raw stream is used rather than ``Generator.permutation``: NumPy promises that bit
generators keep their streams between versions, and does not promise it of the methods built on
them, while an interrupted run must continue in the same order after an upgrade.
"""

import functools

import numpy as np


def permutation(count: int, *, key: tuple[int, int]) -> np.ndarray:
    """A random permutation of ``range(count)``.

    Args:
        count: number of elements.
        key: two integers in [0, 2^64), e.g. (seed, epoch).

    Returns:
        int64 [count]: ranks of the first ``count`` raw draws of Philox under ``key``.
    """
    draws = np.random.Philox(key=np.array(key, np.uint64)).random_raw(count)
    return np.argsort(draws, kind="stable")


@functools.lru_cache(maxsize=4)  # read-ahead straddles two epochs; two loaders may share the cache
def epoch_order(count: int, seed: int, epoch: int) -> np.ndarray:
    """The order in which epoch ``epoch`` draws ``count`` examples; read-only int64 [count]."""
    rows = permutation(count, key=(seed, epoch))
    rows.flags.writeable = False
    return rows


def step_rows(step: int, *, count: int, batch_size: int, seed: int) -> np.ndarray:
    """Rows of the global batch of one step.

    An epoch is ``count // batch_size`` steps; the rows left over are dropped, other ones each
    epoch.

    Args:
        step: optimizer steps completed, from 0.
        count: examples of the data set, at least ``batch_size``.
        batch_size: examples of the global batch.
        seed: in [0, 2^64).

    Returns:
        int64 [batch_size].
    """
    epoch, batch = divmod(step, count // batch_size)
    return epoch_order(count, seed, epoch)[batch * batch_size : (batch + 1) * batch_size]
