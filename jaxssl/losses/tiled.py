"""Log-sum-exp over the negatives, by strips of rows: exact, with memory linear in the batch.

``across`` and ``within`` compute, for every row i,

    l_i = log sum_j exp(rows_i . columns_j)   over the columns j whose id differs from the row's,

which is all of a contrastive loss that needs the whole matrix of logits. The matrix exists only as
one strip of ``block_size`` rows and one device's columns at a time, and again in the backward pass,
which recomputes it: p_ij = exp(s_ij - l_i) needs nothing else. Every exponent is at most 0 whatever
the temperature, because each l is at least as large as any of its terms, so nothing overflows, and
only what is negligible beside its sum underflows.

Devices: rows are local, and no device ever holds those of all. Columns go round the devices in a
ring, with their ids and with what the backward pass needs or gathers of them, and every device adds
what it meets: its memory depends on its own rows alone, however many devices there are.
"""

import functools
from collections.abc import Callable

import jax
import jax.numpy as jnp
from jax import lax

from jaxssl import collectives
from jaxssl.losses import meshes
from jaxssl.types import Array, PyTree


def logits(rows: Array, columns: Array, row_ids: Array, column_ids: Array) -> Array:
    """All dot products [B, M] of [B, D] and [M, D]; hugely negative, not -inf, where ids agree.

    A finite mask keeps the value and the gradient finite (0) for a row without any negative.
    """
    products = dot(rows, columns.T)
    return jnp.where(
        row_ids[:, None] == column_ids[None, :], jnp.finfo(products.dtype).min / 2, products
    )


def across(
    rows: Array,
    columns: Array,
    row_ids: Array,
    column_ids: Array,
    *,
    block_size: int,
    axis_name: str | None,
    shared: bool = False,
) -> Array:
    """Log-sum-exp of each row over columns of another origin.

    Args:
        rows: [B, D], local; differentiable.
        columns: [M, D], this device's candidates, or with ``shared`` all; differentiable.
        row_ids: int32 [B].
        column_ids: int32 [M].
        block_size: rows in one strip, at least 1.
        axis_name: device axis, or None.
        shared: whether the columns are equal on all devices, and stay where they are.

    Returns:
        [B], local. About -1e38 for a row without a negative.
    """
    if shared:

        def met_shared(
            rows: Array, row_ids: Array, columns: Array, column_ids: Array, *, axis_name: str | None
        ) -> Array:
            rows, columns = collectives.varying((rows, columns), axis_name)
            return _across(rows, columns, row_ids, column_ids, block_size, None)

        shared_columns = (columns, column_ids)
        return meshes.by_rows(met_shared, rows, row_ids, shared=shared_columns, axis_name=axis_name)

    def met(
        rows: Array, columns: Array, row_ids: Array, column_ids: Array, *, axis_name: str | None
    ) -> Array:
        rows, columns = collectives.varying((rows, columns), axis_name)
        return _across(rows, columns, row_ids, column_ids, block_size, axis_name)

    return meshes.by_rows(met, rows, columns, row_ids, column_ids, axis_name=axis_name)


def within(*views: Array, ids: Array, block_size: int, axis_name: str | None) -> Array:
    """Log-sum-exp of each row over the rows of other examples, of all views and devices.

    The matrix is symmetric, so one recomputed strip holds both p_ij and p_ji = exp(s_ij - l_j):
    with g the incoming gradient, d rows_i = sum_j (g_i p_ij + g_j p_ji) rows_j. That is three
    products of matrices in all where ``across`` takes four, and in the backward pass the numbers l
    and g go round with the rows instead of the gradients that these gather.

    Args:
        *views: V of [B, D], local; differentiable.
        ids: int32 [B], one for the views of an example.
        block_size: rows in one strip, at least 1.
        axis_name: device axis, or None.

    Returns:
        [B, V], local. About -1e38 for a row without a negative.
    """

    def met(*given: Array, axis_name: str | None) -> Array:
        *views, ids = given
        rows = collectives.varying(jnp.concatenate(views), axis_name)
        values = _within(rows, jnp.tile(ids, len(views)), block_size, axis_name)
        return values.reshape(len(views), -1).T

    return meshes.by_rows(met, *views, ids, axis_name=axis_name)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def _across(
    rows: Array,
    columns: Array,
    row_ids: Array,
    column_ids: Array,
    block_size: int,
    axis_name: str | None,
) -> Array:
    return _logsumexp(rows, columns, row_ids, column_ids, block_size, axis_name)


def _across_forward(
    rows: Array,
    columns: Array,
    row_ids: Array,
    column_ids: Array,
    block_size: int,
    axis_name: str | None,
) -> tuple[Array, PyTree]:
    value = _logsumexp(rows, columns, row_ids, column_ids, block_size, axis_name)
    return value, (rows, columns, row_ids, column_ids, value)


def _across_backward(
    block_size: int, axis_name: str | None, saved: PyTree, gradient: Array
) -> tuple[Array, Array, None, None]:
    rows, columns, row_ids, column_ids, value = saved

    def meet(rows_gradient: Array, travelling: PyTree) -> tuple[Array, PyTree]:
        columns, column_ids, columns_gradient = travelling

        def strip(columns_gradient: Array, block: PyTree) -> tuple[Array, Array]:
            block_rows, block_ids, block_value, block_gradient = block
            exponent = logits(block_rows, columns, block_ids, column_ids) - block_value[:, None]
            weights = block_gradient[:, None] * jnp.exp(exponent)
            return columns_gradient + dot(weights.T, block_rows), dot(weights, columns)

        columns_gradient, more = sweep(
            strip, columns_gradient, (rows, row_ids, value, gradient), block_size
        )
        return rows_gradient + more, (columns, column_ids, columns_gradient)

    travelling = columns, column_ids, jnp.zeros_like(columns)
    rows_gradient, (_, _, columns_gradient) = round_the_ring(
        meet, jnp.zeros_like(rows), travelling, axis_name
    )
    return rows_gradient, columns_gradient, None, None


@functools.partial(jax.custom_vjp, nondiff_argnums=(2, 3))
def _within(rows: Array, ids: Array, block_size: int, axis_name: str | None) -> Array:
    return _within_forward(rows, ids, block_size, axis_name)[0]


def _within_forward(
    rows: Array, ids: Array, block_size: int, axis_name: str | None
) -> tuple[Array, PyTree]:
    value = _logsumexp(rows, rows, ids, ids, block_size, axis_name)
    return value, (rows, ids, value)


def _within_backward(
    block_size: int, axis_name: str | None, saved: PyTree, gradient: Array
) -> tuple[Array, None]:
    rows, ids, value = saved
    own = rows, ids, value, gradient

    def meet(rows_gradient: Array, travelling: PyTree) -> tuple[Array, PyTree]:
        columns, column_ids, column_value, column_gradient = travelling

        def strip(carry: None, block: PyTree) -> tuple[None, Array]:
            block_rows, block_ids, block_value, block_gradient = block
            products = logits(block_rows, columns, block_ids, column_ids)
            weights = block_gradient[:, None] * jnp.exp(products - block_value[:, None])
            weights += column_gradient[None, :] * jnp.exp(products - column_value[None, :])
            return carry, dot(weights, columns)

        return rows_gradient + sweep(strip, None, own, block_size)[1], travelling

    rows_gradient, _ = round_the_ring(meet, jnp.zeros_like(rows), own, axis_name)
    return rows_gradient, None


_across.defvjp(_across_forward, _across_backward)
_within.defvjp(_within_forward, _within_backward)


def _logsumexp(
    rows: Array,
    columns: Array,
    row_ids: Array,
    column_ids: Array,
    block_size: int,
    axis_name: str | None,
) -> Array:
    def meet(value: Array, travelling: PyTree) -> tuple[Array, PyTree]:
        columns, column_ids = travelling

        def strip(carry: None, block: PyTree) -> tuple[None, Array]:
            block_rows, block_ids = block
            products = logits(block_rows, columns, block_ids, column_ids)
            return carry, jax.nn.logsumexp(products, axis=1)

        more = sweep(strip, None, (rows, row_ids), block_size)[1]
        return jnp.logaddexp(value, more), travelling

    nothing = jnp.full_like(rows[:, 0], jnp.finfo(rows.dtype).min)
    return round_the_ring(meet, nothing, (columns, column_ids), axis_name)[0]


def round_the_ring(
    meet: Callable[[PyTree, PyTree], tuple[PyTree, PyTree]],
    carry: PyTree,
    travelling: PyTree,
    axis_name: str | None,
) -> tuple[PyTree, PyTree]:
    """Brings what every device sends round past all devices, and home.

    Args:
        meet: ``(carry, travelling) -> (carry, travelling)``, of what stays and what is passing by.
        carry: what stays here.
        travelling: what this device sends round.
        axis_name: device axis, or None for one device.

    Returns:
        Both after as many meetings as there are devices.
    """

    def turn(both: tuple[PyTree, PyTree], _: None) -> tuple[tuple[PyTree, PyTree], None]:
        carry, travelling = meet(*both)
        return (carry, collectives.from_previous(travelling, axis_name)), None

    both, _ = lax.scan(turn, (carry, travelling), length=collectives.axis_size(axis_name))
    return both


def sweep(
    strip: Callable[[PyTree, PyTree], tuple[PyTree, Array]],
    carry: PyTree,
    arrays: PyTree,
    block_size: int,
) -> tuple[PyTree, Array]:
    """Scans ``strip(carry, block) -> (carry, output)`` over blocks of rows, the last maybe short.

    Args:
        strip: of what the strips before left and of a block of the arrays; its output [rows of the
            block, ...].
        carry: what the first strip finds.
        arrays: [B, ...] each.
        block_size: rows in one strip, at least 1.

    Returns:
        What the last strip leaves, and the outputs of all, [B, ...].
    """
    num_rows = jax.tree.leaves(arrays)[0].shape[0]
    block_size = min(block_size, num_rows)
    num_blocks = num_rows // block_size
    num_whole = num_blocks * block_size
    blocks = jax.tree.map(
        lambda array: array[:num_whole].reshape(num_blocks, block_size, *array.shape[1:]), arrays
    )
    carry, outputs = lax.scan(strip, carry, blocks)
    outputs = outputs.reshape(num_whole, *outputs.shape[2:])
    if num_whole == num_rows:
        return carry, outputs
    carry, rest = strip(carry, jax.tree.map(lambda array: array[num_whole:], arrays))
    return carry, jnp.concatenate([outputs, rest])


def dot(left: Array, right: Array) -> Array:
    """Product of two matrices at full float32 precision.

    Accelerators would otherwise round embeddings to 10 or 7 bits, which a temperature of 0.05 turns
    into errors of 0.02 to 0.1 nats.
    """
    return jnp.matmul(left, right, precision=lax.Precision.HIGHEST)
