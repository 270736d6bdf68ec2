"""Counter-measures against shortcuts: what tells where a patch was without telling what it shows.

Chromatic aberration shifts the colour channels against each other, more so towards the border of a
photograph, and neighbouring patches share brightness and contrast; a network reads the answer off
these if it can. Each function takes one patch, float32, and leaves it near [0, 1] where it came
from there; nothing is clipped.
"""

from typing import Literal

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxssl import checks
from jaxssl.types import Array

# The colour axis from green to magenta, along which aberration shows most.
_GREEN_MAGENTA = np.array([-1.0, 2.0, -1.0])
PROJECTION = np.eye(3) - np.outer(_GREEN_MAGENTA, _GREEN_MAGENTA) / (
    _GREEN_MAGENTA @ _GREEN_MAGENTA
)
NOISES = ("paper", "code")
GREY = 0.5
TILE_STD = 0.25
LEAST_STD = 1 / 255  # one grey level


def project_colors(patch: Array) -> Array:
    """Removes what green has over the mean of red and blue.

        out = (I - aᵀa / (a aᵀ)) · pixel,   a = (-1, 2, -1)

    The matrix is symmetric and idempotent, keeps greys, and does not tell red from blue. Because
    it keeps greys, it makes no difference whether a grey mean is subtracted first, as the paper
    does.

    Args:
        patch: [H, W, 3] floating.

    Returns:
        [H, W, 3], the dtype of ``patch``; colours may leave [0, 1].

    Raises:
        ValueError: on another number of channels.

    Source: Doersch et al., Unsupervised Visual Representation Learning by Context Prediction, 2015,
    arXiv:1505.05192, section 3.1.
    """
    _check_colors("project_colors", patch)
    matrix = jnp.asarray(PROJECTION, patch.dtype)
    # Multiply-adds over whole planes: a dot with an inner size of 3 is several times slower.
    red, green, blue = (patch[..., c : c + 1] * matrix[None, None, c] for c in range(3))
    return red + green + blue


def drop_colors(key: Array, patch: Array, *, noise: Literal["paper", "code"] = "paper") -> Array:
    """Keeps one colour channel, drawn uniformly, and fills the other two with noise.

    The kept channel loses its mean; the noise of the others has mean 0: Gaussian with 1/100 of the
    kept channel's standard deviation ("paper"), or uniform within half a grey level ("code": the
    official program's U(-.5, .5) on its scale of 255). Mid grey is then added to all three, since
    encoders expect [0, 1].

    Args:
        key: PRNG key.
        patch: [H, W, 3] float32.
        noise: "paper" or "code".

    Returns:
        [H, W, 3] float32 of mean 1/2 in every channel (of the noise, in expectation); values may
        leave [0, 1].

    Raises:
        ValueError: on another number of channels or another ``noise``.

    Source: Doersch et al., 2015, arXiv:1505.05192, section 3.1 (color dropping).
    """
    _check_colors("drop_colors", patch)
    checks.choice("drop_colors", NOISES, noise=noise, fix="Use 'paper'.")
    channel_key, noise_key = jax.random.split(key)
    kept = jax.random.randint(channel_key, (), 0, 3, jnp.int32) == jnp.arange(3, dtype=jnp.int32)
    centred = patch - jnp.mean(patch, axis=(0, 1), keepdims=True)
    if noise == "paper":
        variance = jnp.mean(jnp.square(centred), axis=(0, 1))  # [C]
        std = jnp.sqrt(jnp.sum(jnp.where(kept, variance, 0.0)))
        filling = 0.01 * std * jax.random.normal(noise_key, patch.shape, jnp.float32)
    else:
        filling = jax.random.uniform(noise_key, patch.shape, jnp.float32, -0.5, 0.5) / 255
    return GREY + jnp.where(kept[None, None, :], centred, filling)


def shift_channels(key: Array, patch: Array, *, size: int) -> Array:
    """Crops every channel at a place of its own, so that no fixed shift between them is left.

    Offsets are uniform in {0 … P - size}², independent of each other.

    Args:
        key: PRNG key.
        patch: [P, P, C], any dtype; larger than the result by the largest shift.
        size: side of the result, pixels.

    Returns:
        [size, size, C], the dtype of ``patch``.

    Raises:
        ValueError: ``size`` is larger than the patch.

    Source: Noroozi and Favaro, Unsupervised Learning of Visual Representations by Solving Jigsaw
    Puzzles, 2016, arXiv:1603.09246, section 4.2 (chromatic aberration: 0-2 pixels).
    """
    room = min(patch.shape[:2]) - size
    if room < 0:
        raise ValueError(
            f"shift_channels: size must be at most the patch's side; got {size} for a patch of "
            f"{patch.shape[0]} x {patch.shape[1]}. Cut the patch larger by the largest shift."
        )
    offsets = jax.random.randint(key, (patch.shape[-1], 2), 0, room + 1, jnp.int32)
    crop = jax.vmap(
        lambda plane, offset: lax.dynamic_slice(plane, (offset[0], offset[1]), (size, size)),
        in_axes=(2, 0),
        out_axes=2,
    )
    return crop(patch, offsets)


def normalize_tile(tile: Array) -> Array:
    """Gives a tile mean 1/2 and standard deviation 1/4, over all its pixels and channels together.

    The paper's mean 0 and deviation 1, in the units of images, where encoders standardise. A
    standard deviation below one grey level (1/255) counts as one: noise is not blown up into a
    picture, and an even tile becomes mid grey.

    Args:
        tile: [H, W, C] float32 in [0, 1].

    Returns:
        [H, W, C] float32; values may leave [0, 1].

    Source: Noroozi and Favaro, 2016, arXiv:1603.09246, section 4.2 (low-level statistics); over
    all channels as in their program.
    """
    centred = tile - jnp.mean(tile)
    std = jnp.sqrt(jnp.mean(jnp.square(centred)))
    return GREY + TILE_STD * centred / jnp.maximum(std, LEAST_STD)


def _check_colors(function: str, patch: Array) -> None:
    if patch.shape[-1] != 3:
        raise ValueError(
            f"{function}: a patch must have 3 colour channels; got {patch.shape[-1]}. Grey images "
            'have no colour to hide: use color="none".'
        )
