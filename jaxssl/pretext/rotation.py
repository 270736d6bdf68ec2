"""Rotation prediction: the label is the number of right angles an image was turned by.

Pixels are only moved, by transposes and reversals: interpolation would leave traces that give the
label away. Any dtype passes through unchanged.

Source: Gidaris et al., Unsupervised Representation Learning by Predicting Image Rotations, 2018,
arXiv:1803.07728, section 3.
"""

import jax
import jax.numpy as jnp
from jax import lax

from jaxssl.types import Array

NUM_ROTATIONS = 4


def rotate90(image: Array, label: Array | int) -> Array:
    """Turns a square image counter-clockwise by ``label`` right angles, bit for bit.

    Args:
        image: [H, H, C], any dtype.
        label: int32 scalar, taken modulo 4, so that ``-label`` undoes it.

    Returns:
        [H, H, C], the dtype of ``image``.

    Raises:
        ValueError: on an image that is not square or has no channel axis.
    """
    turns = _four_turns("rotate90", image)
    return lax.select_n(jnp.remainder(jnp.int32(label), NUM_ROTATIONS), *turns)


def random_rotation(key: Array, image: Array) -> tuple[Array, Array]:
    """Turns a square image by a uniformly drawn label.

    One random label per visit of an image, where the paper puts all four copies into the batch
    (``all_rotations``).

    Args:
        key: PRNG key.
        image: [H, H, C], any dtype.

    Returns:
        The turned image [H, H, C] and its label, int32 scalar in 0 .. 3.

    Raises:
        ValueError: on an image that is not square or has no channel axis.
    """
    label = jax.random.randint(key, (), 0, NUM_ROTATIONS, jnp.int32)
    return rotate90(image, label), label


def all_rotations(image: Array) -> tuple[Array, Array]:
    """All four turns of a square image, the paper's batch: every step sees each class equally.

    Args:
        image: [H, H, C], any dtype.

    Returns:
        [4, H, H, C] and the labels 0, 1, 2, 3 as int32 [4].

    Raises:
        ValueError: on an image that is not square or has no channel axis.
    """
    return jnp.stack(_four_turns("all_rotations", image)), jnp.arange(
        NUM_ROTATIONS, dtype=jnp.int32
    )


def _four_turns(function: str, image: Array) -> tuple[Array, Array, Array, Array]:
    if image.ndim != 3 or image.shape[0] != image.shape[1]:
        raise ValueError(
            f"{function}: an image must be square, [H, H, C]; got shape {image.shape}. "
            "Crop it to a square first, and map over a batch with jax.vmap."
        )
    transposed = image.transpose(1, 0, 2)
    return image, transposed[::-1], image[::-1, ::-1], transposed[:, ::-1]
