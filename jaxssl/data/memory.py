"""Whole splits, or an evenly spaced part of one, decoded once and kept."""

import numpy as np

from jaxssl import checks
from jaxssl.data import arrays, loader
from jaxssl.data import source as source_lib

BATCH_SIZE = 256


def hold_in_memory(source: source_lib.Source, *, num_threads: int = 8) -> arrays.ArraySource:
    """All examples of a source that decodes on demand, decoded once; its fingerprint stays."""
    parts = list(loader.batches(source, BATCH_SIZE, num_threads=num_threads))
    return arrays.ArraySource(
        name=source.name,
        columns={name: np.concatenate([part[name] for part in parts]) for name in parts[0]},
        class_names=source.class_names,
        fingerprint=source.fingerprint,
        account=source_lib.account_of(source),
        value_range=getattr(source, "value_range", None),
    )


def sample(source: source_lib.Source, count: int) -> arrays.ArraySource:
    """A part of a split that may be sorted, in memory: examples at even distances.

    Args:
        source: one split, of N examples.
        count: how many are wanted; all N where there are fewer.

    Returns:
        The rows ``linspace(0, N - 1, min(count, N))``, rounded down, with the columns of the
        source's records ("video" of clips), their labels and class names.

    Raises:
        ValueError: ``count`` below 1.
    """
    part = evenly_spaced(source, count)
    return part if isinstance(part, arrays.ArraySource) else hold_in_memory(part)


def evenly_spaced(source: source_lib.Source, count: int) -> source_lib.Source:
    """The same part as ``sample``, decoded on demand where the source is."""
    checks.at_least("sample", 1, count=count)
    rows = np.linspace(0, len(source) - 1, min(count, len(source))).astype(int)
    return take(source, rows)


def take(source: source_lib.Source, rows: np.ndarray) -> source_lib.Source:
    """Some rows of a source, int64 [N] and ascending, decoded on demand where the source is."""
    if isinstance(source, arrays.ArraySource):
        return source.subset(rows)
    return source_lib.Subset(source, rows)
