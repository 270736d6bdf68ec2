"""What a run measures beside the loss: how far its features and embeddings have collapsed.

A joint-embedding loss can fall to its best value while the encoder forgets its input. These numbers
show it in every row of metrics, under names that begin with ``collapse.PREFIX``:

| name | of what | collapsed | healthy |
|---|---|---|---|
| ``feature_spread`` | the encoder's pooled features | 0 | towards 1 |
| ``feature_rank`` | the same | 1 | towards D |
| ``feature_decay`` | the same | far above 1 | near 1 |
| ``embedding_spread`` | what the loss compares | 0 | near 1 |
| ``embedding_rank`` | the same | 1 | towards D |
| ``embedding_scale`` | the same | 0 | any, but steady |
| ``alignment`` | two views' embeddings | 0 as well | small |
| ``uniformity`` | embeddings | 0 | towards -4 |
| ``neighbour_distance`` | embeddings | 0 | far from 0 |
| ``prototypes_used`` | assignments | 1 | towards M |
| ``target_distance`` | parameters and those of the target | any | small |

A spread is ``measures.feature_std`` times sqrt(D), which does not depend on D, a decay is
``measures.spectral_decay``; the others are those of ``collapse.measures`` and ``collapse.target``.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxssl import collectives, draws
from jaxssl.collapse import measures, target
from jaxssl.types import Array, Batch, Embeddings, Method, Metrics, PyTree, TrainState

# Rows of the global batch that are measured: the time of a singular value decomposition grows with
# the cube of them, and a rank of a few hundred needs no more.
MAX_ROWS = 2048

Watch = Callable[[TrainState, Batch], Metrics]


def make_watch(
    method: Method,
    *,
    seed: int,
    axis_name: str | None = None,
    features: Callable[[PyTree, Batch], Array] | None = None,
) -> Watch | None:
    """Builds the per-device measurement of a state, on the batch of the step that made it.

    The embeddings are those of the very views which that step saw, made anew. Everything but
    ``prototypes_used`` is measured on the first ``MAX_ROWS`` rows of the global batch, gathered, so
    that the numbers do not depend on how many devices share it.

    Args:
        method: a method built with the same ``axis_name``.
        seed: the run's seed, for the views.
        axis_name: device axis the measurement will be mapped over, or None for one device.
        features: ``(variables, batch) -> [B, D]``, the encoder's features of the images as they
            are, in evaluation mode; variables are what ``method.encoder`` gives.

    Returns:
        ``(TrainState, Batch) -> Metrics``, pure, deterministic; float32 scalars equal on all
        devices. None where there is nothing to measure: neither ``features`` nor ``method.embed``.
    """
    if features is None and method.embed is None:
        return None

    def watch(state: TrainState, batch: Batch) -> Metrics:
        measured = {}
        if features is not None:
            rows = features(method.encoder(state.params, state.state), batch)
            rows = _first_rows(rows, axis_name)
            measured["feature_spread"] = _spread(rows)
            measured["feature_rank"] = measures.effective_rank(rows)
            if measures.has_spectrum(*rows.shape):
                measured["feature_decay"] = measures.spectral_decay(rows)
        if pair := target.online_and_target(state.params, state.state):
            measured["target_distance"] = target.target_distance(*pair)
        if method.embed is not None:
            num_examples = len(jax.tree.leaves(batch)[0])
            keys = draws.example_keys(seed, state.step - 1, num_examples, axis_name)
            views = draws.make_views(method, batch, keys)
            measured |= of_embeddings(method.embed(state.params, state.state, views), axis_name)
        return {
            measures.PREFIX + name: value.astype(jnp.float32) for name, value in measured.items()
        }

    return watch


def of_embeddings(embeddings: Embeddings, axis_name: str | None = None) -> Metrics:
    """All measurements of a batch of embeddings, by name, without the prefix.

    Args:
        embeddings: of this device's examples.
        axis_name: device axis, or None.

    Returns:
        Scalars, float32 or wider, equal on all devices. ``alignment`` only where there is a second
        view, ``prototypes_used`` only where there are assignments, ``uniformity`` and
        ``neighbour_distance`` only of a global batch of two or more.
    """
    rows = _first_rows(embeddings.first, axis_name)
    measured = {
        "embedding_spread": _spread(rows),
        "embedding_rank": measures.effective_rank(rows),
        "embedding_scale": jnp.mean(jnp.std(rows, axis=0)),
    }
    if len(rows) > 1:
        measured["uniformity"] = measures.uniformity(rows)
        measured["neighbour_distance"] = measures.neighbour_distance(rows)
    if embeddings.second is not None:
        second = _first_rows(embeddings.second, axis_name)
        measured["alignment"] = measures.alignment(rows, second)
    if embeddings.assignments is not None:
        entropy = measures.usage_entropy(embeddings.assignments, axis_name=axis_name)
        measured["prototypes_used"] = jnp.exp(entropy)
    return measured


def _first_rows(rows: Array, axis_name: str | None) -> Array:
    """The first rows of the global batch, float32 or wider, equal on all devices."""
    rows = rows.astype(jnp.promote_types(rows.dtype, jnp.float32))
    return collectives.all_gather_equal(rows, axis_name)[:MAX_ROWS]


def _spread(rows: Array) -> Array:
    """Standard deviation of the unit rows over that of rows in all directions: 0 to 1."""
    return measures.feature_std(rows) * jnp.sqrt(jnp.asarray(rows.shape[1], rows.dtype))
