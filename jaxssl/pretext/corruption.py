"""Corruption: the label is the image itself, before noise was put on it.

Every function takes one image, float32 in [0, 1], and spoils it by ``level``. Masking and
salt-and-pepper treat each value of each channel by itself, as the papers do with the components of
a vector, and hit the same number of values in every image; what they do not hit comes through bit
for bit.

Source: Vincent et al., Extracting and Composing Robust Features with Denoising Autoencoders, ICML
2008, section 2.3 (masking); Stacked Denoising Autoencoders, JMLR 11, 2010, section 3.3 (all three).
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp

from jaxssl.types import Array


def gaussian(key: Array, image: Array, level: float) -> Array:
    """Adds Gaussian noise: x + level · e, e ~ N(0, 1) for every value.

    Nothing is clipped: a clipped value would tell in which direction it was moved.

    Args:
        key: PRNG key.
        image: [H, W, C], floating in [0, 1].
        level: standard deviation of the noise, in units of [0, 1], at least 0.

    Returns:
        [H, W, C], the dtype of ``image``, of any range.
    """
    return image + level * jax.random.normal(key, image.shape, image.dtype)


def masking(key: Array, image: Array, level: float) -> Array:
    """Forces a fixed number of values, drawn at random, to 0.

    Args:
        key: PRNG key.
        image: [H, W, C], floating in [0, 1].
        level: fraction of the H · W · C values, rounded to a whole number of them.

    Returns:
        [H, W, C], the dtype of ``image``, in [0, 1].
    """
    return jnp.where(_chosen(key, image, level), jnp.zeros_like(image), image)


def salt_and_pepper(key: Array, image: Array, level: float) -> Array:
    """Sets a fixed number of values, drawn at random, to 0 or 1, by the toss of a fair coin.

    Args:
        key: PRNG key.
        image: [H, W, C], floating in [0, 1].
        level: fraction of the H · W · C values, rounded to a whole number of them.

    Returns:
        [H, W, C], the dtype of ``image``, in [0, 1].
    """
    place_key, coin_key = jax.random.split(key)
    extreme = jax.random.bernoulli(coin_key, 0.5, image.shape).astype(image.dtype)
    return jnp.where(_chosen(place_key, image, level), extreme, image)


CORRUPTIONS: dict[str, Callable[[Array, Array, float], Array]] = {
    "gaussian": gaussian,
    "masking": masking,
    "salt_and_pepper": salt_and_pepper,
}


def _chosen(key: Array, image: Array, level: float) -> Array:
    """bool [H, W, C], round(level · H · W · C) of them true, every such set equally likely."""
    is_chosen = jnp.arange(image.size) < round(level * image.size)
    return jax.random.permutation(key, is_chosen).reshape(image.shape)
