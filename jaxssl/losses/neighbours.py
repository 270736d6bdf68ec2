"""Nearest neighbours on the unit sphere: a regulariser that spreads rows, and a lookup.

Rows have any scale and are L2-normalised inside; similarities are computed at full float32
precision, since a neighbour is a matter of small differences.
"""

import jax.numpy as jnp
from jax import lax

from jaxssl import collectives
from jaxssl.losses import checks, contrastive, numerics, tiled
from jaxssl.losses.meshes import on_any_mesh
from jaxssl.types import Array


@on_any_mesh
def koleo(features: Array, *, epsilon: float = 1e-8, axis_name: str | None = None) -> Array:
    """Minus the log distance of each row to its nearest neighbour in the global batch.

        value_i = -log( min_{j != i} || x_i - x_j || + epsilon ),   x = row / ||row||

    Its mean estimates the negative differential entropy of the features: minimising it spreads
    them. The row and its neighbour both receive gradients; a row that coincides with its
    neighbour costs -log epsilon and has none.

    With ``axis_name`` all devices' rows are searched, as the official DINOv3 code can; without it
    only this device's, as in the official DINOv2 code and in DINOv3's recipe for its 7B network.
    Both call it once for each full-size view and add the means: among the views of one example the
    nearest row would be the other view, which is to stay near.

    Args:
        features: [B, D] floating, one view of each example.
        epsilon: added to the distance, above 0.
        axis_name: device axis, or None.

    Returns:
        [B], local, per example, in nats, float32 or wider, from -log 2 to -log epsilon.

    Raises:
        TypeError: features not floating.
        ValueError: a wrong rank, epsilon not above 0, or a global batch of one.

    Source: Sablayrolles et al.: Spreading vectors for similarity search, 2018, arXiv 1806.03198,
    section 3; as used by Oquab et al.: DINOv2, 2023, arXiv 2304.07193, section 4, and Siméoni et
    al.: DINOv3, 2025, arXiv 2508.10104, section 3.
    """
    checks.above_zero("koleo", epsilon=epsilon)
    distance = nearest_distances("koleo", features, axis_name=axis_name)
    return -jnp.log(distance + epsilon)


def nearest_distances(function: str, features: Array, *, axis_name: str | None) -> Array:
    """Distance of each row to the nearest other row of all devices, on the unit sphere.

    Args:
        function: the public function, which errors name.
        features: [B, D] floating.
        axis_name: device axis, or None.

    Returns:
        [B], local, float32 or wider, 0 to 2.
    """
    checks.axes(function, "B D", features=features)
    checks.floating(function, features=features)
    checks.global_batch(function, features.shape[0] * collectives.axis_size(axis_name), 2)
    rows = numerics.unit_rows(*numerics.at_least_float32(features))
    ids = contrastive.global_ids(rows.shape[0], axis_name)
    columns, column_ids = collectives.all_gather((rows, ids), axis_name)
    products = tiled.logits(rows, columns, ids, column_ids)
    nearest = jnp.argmax(lax.stop_gradient(products), axis=1)
    # The difference, not 2 - 2 cos, keeps the precision of small distances.
    square = jnp.sum(jnp.square(rows - columns[nearest]), axis=1)
    is_zero = square == 0
    return jnp.where(is_zero, 0, jnp.sqrt(jnp.where(is_zero, 1, square)))


def nearest_neighbours(query: Array, bank: Array) -> Array:
    """Which row of a bank is nearest to each query, by cosine.

        index_i = argmax_m q_i . b_m,   of normalised rows

    NNCLR contrasts the neighbour instead of the view itself, ``info_nce(bank[index], positive)``
    with the bank a queue of past embeddings, equal on all devices. Ties go to the first row.

    Args:
        query: [B, D] floating.
        bank: [Q, D] floating, Q at least 1. A row not yet filled should be random, not zero: a
            zero row beats every row at an obtuse angle.

    Returns:
        [B] int32, local, in 0 ... Q - 1. No gradient.

    Raises:
        TypeError: an array not floating.
        ValueError: a wrong rank, rows of unequal length, or an empty bank.

    Source: Dwibedi et al.: With a Little Help from My Friends: Nearest-Neighbor Contrastive
    Learning of Visual Representations, 2021, arXiv 2104.14548, section 3.
    """
    checks.axes("nearest_neighbours", "B D", query=query)
    checks.axes("nearest_neighbours", "Q D", bank=bank)
    checks.floating("nearest_neighbours", query=query, bank=bank)
    checks.equal_shapes(
        "nearest_neighbours", **{"query rows": query.shape[1:], "bank rows": bank.shape[1:]}
    )
    checks.at_least("nearest_neighbours", 1, **{"rows of bank": bank.shape[0]})
    query, bank = numerics.at_least_float32(query, bank)
    # The query's own length changes no order, but tiny and huge ones would.
    query, bank = lax.stop_gradient((numerics.unit_rows(query), numerics.unit_rows(bank)))
    products = jnp.matmul(query, bank.T, precision=lax.Precision.HIGHEST)
    return jnp.argmax(products, axis=1).astype(jnp.int32)
