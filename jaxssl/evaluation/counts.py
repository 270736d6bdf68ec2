"""Features of texts that need no network: how often each token is there."""

from collections.abc import Iterable, Mapping

import numpy as np

from jaxssl.evaluation import features
from jaxssl.evaluation.features import FeatureSet

COUNTS = "pooled"  # the name of the only layer, as it stands in the stamp of the encoder's


def counts(
    batches: Iterable[Mapping[str, np.ndarray]], *, num_examples: int, vocabulary: int
) -> FeatureSet:
    """Parts of the tokens of a text, float32 [N, M], that sum to 1: its words without their order.

    Args:
        batches: ``{"tokens": integers [B, L]}``, "label" optional.
        num_examples: N, texts of all batches.
        vocabulary: M, more than any token.
    """
    values, labels, done = np.empty((num_examples, vocabulary), np.float32), [], 0
    for batch in batches:
        tokens = batch["tokens"]
        rows, length = tokens.shape
        places = np.arange(rows)[:, None] * vocabulary + tokens
        found = np.bincount(places.ravel(), minlength=rows * vocabulary)
        values[done : done + rows] = found.reshape(rows, vocabulary) / length
        done += rows
        labels.append(batch.get("label"))
    return FeatureSet({COUNTS: values}, features.join_labels(labels))
