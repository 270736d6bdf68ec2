"""The dtype and scale policy that the losses share."""

import jax.numpy as jnp
from jax import lax

from jaxssl.types import Array


def at_least_float32(*arrays: Array) -> tuple[Array, ...]:
    """Casts floating arrays to float32, or all of them to float64 where one of them is."""
    is_wide = any(array.dtype == jnp.float64 for array in arrays)
    dtype = jnp.float64 if is_wide else jnp.float32
    return tuple(array.astype(dtype) for array in arrays)


def unit_rows(rows: Array) -> Array:
    """Divides every row by its L2 norm; a zero row stays zero, and so does its gradient.

    A row counts as zero where no entry exceeds ``sqrt(tiny)`` of its dtype (1.1e-19 in float32):
    below, its squares vanish, and its true gradient, of the size of 1 / norm, would overflow once
    squared in a gradient norm. Rows are divided by their largest entry first, so that the squares
    of huge ones do not overflow either; the result does not depend on that divisor, so no
    gradient flows through it.

    Args:
        rows: [..., D] float32 or wider, of any scale.

    Returns:
        [..., D], of norm 1 or 0.
    """
    largest = lax.stop_gradient(jnp.max(jnp.abs(rows), axis=-1, keepdims=True))
    is_zero = largest < jnp.sqrt(jnp.finfo(rows.dtype).tiny)
    # Both branches of a where are differentiated: keep the unused one away from 0 / 0 too.
    scaled = jnp.where(is_zero, jnp.ones_like(rows), rows) / jnp.where(is_zero, 1, largest)
    norm = jnp.sqrt(jnp.sum(jnp.square(scaled), axis=-1, keepdims=True))
    return jnp.where(is_zero, 0, scaled / norm)
