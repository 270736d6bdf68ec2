"""An encoder over any number of batches, on all local devices."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence

import jax
import numpy as np

from jaxssl import parallel
from jaxssl.types import Array, PyTree


def forward(
    read: Callable[..., Mapping[str, Array]],
    variables: PyTree,
    batches: Iterable[Mapping[str, np.ndarray]],
    *,
    columns: Sequence[str] = ("image",),
    batch_size: int,
) -> Iterator[tuple[dict[str, np.ndarray], Mapping[str, np.ndarray]]]:
    """Runs a function of a batch over all of them, in one compilation; one is read back at a time.

    Args:
        read: (variables, a [B, ...] of each column) to arrays [B, ...] by name. The same function
            is compiled once, however often it comes.
        variables: of the encoder; an argument, so that they are not compiled into the program.
        batches: each column [B, ...], and maybe others; B at most ``batch_size``. Shorter batches
            are padded with zeros, whose results are dropped.
        columns: what of a batch ``read`` is given, in the order of its arguments.
        batch_size: rows of the compiled batch; rounded up to a multiple of the local devices.

    Yields:
        What ``read`` made of a batch, on the host, and the batch.
    """
    devices = jax.local_devices()
    rows = -(-batch_size // len(devices)) * len(devices)
    sharding = jax.sharding.NamedSharding(parallel.mesh(devices=devices), jax.P("data"))
    compiled = jax.jit(read)
    variables = jax.device_put(variables, parallel.replicated(devices))
    in_flight = None  # one batch is computed while the one before it is read back
    for batch in batches:
        padded = [_padded(batch[name], rows) for name in columns]
        output = compiled(variables, *(jax.device_put(array, sharding) for array in padded))
        if in_flight is not None:
            yield _read_back(*in_flight, columns[0])
        in_flight = output, batch
    if in_flight is not None:
        yield _read_back(*in_flight, columns[0])


def _read_back(
    output: Mapping[str, Array], batch: Mapping[str, np.ndarray], column: str
) -> tuple[dict[str, np.ndarray], Mapping[str, np.ndarray]]:
    count = len(batch[column])
    return {name: np.asarray(values)[:count] for name, values in output.items()}, batch


def _padded(array: np.ndarray, rows: int) -> np.ndarray:
    """With zeros behind it, so many rows."""
    return np.pad(array, [(0, rows - len(array)), *[(0, 0)] * (array.ndim - 1)])
