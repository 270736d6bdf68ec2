"""Contrast by one yes or no for every pair: no example's probability depends on the others'.

Without a normalisation over candidates a loss is a plain sum over pairs, so that it can be summed
in any pieces. The dense form has the matrix of a device's images and all texts at once. The tiled
form has a strip of ``block_size`` images and one device's texts at a time; the texts, and the
gradient that they gather, go round the devices in a ring, and no device ever holds them all.
"""

import functools

import jax
import jax.numpy as jnp

from jaxssl import collectives
from jaxssl.losses import checks, contrastive, meshes, numerics, tiled
from jaxssl.losses.meshes import on_any_mesh
from jaxssl.types import Array, PyTree


@on_any_mesh
def siglip(
    image: Array,
    text: Array,
    *,
    temperature: float | Array,
    bias: float | Array,
    block_size: int | None = None,
    axis_name: str | None = None,
) -> Array:
    """Prices, for every image and every text of the global batch, whether they belong together.

        value_i = sum_j -log sigmoid( z_ij (x_i . y_j / T + b) ),   z_ij = 1 if i = j, else -1

    of L2-normalised rows. The paper's loss is the mean of the values. Its t, a multiplier, is 1/T
    here, as in all losses of this package; it learns log t from log 10 and b from -10, which are
    ``temperature=0.1, bias=-10`` at first. The sign of b is that of the paper's algorithm 1 and of
    the official code; the formula of its section 3.2 prints the other one. Values are per image,
    but their mean is of both directions: exchanging image and text does not change it.

    Args:
        image: [B, D] floating, of any scale; a zero row is orthogonal to everything.
        text: [B, D] floating, row i belonging to image i.
        temperature: T, above 0, unitless; may be traced.
        bias: b, unitless; may be traced.
        block_size: images priced at a time, or None for the dense form. In the tiled form memory
            grows as B x block_size, and gradients are for reverse mode only.
        axis_name: device axis, or None.

    Returns:
        [B], local, per image, in nats, float32 or wider, at least 0.

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: a wrong rank, unequal shapes, temperature not above 0, a bias that is not
            finite, block_size below 1, or a global batch of one, which has no negative.

    Source: Zhai et al.: Sigmoid Loss for Language Image Pre-Training, 2023, arXiv 2303.15343,
    section 3.2 and, for the ring, section 3.3.
    """
    checks.axes("siglip", "B D", image=image, text=text)
    checks.equal_shapes("siglip", image=image.shape, text=text.shape)
    checks.floating("siglip", image=image, text=text)
    checks.temperature("siglip", temperature)
    checks.bias("siglip", bias)
    checks.block_size("siglip", block_size)
    checks.global_batch("siglip", image.shape[0] * collectives.axis_size(axis_name), 2)
    image, text = map(numerics.unit_rows, numerics.at_least_float32(image, text))
    rows = image / jnp.asarray(temperature, image.dtype)
    bias = jnp.asarray(bias, image.dtype)
    ids = contrastive.global_ids(rows.shape[0], axis_name)
    if block_size is None:
        columns, column_ids = collectives.all_gather((text, ids), axis_name)
        agreement = _agreement(rows, columns, bias, ids, column_ids)
        return jnp.sum(jax.nn.softplus(-agreement), axis=1)

    def met(
        rows: Array, columns: Array, ids: Array, bias: Array, *, axis_name: str | None
    ) -> Array:
        rows, columns, bias = collectives.varying((rows, columns, bias), axis_name)
        return _tiled(rows, columns, bias, ids, block_size, axis_name)

    return meshes.by_rows(met, rows, text, ids, shared=(bias,), axis_name=axis_name)


def _agreement(
    rows: Array, columns: Array, bias: Array, row_ids: Array, column_ids: Array
) -> Array:
    """z_ij (x_i . y_j / T + b), [B, M] of [B, D] and [M, D]."""
    logits = tiled.dot(rows, columns.T) + bias
    return jnp.where(row_ids[:, None] == column_ids[None, :], logits, -logits)


@functools.partial(jax.custom_vjp, nondiff_argnums=(4, 5))
def _tiled(
    rows: Array, columns: Array, bias: Array, ids: Array, block_size: int, axis_name: str | None
) -> Array:
    return _tiled_forward(rows, columns, bias, ids, block_size, axis_name)[0]


def _tiled_forward(
    rows: Array, columns: Array, bias: Array, ids: Array, block_size: int, axis_name: str | None
) -> tuple[Array, PyTree]:
    def meet(values: Array, travelling: PyTree) -> tuple[Array, PyTree]:
        columns, column_ids = travelling

        def strip(carry: None, block: PyTree) -> tuple[None, Array]:
            block_rows, block_ids = block
            agreement = _agreement(block_rows, columns, bias, block_ids, column_ids)
            return carry, jnp.sum(jax.nn.softplus(-agreement), axis=1)

        return values + tiled.sweep(strip, None, (rows, ids), block_size)[1], travelling

    start = jnp.zeros_like(rows[:, 0])
    values, _ = tiled.round_the_ring(meet, start, (columns, ids), axis_name)
    return values, (rows, columns, bias, ids)


def _tiled_backward(
    block_size: int, axis_name: str | None, saved: PyTree, gradient: Array
) -> tuple[Array, Array, Array, None]:
    rows, columns, bias, ids = saved

    def meet(carry: PyTree, travelling: PyTree) -> tuple[PyTree, PyTree]:
        rows_gradient, bias_gradient = carry
        columns, column_ids, columns_gradient = travelling

        def strip(carry: PyTree, block: PyTree) -> tuple[PyTree, Array]:
            columns_gradient, bias_gradient = carry
            block_rows, block_ids, block_gradient = block
            agreement = _agreement(block_rows, columns, bias, block_ids, column_ids)
            slope = jax.nn.sigmoid(-agreement)
            slope = jnp.where(block_ids[:, None] == column_ids[None, :], -slope, slope)
            weights = block_gradient[:, None] * slope
            carry = (
                columns_gradient + tiled.dot(weights.T, block_rows),
                bias_gradient + jnp.sum(weights),
            )
            return carry, tiled.dot(weights, columns)

        (columns_gradient, bias_gradient), more = tiled.sweep(
            strip, (columns_gradient, bias_gradient), (rows, ids, gradient), block_size
        )
        return (rows_gradient + more, bias_gradient), (columns, column_ids, columns_gradient)

    (rows_gradient, bias_gradient), (_, _, columns_gradient) = tiled.round_the_ring(
        meet,
        (jnp.zeros_like(rows), jnp.zeros_like(bias)),
        (columns, ids, jnp.zeros_like(columns)),
        axis_name,
    )
    return rows_gradient, columns_gradient, bias_gradient, None


_tiled.defvjp(_tiled_forward, _tiled_backward)
