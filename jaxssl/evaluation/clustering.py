"""Clustering: do the classes stand apart without a label? K-means, and how it agrees with them."""

import dataclasses
import functools
from typing import NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
import scipy.optimize
import scipy.special

from jaxssl import checks
from jaxssl.evaluation import accuracy, knn
from jaxssl.types import Array

_BLOCK = 4096  # rows compared with all centres at a time


@dataclasses.dataclass(frozen=True)
class ClusteringConfig:
    """The clustering protocol.

    Attributes:
        num_clusters: K; None: as many as the training split has classes.
        restarts: draws of first centres; the one with the least inertia on the training split
            counts.
        max_iterations: of one of them.
    """

    num_clusters: int | None = None
    restarts: int = 10
    max_iterations: int = 300

    def __post_init__(self):
        checks.at_least(self, 2, "num_clusters")
        checks.at_least(self, 1, "restarts", "max_iterations")


class ClusteringResult(NamedTuple):
    """How clusters and classes of the test split agree.

    Attributes:
        nmi: normalised mutual information, in [0, 1]; by the mean of the two entropies.
        ari: adjusted Rand index, at most 1; 0 on average where they have nothing in common.
        accuracy: of the best assignment of clusters to classes, one to one, in [0, 1].
        num_clusters: K.
        inertia: mean squared distance of training rows of length 1 to their centres.
        assigned: int64 [N'], the cluster of every test example.
    """

    nmi: float
    ari: float
    accuracy: float
    num_clusters: int
    inertia: float
    assigned: np.ndarray

    def to_json(self) -> dict:
        """Everything but the examples' own, as JSON values."""
        return {name: value for name, value in self._asdict().items() if name != "assigned"}


def evaluate(
    train_features: np.ndarray,
    train_labels: np.ndarray,
    test_features: np.ndarray,
    test_labels: np.ndarray,
    *,
    config: ClusteringConfig = ClusteringConfig(),
    seed: int = 0,
) -> ClusteringResult:
    """Finds clusters of training features, and compares those of the test split with its classes.

    Features are scaled to length 1, so that distances are cosines. No label takes part in finding
    clusters, but for their number.

    Args:
        train_features: real [N, D], any scale.
        train_labels: integers [N], at least two classes.
        test_features: real [N', D].
        test_labels: integers [N'].
        config: the protocol.
        seed: of the first centres.

    Raises:
        ValueError: shapes, labels or features that are wrong; fewer than two classes, or fewer
            training examples than clusters.
    """
    train_features, train_labels, test_features, test_labels = accuracy.check_splits(
        "clustering.evaluate", train_features, train_labels, test_features, test_labels
    )
    classes = np.unique(train_labels)
    if len(classes) < 2:
        raise ValueError(
            f"clustering.evaluate: training labels must hold at least two classes; got only "
            f"{classes[0]}. The split may be sorted by class and cut short."
        )
    count = config.num_clusters or len(classes)
    fix = "There are no more training examples."
    checks.in_range("clustering.evaluate", 2, len(train_features), num_clusters=count, fix=fix)
    rows = knn.normalise_bank(jax.device_put(train_features))
    best: tuple[Array, Array] | None = None
    for key in jax.random.split(jax.random.key(seed), config.restarts):
        centres = draw_centres(key, rows, count)
        found = improve(rows, centres, max_iterations=config.max_iterations)
        best = found if best is None or float(found[1]) < float(best[1]) else best
    assert best is not None  # of one restart at least
    centres, inertia = best
    assigned = np.asarray(_assign(knn.normalised(jnp.asarray(test_features)), centres)[0], np.int64)
    table = contingency(assigned, test_labels)
    return ClusteringResult(
        nmi=mutual_information(table),
        ari=rand_index(table),
        accuracy=assignment_accuracy(table),
        num_clusters=count,
        inertia=float(inertia),
        assigned=assigned,
    )


@functools.partial(jax.jit, static_argnames="count")
def draw_centres(key: Array, rows: Array, count: int) -> Array:
    """First centres, float32 [K, D]: each a row drawn by its squared distance to those before.

    Source: Arthur and Vassilvitskii, k-means++: The Advantages of Careful Seeding, 2007.
    """
    first_key, *keys = jax.random.split(key, count)
    first = rows[jax.random.randint(first_key, (), 0, len(rows))]

    def draw(distances: Array, key: Array) -> tuple[Array, Array]:
        chosen = rows[jax.random.categorical(key, jnp.log(distances))]
        return jnp.minimum(distances, _squared(rows, chosen)), chosen

    _, others = jax.lax.scan(draw, _squared(rows, first), jnp.stack(keys))
    return jnp.concatenate([first[None], others])


@functools.partial(jax.jit, static_argnames="max_iterations")
def improve(rows: Array, centres: Array, *, max_iterations: int) -> tuple[Array, Array]:
    """Lloyd's iteration until no row changes its cluster; a centre without rows stays.

    Args:
        rows: float32 [N, D].
        centres: float32 [K, D] to begin with.
        max_iterations: at most.

    Returns:
        Centres, and the mean squared distance of the rows to theirs.
    """

    def goes_on(state: tuple[Array, Array, Array, Array]) -> Array:
        _, _, changed, number = state
        return changed & (number < max_iterations)

    def step(state: tuple[Array, Array, Array, Array]) -> tuple[Array, Array, Array, Array]:
        centres, before, _, number = state
        assigned, _ = _assign(rows, centres)
        sums = jax.ops.segment_sum(rows, assigned, len(centres))
        counts = jax.ops.segment_sum(jnp.ones(len(rows)), assigned, len(centres))
        means = sums / jnp.maximum(counts, 1.0)[:, None]
        centres = jnp.where((counts > 0)[:, None], means, centres)
        return centres, assigned, (assigned != before).any(), number + 1

    none = jnp.full(len(rows), -1, jnp.int32)
    begin = (centres, none, jnp.asarray(True), jnp.int32(0))
    centres, *_ = jax.lax.while_loop(goes_on, step, begin)
    return centres, jnp.mean(_assign(rows, centres)[1])


def contingency(clusters: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """How many examples each cluster (row) and class (column) share, int64, none of them empty."""
    _, rows = np.unique(clusters, return_inverse=True)
    _, columns = np.unique(labels, return_inverse=True)
    table = np.zeros((rows.max() + 1, columns.max() + 1), np.int64)
    np.add.at(table, (rows, columns), 1)
    return table


def mutual_information(table: np.ndarray) -> float:
    """2 I(U; V) / (H(U) + H(V)) of a table of counts; 1 where both are one cluster."""
    share = table / table.sum()
    outer = share.sum(axis=1, keepdims=True) * share.sum(axis=0, keepdims=True)
    shared = scipy.special.rel_entr(share, outer).sum()
    entropies = sum(scipy.special.entr(share.sum(axis=axis)).sum() for axis in (0, 1))
    return 1.0 if entropies == 0 else float(np.clip(2 * shared / entropies, 0.0, 1.0))


def rand_index(table: np.ndarray) -> float:
    """The adjusted Rand index of a table of counts.

    Source: Hubert and Arabie, Comparing Partitions, 1985, eq. 5.
    """
    pairs = [each * (each - 1) / 2 for each in (table, table.sum(axis=1), table.sum(axis=0))]
    both, rows, columns = (each.sum() for each in pairs)
    num = table.sum()
    expected = rows * columns / max(num * (num - 1) / 2, 1)
    most = (rows + columns) / 2
    return 1.0 if most == expected else float((both - expected) / (most - expected))


def assignment_accuracy(table: np.ndarray) -> float:
    """The largest part of examples that clusters given a class each, one to one, get right.

    Source: Kuhn, The Hungarian Method for the assignment problem, 1955.
    """
    rows, columns = scipy.optimize.linear_sum_assignment(table, maximize=True)
    return float(table[rows, columns].sum() / table.sum())


def _squared(rows: Array, centre: Array) -> Array:
    return jnp.sum(jnp.square(rows - centre[None]), axis=1)


@jax.jit
def _assign(rows: Array, centres: Array) -> tuple[Array, Array]:
    """The nearest centre int32 [N], the first of equals, and the squared distance to it [N]."""
    offsets = jnp.sum(jnp.square(centres), axis=1)

    def nearest(row: Array) -> tuple[Array, Array]:
        product = jnp.matmul(centres, row, precision=jax.lax.Precision.HIGHEST)
        distances = offsets - 2 * product
        place = jnp.argmin(distances).astype(jnp.int32)
        return place, jnp.maximum(distances[place] + jnp.sum(jnp.square(row)), 0.0)

    return jax.lax.map(nearest, rows, batch_size=min(_BLOCK, len(rows)))
