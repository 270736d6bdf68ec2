"""Rows of a feature matrix, standardised a block at a time, so that no second matrix is made."""

import math
from collections.abc import Iterator

import jax
import jax.numpy as jnp
import numpy as np

from jaxssl.types import Array

# One block and what is computed from it should stay in a CPU's cache; accelerators want fewer
# launches. Values are float32 numbers of the features.
_CPU_BLOCK_VALUES, _BLOCK_VALUES = 2**20, 2**25
_KEPT_BYTES = 2**30  # of standardised blocks kept on a CPU, whose memory the features share
_HOST_BLOCK_VALUES = 2**19  # widened to float64 at a time


class Standardised:
    """(x − mean) · scale of some rows of a feature matrix, made when it is asked for.

    Attributes:
        num: N, rows that take part.
        dim: D, features.
    """

    def __init__(
        self,
        features: np.ndarray,
        *,
        rows: np.ndarray | None = None,
        mean: np.ndarray | None = None,
        scale: np.ndarray | None = None,
    ):
        """Takes a reference to the features; nothing is copied and nothing is changed.

        Args:
            features: [M, D] float32.
            rows: [N] numbers of the rows that take part, in order; all of them without it.
            mean: [D] float64 that float32 holds exactly (see ``moments``); zeros without it.
            scale: [D] float64 alike; ones without it.
        """
        self._features, self._rows = features, rows
        self.num, self.dim = len(features) if rows is None else len(rows), features.shape[1]
        self._mean = np.zeros(self.dim) if mean is None else mean
        self._scale = np.ones(self.dim) if scale is None else scale

    def wide(self, first: int, last: int) -> np.ndarray:
        """Rows ``first`` to ``last`` of those that take part, float64, on the host."""
        block = self._raw(slice(first, last)).astype(np.float64)
        block -= self._mean
        block *= self._scale
        return block

    def wide_blocks(self) -> Iterator[tuple[int, np.ndarray]]:
        """All rows in order, float64, as (number of the first row, [B, D])."""
        size = max(1, _HOST_BLOCK_VALUES // self.dim)
        for first in range(0, self.num, size):
            yield first, self.wide(first, first + size)

    def take(self, places: slice | np.ndarray) -> Array:
        """The rows at these places, float32 [len(places), D], on the device."""
        return _standardise(
            jax.device_put(self._raw(places)),
            jnp.asarray(self._mean, jnp.float32),
            jnp.asarray(self._scale, jnp.float32),
        )

    def _raw(self, places: slice | np.ndarray) -> np.ndarray:
        return self._features[places if self._rows is None else self._rows[places]]


class DeviceBlocks:
    """Standardised rows on the device in blocks of one size, the last one filled up with zeros.

    Accelerators keep the blocks. A CPU, where device memory is the host's, keeps up to 1 GiB of
    them and makes larger ones again for every sweep: the features are then held once.

    Attributes:
        size: B, rows of a block.
        count: number of blocks.
    """

    def __init__(self, rows: Standardised):
        on_cpu = jax.default_backend() == "cpu"
        values = _CPU_BLOCK_VALUES if on_cpu else _BLOCK_VALUES
        self._rows = rows
        self.count = math.ceil(rows.num / max(1, values // rows.dim))
        self.size = math.ceil(rows.num / self.count)
        keep = not on_cpu or 4 * rows.num * rows.dim <= _KEPT_BYTES
        self._kept = [self._make(index) for index in range(self.count)] if keep else None

    def __iter__(self) -> Iterator[Array]:
        """[B, D] float32, in order."""
        return iter(self._kept or map(self._make, range(self.count)))

    def split(self, values: np.ndarray, *, fill: int) -> list[Array]:
        """[N] values of the rows as one [B] for each block; ``fill`` where there is no row."""
        padded = np.full(self.count * self.size, fill, values.dtype)
        padded[: len(values)] = values
        return [jnp.asarray(block) for block in np.split(padded, self.count)]

    def _make(self, index: int) -> Array:
        first = index * self.size
        block = self._rows.take(slice(first, min(first + self.size, self._rows.num)))
        missing = self.size - len(block)
        return jnp.pad(block, [(0, missing), (0, 0)]) if missing else block


def moments(
    features: np.ndarray, *, rows: np.ndarray | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and reciprocal standard deviation of each feature.

    Both are rounded to what float32 holds, so that standardising in float32 and in float64 means
    the same problem. Two passes over the rows in blocks, sums in float64.

    Args:
        features: [M, D] float32.
        rows: [N] numbers of the rows that count; all of them without it.

    Returns:
        mean [D] and scale [D], float64; scale is 0 for a feature whose spread is below the float32
        resolution of its mean: rounding, not information.
    """
    raw = Standardised(features, rows=rows)
    total = np.zeros(raw.dim)
    for _, block in raw.wide_blocks():
        total += block.sum(axis=0)
    mean = total / raw.num
    squares = np.zeros(raw.dim)
    for _, block in raw.wide_blocks():
        block -= mean
        squares += np.einsum("nd,nd->d", block, block)
    deviation = np.sqrt(squares / raw.num)
    varies = deviation > np.finfo(np.float32).eps * np.abs(mean)
    scale = np.where(varies, 1.0 / np.where(varies, deviation, 1.0), 0.0)
    mean, scale = (each.astype(np.float32).astype(np.float64) for each in (mean, scale))
    return mean, scale


@jax.jit
def _standardise(block: Array, mean: Array, scale: Array) -> Array:
    return (block - mean[None]) * scale[None]
