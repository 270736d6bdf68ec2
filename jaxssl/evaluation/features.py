"""Frozen features of a whole split, read once and written where they stay."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import NamedTuple

import numpy as np

from jaxssl import checkpoints
from jaxssl.types import Array, PyTree


class FeatureSet(NamedTuple):
    """Features of one split, on the host.

    Attributes:
        layers: float32 [N, D] of each layer, by its name ("pooled", "stage 0" …).
        labels: int32 [N], or None where the data set has none.
    """

    layers: Mapping[str, np.ndarray]
    labels: np.ndarray | None


def extract(
    read: Callable[..., Mapping[str, Array]],
    variables: PyTree,
    batches: Iterable[Mapping[str, np.ndarray]],
    *,
    columns: Sequence[str] = ("image",),
    num_examples: int,
    batch_size: int,
) -> FeatureSet:
    """Runs an encoder over all batches, on all local devices, in one pass and one compilation.

    Each layer is one array, made when the first batch comes back and filled from then on: nothing
    is held twice, and what ``read`` does not return is neither computed nor copied.

    Args:
        read: (variables, a [B, ...] of each column) to the layers, [B, D] each, in eval mode: with
            batch norm in training mode the features of an image would depend on its neighbours.
        variables: of the encoder; an argument, so that they are not compiled into the program.
        batches: ``{"image": uint8 [B, H, W, C], "label": int32 [B]}``, label optional, B at most
            ``batch_size``; shorter batches are padded with zeros, whose features are dropped.
        columns: what of a batch the encoder is fed, in the order of its arguments.
        num_examples: N, examples of all batches.
        batch_size: rows of the compiled batch; rounded up to a multiple of the local devices.

    Returns:
        The features in the order of the batches.
    """
    layers: dict[str, np.ndarray] = {}
    labels = []
    done = 0
    for output, batch in checkpoints.forward(
        read, variables, batches, columns=columns, batch_size=batch_size
    ):
        count = len(batch[columns[0]])
        for name, values in output.items():
            if name not in layers:
                layers[name] = np.empty((num_examples, values.shape[1]), np.float32)
            layers[name][done : done + count] = values
        done += count
        labels.append(batch.get("label"))
    return FeatureSet(layers, join_labels(labels))


def join_labels(labels: Iterable[np.ndarray | None]) -> np.ndarray | None:
    """The labels of all batches, int32 [N], or None where they have none."""
    there = [each for each in labels if each is not None]
    return np.concatenate(there) if there else None
