"""Maximum over windows of maps, with a gradient that is fast on a CPU.

XLA's gradient of a maximum over windows looks for each maximum once more, cell by cell; on a CPU
that takes fifteen times as long as the maximum itself, a fifth of a ResNet's step on small images.
Here a CPU finds the maxima tap by tap, for all windows at once: eight times faster at 14 x 14 cells
of 64 features. GPUs and TPUs get XLA's gradient.
"""

import functools

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax

from jaxssl.types import Array


@functools.partial(jax.custom_vjp, nondiff_argnums=(1, 2, 3))
def max_pool(x: Array, size: int, stride: int, padding: int) -> Array:
    """Maximum over square windows; of equal values the first, row by row, has the gradient.

    Args:
        x: [B, H, W, D], floating.
        size: cells across a window.
        stride: cells from one window to the next.
        padding: cells of -inf around the map, fewer than ``size``.

    Returns:
        [B, H', W', D], H' = (H + 2 · padding − size) // stride + 1.
    """
    return _by_xla(x, size, stride, padding)


def _by_xla(x, size, stride, padding):
    pads = ((padding, padding), (padding, padding))
    return nn.max_pool(x, (size, size), strides=(stride, stride), padding=pads)


def _forward(x, size, stride, padding):
    highest = max_pool(x, size, stride, padding)
    return highest, (x, highest)


def _backward(size, stride, padding, kept, cotangent):
    x, highest = kept

    def default(x, highest, cotangent):
        del highest
        return jax.vjp(lambda x: _by_xla(x, size, stride, padding), x)[1](cotangent)[0]

    def cpu(x, highest, cotangent):
        zero = jnp.zeros((), cotangent.dtype)
        windows = highest.shape[1:3]
        padded = jnp.pad(
            x, ((0, 0), (padding,) * 2, (padding,) * 2, (0, 0)), constant_values=-jnp.inf
        )
        taken, gradient = jnp.zeros(highest.shape, bool), jnp.zeros_like(x)
        for tap in ((row, column) for row in range(size) for column in range(size)):
            last = [first + stride * (count - 1) for first, count in zip(tap, windows)]
            cells = padded[:, tap[0] : last[0] + 1 : stride, tap[1] : last[1] + 1 : stride]
            is_first = (cells == highest) & ~taken
            taken |= is_first
            # Back to where the cells came from: spread by the stride, moved by the tap.
            places = [
                (first - padding, side - 1 - (end - padding), stride - 1)
                for first, end, side in zip(tap, last, x.shape[1:3])
            ]
            part = jnp.where(is_first, cotangent, zero)
            gradient += lax.pad(part, zero, ((0, 0, 0), *places, (0, 0, 0)))
        return gradient

    return (lax.platform_dependent(x, highest, cotangent, cpu=cpu, default=default),)


max_pool.defvjp(_forward, _backward)
