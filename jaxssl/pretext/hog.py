"""Histograms of oriented gradients: which way the edges run in every cell of an image."""

import jax
import jax.numpy as jnp

from jaxssl import checks
from jaxssl.types import Array


def hog(image: Array, *, cell_size: int, num_bins: int = 9) -> Array:
    """Histograms of the gradients in square cells, of each channel, of length 1.

    Gradients are Sobel's, borders reflected. Each pixel votes with the length of its gradient for
    the one bin that its direction lies in; there is no interpolation between bins or cells, no
    Gaussian window and no normalisation across cells. The scale of a channel does not matter.

    Args:
        image: [H, W, C] floating, sides of at least 2.
        cell_size: side of a cell, pixels; must divide H and W.
        num_bins: K, equal parts of the half circle of directions without a sign.

    Returns:
        float32 [H / cell_size, W / cell_size, C, K], at least 0; all 0 in a cell without an edge.

    Raises:
        ValueError: sides that are no multiple of the cell, or fewer than 1 bin.

    Source: Dalal and Triggs, Histograms of Oriented Gradients for Human Detection, 2005; as in
        HOGLayerC of facebookresearch/SlowFast, operators.py, for Wei et al., Masked Feature
        Prediction for Self-Supervised Visual Pre-Training, 2021, arXiv:2112.09133, section 3.
    """
    votes = histograms(*gradients(image), cell_size=cell_size, num_bins=num_bins)
    # PyTorch's ``normalize`` has a floor of 1e-12 for the length.
    squares = jnp.sum(jnp.square(votes), axis=-1, keepdims=True)
    return votes * jax.lax.rsqrt(jnp.maximum(squares, 1e-24))


def gradients(image: Array) -> tuple[Array, Array]:
    """Sobel's derivatives down the rows and along the columns, float32 [H, W, C] both.

    Args:
        image: [H, W, C] floating; beyond the border it is reflected, its edge not repeated.
    """
    padded = jnp.pad(image.astype(jnp.float32), ((1, 1), (1, 1), (0, 0)), mode="reflect")

    def smooth(x: Array, axis: int) -> Array:
        before, here, after = (jax.lax.slice_in_dim(x, i, x.shape[axis] - 2 + i, axis=axis)
                               for i in range(3))  # fmt: skip
        return before + 2 * here + after

    def differ(x: Array, axis: int) -> Array:
        size = x.shape[axis]
        after = jax.lax.slice_in_dim(x, 2, size, axis=axis)
        return after - jax.lax.slice_in_dim(x, 0, size - 2, axis=axis)

    return differ(smooth(padded, 1), 0), differ(smooth(padded, 0), 1)


def histograms(down: Array, along: Array, *, cell_size: int, num_bins: int) -> Array:
    """Sums of gradients' lengths by direction, in square cells.

    Bin k takes directions atan2(along, down) in [k, k + 1) · pi / K, modulo pi: the first begins
    with a gradient that points down the rows.

    Args:
        down: [H, W, C] floating, derivative down the rows.
        along: [H, W, C] floating, derivative along the columns.
        cell_size: side of a cell, pixels.
        num_bins: K.

    Returns:
        float32 [H / cell_size, W / cell_size, C, K].

    Raises:
        ValueError: sides that are no multiple of the cell, or fewer than 1 bin.
    """
    checks.at_least("hog", 1, cell_size=cell_size, num_bins=num_bins)
    height, width, channels = down.shape
    if height % cell_size or width % cell_size:
        raise ValueError(
            f"hog: height and width must be multiples of the cell; got image {height}x{width}, "
            f"cell {cell_size}."
        )
    phase = jnp.arctan2(along, down) / jnp.pi * num_bins  # from -K to K
    bins = jnp.floor(phase).astype(jnp.int32) % num_bins
    length = jnp.sqrt(jnp.square(down) + jnp.square(along))
    votes = jax.nn.one_hot(bins, num_bins, dtype=jnp.float32) * length[..., None]
    cells = (height // cell_size, cell_size, width // cell_size, cell_size, channels, num_bins)
    return votes.reshape(cells).sum(axis=(1, 3))
