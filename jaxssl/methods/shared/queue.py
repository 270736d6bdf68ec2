"""A first-in, first-out memory of rows, equal on all devices: MoCo's and NNCLR's queue."""

import jax
import jax.numpy as jnp
from jax import lax

from jaxssl import collectives
from jaxssl.types import Array


def start(key: Array, size: int, num_features: int) -> Array:
    """A queue of random unit rows, as the MoCo code begins with.

    Args:
        key: PRNG key.
        size: Q, rows.
        num_features: D.

    Returns:
        float32 [Q, D].
    """
    rows = jax.random.normal(key, (size, num_features), jnp.float32)
    return rows / jnp.linalg.norm(rows, axis=-1, keepdims=True)


def push(queue: Array, rows: Array, *, axis_name: str | None) -> Array:
    """Puts the rows of all devices in front, in the order of the global batch; the oldest go.

    Args:
        queue: [Q, D], equal on all devices, newest first.
        rows: [B, D], local. No gradient flows through the queue.
        axis_name: device axis, or None.

    Returns:
        [Q, D], equal on all devices; where G exceeds Q, the first Q rows of the batch.
    """
    rows = lax.stop_gradient(rows).astype(queue.dtype)
    rows = collectives.all_gather_equal(rows, axis_name)
    return jnp.concatenate([rows, queue])[: len(queue)]


def share(queue: Array, *, axis_name: str | None) -> Array:
    """This device's equal part of a queue [Q, D], [Q / devices, D].

    Raises:
        ValueError: Q is no multiple of the number of devices.
    """
    num_devices = collectives.axis_size(axis_name)
    if len(queue) % num_devices:
        raise ValueError(
            f"queue: its size must be a multiple of the number of devices; got {len(queue)} rows "
            f"for {num_devices} devices."
        )
    size = len(queue) // num_devices
    first = collectives.axis_index(axis_name) * size
    return lax.dynamic_slice_in_dim(queue, first, size)
