"""Linear layers, with the forms of matrix products that are fast on a CPU.

XLA's CPU backend multiplies bfloat16 at twice the rate of float32 or better, but only where the
result is float32 and nothing is transposed. A product with a bfloat16 result is slower than one in
float32, and so are those that differentiation makes: xᵀ·g, and float32 by bfloat16. In float32 xᵀ·g
costs a transposed copy of whichever operand the compiler takes. So a linear layer has derivatives
of its own here: the cotangent stays in the compute dtype, results are float32, and the narrower
operand of xᵀ·g is the one that is copied.

Which form runs is decided when a program is lowered for its device: accelerators get the plain
products and the derivatives that JAX makes of those, operation by operation. Values of the two
differ by less than the rounding of the compute dtype.

Reverse-mode derivatives of any order are defined; forward mode (``jax.jvp``) is not.

Measured with jax 0.10.2 on two Zen 4 cores, [8320, 256]·[256, 1024], GFLOP per second and core:
float32 67 to 92; bfloat16 with a bfloat16 result 59 to 63, with a float32 result 115 (x·W) and 181
(g·Wᵀ); xᵀ·g 63, with the copy 163. Sums over rows gain nothing from being products with ones there,
in float32, so that gradients of normalisation layers are left to JAX.
"""

import functools
import math

import flax.linen as nn
import jax
import jax.numpy as jnp
from jax import lax
from jax.export import is_symbolic_dim

from jaxssl import collectives
from jaxssl.types import Array

_TILE = 32


class Dense(nn.Module):
    """Affine map of the last axis; flax's ``nn.Dense`` with this module's products.

    Attributes:
        features: output features F.
        dtype: compute dtype, "float32" or "bfloat16"; the result's too. Parameters are float32.
        use_bias: whether to add a bias.
        kernel_init: initialiser of the matrix [D, F].
        bias_init: initialiser of the bias [F].
    """

    features: int
    dtype: str = "float32"
    use_bias: bool = True
    kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()
    bias_init: nn.initializers.Initializer = nn.initializers.zeros

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Maps [..., D] to [..., F]."""
        kernel = self.param("kernel", self.kernel_init, (x.shape[-1], self.features), jnp.float32)
        bias = None
        if self.use_bias:
            bias = self.param("bias", self.bias_init, (self.features,), jnp.float32)
        return affine(x.astype(self.dtype), kernel, bias)


def affine(x: Array, kernel: Array, bias: Array | None) -> Array:
    """x·kernel + bias over the last axis, in the dtype of ``x``.

    On a CPU in bfloat16 the sum is rounded once, the gradients of kernel and bias are summed and
    returned in float32 and never rounded; elsewhere they are rounded to bfloat16 as products are.

    Args:
        x: [..., D], float32 or bfloat16, which is the compute dtype.
        kernel: float32 [D, F].
        bias: float32 [F], or None.

    Returns:
        [..., F], in the dtype of ``x``.
    """
    return _affine(x, kernel, bias)


def einsum_to_float32(equation: str, a: Array, b: Array) -> Array:
    """Sums of products in float32 of operands in the compute dtype, ``jnp.einsum``'s.

    For what is compared rather than handed on, such as scores of a softmax. The gradients are
    products in the compute dtype too, to which the cotangent is rounded; those that JAX makes would
    bring the operands to float32, whose products take an accelerator many times as long.

    Args:
        equation: such as "bqhd,bkhd->bhqk"; each index stands in two of the three.
        a: float32 or bfloat16.
        b: of the same dtype.

    Returns:
        float32.
    """
    if a.dtype == jnp.float32:  # what runs is plain to other tools
        return jnp.einsum(equation, a, b)
    return _einsum_to_float32(equation, a, b)


@functools.partial(jax.custom_vjp, nondiff_argnums=(0,))
def _einsum_to_float32(equation: str, a: Array, b: Array) -> Array:
    return jnp.einsum(equation, a, b, preferred_element_type=jnp.float32)


def _einsum_forward(equation, a, b):
    return _einsum_to_float32(equation, a, b), (a, b)


def _einsum_backward(equation, kept, cotangent):
    a, b = kept
    operands, result = equation.split("->")
    of_a, of_b = operands.split(",")
    g = cotangent.astype(a.dtype)
    gradients = (
        _einsum_to_float32(f"{result},{of_b}->{of_a}", g, b),
        _einsum_to_float32(f"{result},{of_a}->{of_b}", g, a),
    )
    return tuple(
        collectives.psum_as(gradient, operand).astype(operand.dtype)
        for gradient, operand in zip(gradients, kept, strict=True)
    )


_einsum_to_float32.defvjp(_einsum_forward, _einsum_backward)


def _plain_affine(
    x: Array, kernel: Array, bias: Array | None, dtype: jnp.dtype | None = None
) -> Array:
    y = _contract(x, kernel, dtype)
    return y if bias is None else y + _as_row(bias, y.ndim)


def _as_row(bias: Array, ndim: int) -> Array:
    return bias.reshape((1,) * (ndim - 1) + (-1,))


def _contract(x: Array, kernel: Array, dtype: jnp.dtype | None = None) -> Array:
    axes = (((x.ndim - 1,), (0,)), ((), ()))
    return lax.dot_general(x, kernel, axes, preferred_element_type=dtype)


@jax.custom_vjp
def _affine(x: Array, kernel: Array, bias: Array | None) -> Array:
    return _forward(x, kernel, bias)[0]


def _forward(x, kernel, bias):
    kernel = kernel.astype(x.dtype)

    def cpu(x, kernel, bias):
        return _plain_affine(x, kernel, bias, jnp.float32).astype(x.dtype)

    def default(x, kernel, bias):
        return _plain_affine(x, kernel, None if bias is None else bias.astype(x.dtype))

    if x.dtype == jnp.float32:  # the two are one, and what runs is plain to other tools
        return default(x, kernel, bias), (x, kernel, bias)
    y = lax.platform_dependent(x, kernel, bias, cpu=cpu, default=default)
    return y, (x, kernel, bias)


def _backward(kept, cotangent):
    x, kernel, bias = kept

    def cpu(x, kernel, g):
        of_x = lax.dot_general(
            g, kernel, (((g.ndim - 1,), (1,)), ((), ())), preferred_element_type=jnp.float32
        )
        rows, g_rows = x.reshape(-1, x.shape[-1]), g.reshape(-1, g.shape[-1])
        # In bfloat16 XLA would sum columns by a reduce-window on one core.
        of_bias = None if bias is None else g_rows.astype(jnp.float32).sum(axis=0)
        gradients = of_x.astype(x.dtype), _gram(rows, g_rows), of_bias
        return jax.tree.map(collectives.psum_as, gradients, (x, kernel, bias))

    def default(x, kernel, g):
        (of_x,) = jax.linear_transpose(lambda each: _contract(each, kernel), x)(g)
        (of_kernel,) = jax.linear_transpose(lambda each: _contract(x, each), kernel)(g)
        of_bias = None
        if bias is not None:
            of_bias = lax.reduce_sum(g, tuple(range(g.ndim - 1)))  # jnp.sum would be float32
            of_bias = collectives.psum_as(of_bias, bias).astype(jnp.float32)
        return of_x, of_kernel.astype(jnp.float32), of_bias

    return lax.platform_dependent(x, kernel, cotangent, cpu=cpu, default=default)


_affine.defvjp(_forward, _backward)


def _gram(x: Array, g: Array) -> Array:
    """xᵀ·g of [M, D] and [M, F], float32 [D, F]; the narrower of the two is transposed."""
    if x.shape[1] <= g.shape[1]:
        return _contract(_transposed_copy(x), g, jnp.float32)
    # The barrier keeps XLA from turning this into the product that is avoided.
    return lax.optimization_barrier(_contract(_transposed_copy(g), x, jnp.float32)).T


def _transposed_copy(rows: Array) -> Array:
    """[M, D] as [D, M], moved in memory, by tiles.

    XLA would fold a plain transpose into the product that reads it, which is the slow form; it
    cannot fold the transpose of tiles and that of their order when a barrier lies between.
    """
    num_rows, num_features = rows.shape
    # An exported program does not know its batch, nor what divides it.
    high = 1 if is_symbolic_dim(num_rows) else math.gcd(num_rows, _TILE)
    wide = math.gcd(num_features, _TILE)
    tiles = rows.reshape(num_rows // high, high, num_features // wide, wide)
    tiles = lax.optimization_barrier(tiles.transpose(2, 0, 3, 1))
    return lax.optimization_barrier(tiles.transpose(0, 2, 1, 3).reshape(num_features, num_rows))
