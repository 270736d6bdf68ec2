"""Retrieval: do the images that are nearest to an image show the same class? Nothing is fitted."""

import dataclasses
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxssl import checks
from jaxssl.evaluation import accuracy, knn
from jaxssl.types import Array

USUAL_KS = (1, 5, 10)
_SIMILARITIES = 2**24  # of a block of queries at most


@dataclasses.dataclass(frozen=True)
class RetrievalConfig:
    """The retrieval protocol.

    Attributes:
        num_retrieved: the ks of recall@k and precision@k. None: 1, 5 and 10, as far as there are
            training examples.
    """

    num_retrieved: tuple[int, ...] | None = None

    def __post_init__(self):
        checks.at_least(self, 1, "num_retrieved")

    def fit_to(self, num_train: int) -> "RetrievalConfig":
        """The same with ks: those that were asked for, or the usual ones that fit."""
        if self.num_retrieved is not None:
            return self
        return RetrievalConfig(tuple(k for k in USUAL_KS if k <= num_train))


class RetrievalResult(NamedTuple):
    """What was measured, all in [0, 1].

    Attributes:
        mean_average_precision: over the queries; of one whose class training lacks it is 0.
        half_width: half the 95 % interval of that mean that the number of queries leaves.
        recall: by k, the part of the queries with an example of their class among the k nearest.
        precision: by k, the mean part of the k nearest that are of the query's class.
        average_precision: float64 [N'], of every query.
    """

    mean_average_precision: float
    half_width: float
    recall: dict[int, float]
    precision: dict[int, float]
    average_precision: np.ndarray

    def to_json(self) -> dict:
        """Everything but the queries' own, as JSON values."""
        at_k = {
            f"k={k}": {"recall": self.recall[k], "precision": self.precision[k]}
            for k in self.recall
        }
        return {
            "mean_average_precision": self.mean_average_precision,
            "half_width": self.half_width,
            **at_k,
        }


def evaluate(
    train_features: np.ndarray,
    train_labels: np.ndarray,
    test_features: np.ndarray,
    test_labels: np.ndarray,
    *,
    num_retrieved: tuple[int, ...] = USUAL_KS,
) -> RetrievalResult:
    """Ranks the whole training split for every test example, by cosine similarity, exactly.

    With r_i = 1 where the i-th of the ranking is of the query's class, and R of them in all,
    AP = 1/R Σ_i r_i (Σ_{j ≤ i} r_j) / i, precision@k = 1/k Σ_{i ≤ k} r_i, and recall@k, as metric
    learning has it, is 1 where any of the first k is, else 0. Of equal similarities the earlier
    training example is nearer; in AP they count together, as scikit-learn has it, whatever their
    order. Queries come in blocks, so that no [N', N] is held.

    Args:
        train_features: real [N, D], any scale; what is ranked.
        train_labels: integers [N].
        test_features: real [N', D]; the queries.
        test_labels: integers [N'].
        num_retrieved: the ks, each from 1 to N.

    Raises:
        ValueError: shapes, labels or features that are wrong; k outside [1, N].

    Source: Jégou et al., Product Quantization for Nearest Neighbor Search, 2011 (recall@k as the
        part of queries); Musgrave et al., A Metric Learning Reality Check, 2020, arXiv:2003.08505.
    """
    train_features, train_labels, test_features, test_labels = accuracy.check_splits(
        "retrieval.evaluate", train_features, train_labels, test_features, test_labels
    )
    fix = "There are no more training examples."
    checks.in_range(
        "retrieval.evaluate", 1, len(train_features), num_retrieved=num_retrieved, fix=fix
    )
    members = {label: np.flatnonzero(train_labels == label) for label in np.unique(train_labels)}
    bank = knn.normalise_bank(jax.device_put(train_features))
    size = max(1, min(len(test_features), _SIMILARITIES // len(train_features)))
    averages = []
    for first in range(0, len(test_features), size):
        block = test_features[first : first + size]
        padded = np.pad(block, [(0, size - len(block)), (0, 0)])
        for row, label in zip(np.asarray(_similarities(bank, padded)), test_labels[first:]):
            own = members.get(label)
            averages.append(0.0 if own is None else average_precision(row, row[own]))
    average = np.array(averages)
    _, found = knn.nearest(train_features, train_labels, test_features, count=max(num_retrieved))
    hits = np.cumsum(found == test_labels[:, None], axis=1)[:, np.array(num_retrieved) - 1]
    deviation = average.std(ddof=1) if len(average) > 1 else 0.0
    return RetrievalResult(
        mean_average_precision=float(average.mean()),
        half_width=float(accuracy.Z95 * deviation / np.sqrt(len(average))),
        recall={k: float(np.mean(hits[:, i] > 0)) for i, k in enumerate(num_retrieved)},
        precision={k: float(np.mean(hits[:, i] / k)) for i, k in enumerate(num_retrieved)},
        average_precision=average,
    )


def average_precision(similarities: np.ndarray, relevant: np.ndarray) -> float:
    """Of one ranking: the mean, over what is relevant, of the precision down to its similarity.

    Args:
        similarities: [N] of all.
        relevant: [R] of those that are relevant, R at least 1.
    """
    # NumPy sorts values a hundred times as fast as JAX ranks them on a CPU.
    everything, right = np.sort(similarities), np.sort(relevant)
    above = len(everything) - np.searchsorted(everything, right)
    right_above = len(right) - np.searchsorted(right, right)
    return float(np.mean(right_above / above))


@jax.jit
def _similarities(bank: Array, queries: Array) -> Array:
    """Cosines float32 [B, N]; the bank is normalised."""
    # Full precision: a bfloat16 product would swap neighbours that float32 tells apart.
    return jnp.matmul(knn.normalised(queries), bank.T, precision=jax.lax.Precision.HIGHEST)
