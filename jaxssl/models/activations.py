"""GELU that keeps its input alone for the backward pass and is evaluated in float32 on a CPU."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxssl.types import Array


@jax.custom_vjp
def gelu(x: Array) -> Array:
    """Exact GELU, x·Φ(x) = x·erfc(−x/√2)/2, with derivative Φ(x) + x·φ(x).

    On a CPU the value and the derivative are float32 inside and rounded once to the dtype of ``x``,
    where bfloat16 would be rounded after each of five operations; and only ``x`` is kept for the
    backward pass, where differentiating operation by operation keeps up to five arrays.
    Accelerators get ``nn.gelu`` and its derivative. Forward-mode differentiation is not defined.

    Args:
        x: any shape, floating.

    Returns:
        Same shape and dtype.

    Source: Hendrycks and Gimpel, Gaussian Error Linear Units, 2016, arXiv:1606.08415, sec. 2.
    """
    if x.dtype == jnp.float32:  # the two are one, and what runs is plain to other tools
        return _plain(x)
    return lax.platform_dependent(x, cpu=_gelu_in_float32, default=_plain)


def _plain(x: Array) -> Array:
    return nn.gelu(x, approximate=False)


def _gelu_in_float32(x: Array) -> Array:
    z = x.astype(jnp.float32)
    return (z * (0.5 * lax.erfc(-z * math.sqrt(0.5)))).astype(x.dtype)


def _forward(x):
    return gelu(x), x


def _backward(x, cotangent):
    def cpu(x, g):
        z = x.astype(jnp.float32)
        density = jnp.exp(-0.5 * z * z) * (1 / math.sqrt(2 * math.pi))
        # Not by erfc once more: XLA computes what stands in both passes once, and would keep four
        # float32 arrays of it from the one to the other.
        cdf = 0.5 + 0.5 * lax.erf(z * math.sqrt(0.5))
        slope = cdf + z * density
        return (g.astype(jnp.float32) * slope).astype(x.dtype)

    def default(x, g):
        # What differentiating _plain gives, by hand and in its order: of jax 0.12's erfc, when it
        # is differentiated under shard_map, JAX cannot tell what varies.
        root, two = (
            np.asarray(each, x.dtype) for each in (math.sqrt(0.5), -2 / math.sqrt(math.pi))
        )
        u = -x * root
        through_erfc = g * (0.5 * x) * two * jnp.exp(-lax.square(u)) * root
        return g * lax.erfc(u) * 0.5 - through_erfc

    return (lax.platform_dependent(x, cotangent, cpu=cpu, default=default),)


gelu.defvjp(_forward, _backward)
