"""The cells of an encoder's maps, carried to the pixels of an image by bilinear interpolation."""

import functools
import math
from collections.abc import Callable

import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxssl import checkpoints
from jaxssl.types import Array, Features, PyTree

TOKENS = "tokens"
Read = Callable[[PyTree, Array], Array]


def name_of(stage: int | None) -> str:
    """What results call a map: "tokens", or "map of stage 2"."""
    return TOKENS if stage is None else f"map of stage {stage}"


def read_map(features: Features, stage: int | None) -> Array:
    """A map float32 [B, h, w, D]: that of a stage, or the tokens in their square.

    Args:
        features: of an encoder.
        stage: from 0; None: the tokens, of a ViT after its final norm, of others the last map.

    Raises:
        ValueError: no such map, or tokens that form no square.
    """
    if stage is not None:
        if not 0 <= stage < len(features.maps) or features.maps[stage].ndim != 4:
            raise ValueError(
                f"stage: must be one whose map has rows and columns, 0 to {len(features.maps) - 1};"
                f" got {stage}."
            )
        return features.maps[stage].astype(jnp.float32)
    batch, count, width = features.tokens.shape
    side = math.isqrt(count)
    if side**2 != count:
        raise ValueError(f"segment: the encoder's tokens must form a square; got {count} of them.")
    return features.tokens.reshape(batch, side, side, width).astype(jnp.float32)


def of_encoder(encoder: checkpoints.RestoredEncoder, stage: int | None) -> Read:
    """(variables, images [B, S, S, C]) to a map, in evaluation mode."""
    apply = functools.partial(encoder.module.apply, train=False)
    return lambda variables, images: read_map(apply(variables, images), stage)


def of_pixels(side: int) -> Read:
    """(anything, uint8 [B, S, S, C]) to the pixels of each of side x side squares, [B, h, w, D]."""

    def read(_: PyTree, images: Array) -> Array:
        batch, size, _, channels = images.shape
        if size % side:
            raise ValueError(
                f"segment: pixels are those of the encoder's cells, which must divide the image; "
                f"got {side} cells in {size} pixels. Leave pixels out of --encoders."
            )
        cell = size // side
        cut = images.reshape(batch, side, cell, side, cell, channels).swapaxes(2, 3)
        return cut.reshape(batch, side, side, -1).astype(jnp.float32) / 255

    return read


def at_pixels(maps: Array, places: Array, size: int) -> Array:
    """A map interpolated at some pixels of each image, as ``upsample`` would give them.

    Args:
        maps: [B, h, w, D] float32.
        places: int32 [B, P], pixels in raster order.
        size: S, pixels of a side.

    Returns:
        float32 [B, P, D].
    """
    batch, height, width, dim = maps.shape
    rows, columns = (jnp.asarray(weights(length, size)) for length in (height, width))
    cells = rows[places // size][..., :, None] * columns[places % size][..., None, :]
    cells = cells.reshape(batch, -1, height * width)
    return jnp.matmul(cells, maps.reshape(batch, -1, dim), precision=lax.Precision.HIGHEST)


def upsample(maps: Array, size: int) -> Array:
    """Bilinear interpolation of maps [B, h, w, D] to S x S pixels, float32 [B, S, S, D].

    The middle of pixel i lies at (i + 1/2) h / S - 1/2 of the cells, and beyond the first and last
    cell's middle at these (``align_corners=False`` elsewhere). Being linear, with weights that sum
    to 1, it gives the same logits whether features or logits are interpolated.
    """
    rows, columns = (jnp.asarray(weights(length, size)) for length in maps.shape[1:3])
    return jnp.einsum("yh,xw,bhwd->byxd", rows, columns, maps, precision=lax.Precision.HIGHEST)


def weights(length: int, size: int) -> np.ndarray:
    """The part of each of ``length`` cells in each of ``size`` pixels along a side.

    Returns:
        float32 [size, length], rows that sum to 1.
    """
    middles = np.clip((np.arange(size) + 0.5) * length / size - 0.5, 0, length - 1)
    return np.maximum(0, 1 - np.abs(middles[:, None] - np.arange(length))).astype(np.float32)
