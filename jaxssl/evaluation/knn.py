"""k-nearest-neighbour classification of frozen features: nothing to train, nothing to tune."""

import dataclasses
import functools
from collections.abc import Sequence
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np

from jaxssl import checks
from jaxssl.evaluation import accuracy
from jaxssl.types import Array

USUAL_KS = (20, 200)
_BLOCK = 512  # test rows at a time, fewer where so many similarities would not fit
_SIMILARITIES = 2**27  # of a block at most, float32
_BALLOTS = 2**22  # of a block of the vote at most, float32


@dataclasses.dataclass(frozen=True)
class KnnConfig:
    """The k-nearest-neighbour protocol.

    Attributes:
        num_neighbors: the ks; each is reported, none is chosen. None: 20 and 200, as far as there
            are training examples.
        temperature: of the weighted vote.
    """

    num_neighbors: tuple[int, ...] | None = None
    temperature: float = 0.07

    def fit_to(self, num_train: int) -> "KnnConfig":
        """The same with ks: those that were asked for, or the usual ones that fit.

        Args:
            num_train: training examples; where they are fewer than the least of the usual ks, k is
                1.
        """
        if self.num_neighbors is not None:
            return self
        return dataclasses.replace(self, num_neighbors=usual_ks(num_train))


def usual_ks(num_train: int) -> tuple[int, ...]:
    """The ks of ``USUAL_KS`` that fit so many training examples; 1 where none does."""
    return tuple(k for k in USUAL_KS if k <= num_train) or (1,)


class KnnResult(NamedTuple):
    """Accuracy for one number of neighbours.

    Attributes:
        num_neighbors: k.
        accuracy: fraction of the test split, in [0, 1].
        half_width: half the 95 % interval that the size of the test split leaves.
        predictions: int64 [N], the class of every test example.
        known: over the classes that training has; None where those are all.
    """

    num_neighbors: int
    accuracy: float
    half_width: float
    predictions: np.ndarray
    known: accuracy.Known | None


def evaluate(
    train_features: np.ndarray,
    train_labels: np.ndarray,
    test_features: np.ndarray,
    test_labels: np.ndarray,
    *,
    num_neighbors: Sequence[int] = USUAL_KS,
    temperature: float = 0.07,
) -> list[KnnResult]:
    """Weighted vote of the nearest training features by cosine similarity.

    class of x = argmax_c Σ_{i ∈ kNN(x), y_i = c} exp(cos(x, x_i) / temperature). Every k is an
    accuracy of its own; none is chosen by the test split.

    Args:
        train_features: real [N, D], any scale; rows are L2-normalised, zero rows stay zero.
        train_labels: integers [N].
        test_features: real [N_test, D].
        test_labels: integers [N_test]; read only to score the predictions. A class that training
            lacks counts as wrong.
        num_neighbors: the ks, each from 1 to N.
        temperature: of the vote, > 0.

    Returns:
        One result per k, in the order given.

    Raises:
        ValueError: shapes, labels or features that are wrong; k outside [1, N]; temperature ≤ 0.

    Source: Wu et al., Unsupervised Feature Learning via Non-Parametric Instance Discrimination,
        2018, arXiv:1805.01978, sec. 3.4.
    """
    train_features, train_labels, test_features, test_labels = accuracy.check_splits(
        "knn.evaluate", train_features, train_labels, test_features, test_labels
    )
    fix = "There are no more training examples."
    checks.in_range(
        "knn.evaluate", 1, len(train_features), num_neighbors=tuple(num_neighbors), fix=fix
    )
    checks.above("knn.evaluate", 0, temperature=temperature)
    classes, targets = np.unique(train_labels, return_inverse=True)
    similarities, neighbours = nearest(
        train_features, targets.astype(np.int32), test_features, count=max(num_neighbors)
    )
    results = []
    for count in num_neighbors:
        voted = _vote(
            similarities[:, :count],
            neighbours[:, :count],
            num_classes=len(classes),
            temperature=temperature,
        )
        predictions = classes[np.asarray(voted)]
        right = float(np.mean(predictions == test_labels))
        width = accuracy.half_width(right, len(test_labels))
        known = accuracy.over_known(predictions, test_labels, classes)
        results.append(KnnResult(count, right, width, predictions, known))
    return results


def nearest(
    train_features: np.ndarray, train_values: np.ndarray, test_features: np.ndarray, *, count: int
) -> tuple[np.ndarray, np.ndarray]:
    """Cosine similarities of the nearest training rows and the values that belong to them.

    Args:
        train_features: float32 [N, D].
        train_values: [N], labels or row numbers.
        test_features: float32 [N_test, D].
        count: k.

    Returns:
        Similarities float32 [N_test, k], falling, and values [N_test, k]; of equal similarities the
        earlier training row comes first.
    """
    # Unlike jnp.asarray, device_put copies once; the normalised bank then takes that memory over.
    bank = normalise_bank(jax.device_put(np.asarray(train_features)))
    similarities, rows = [], []
    size = max(1, min(_BLOCK, _SIMILARITIES // len(train_features)))
    for first in range(0, len(test_features), size):
        block = test_features[first : first + size]
        padded = np.pad(block, [(0, size - len(block)), (0, 0)])
        top, index = _top(bank, jnp.asarray(padded), count=count)
        similarities.append(np.asarray(top)[: len(block)])
        rows.append(np.asarray(index)[: len(block)])
    return np.concatenate(similarities), np.asarray(train_values)[np.concatenate(rows)]


@functools.partial(jax.jit, donate_argnums=0)
def normalise_bank(rows: Array) -> Array:
    """Rows [N, D] of length 1, zero rows as they are; takes the memory over."""
    return normalised(rows)


def normalised(rows: Array) -> Array:
    """Rows of length 1 along the last axis; zero rows as they are."""
    norm = jnp.linalg.norm(rows, axis=-1, keepdims=True)
    return rows / jnp.where(norm == 0, 1.0, norm)


@functools.partial(jax.jit, static_argnames="count")
def _top(bank: Array, block: Array, *, count: int) -> tuple[Array, Array]:
    # Full precision: a bfloat16 product would swap neighbours that float32 tells apart.
    product = jnp.matmul(normalised(block), bank.T, precision=jax.lax.Precision.HIGHEST)
    return jax.lax.top_k(product, count)


@functools.partial(jax.jit, static_argnames=("num_classes", "temperature"))
def _vote(similarities: Array, classes: Array, *, num_classes: int, temperature: float) -> Array:
    """The classes int32 [N_test] that win, the lowest of equals; classes are int32 [N_test, k].

    A row has k neighbours and so no more than k classes to count the votes of.
    """
    count = similarities.shape[1]
    num_candidates = min(count, num_classes)

    def winner(row: tuple[Array, Array]) -> Array:
        similarities, classes = row
        # Relative to the nearest neighbour: a low temperature cannot overflow the exponential.
        weights = jnp.exp((similarities - similarities[:1]) / temperature)
        candidates = jnp.arange(num_classes) if num_classes <= count else classes
        ballots = (classes[:, None] == candidates[None]).astype(jnp.float32)
        votes = jnp.einsum("k,kc->c", weights, ballots)
        return jnp.min(jnp.where(votes == votes.max(), candidates, num_classes))

    rows = max(1, _BALLOTS // (count * num_candidates))
    return jax.lax.map(winner, (similarities, classes), batch_size=rows).astype(jnp.int32)
