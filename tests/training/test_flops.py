"""The counter against products counted on paper."""

import jax
import jax.numpy as jnp
from jax import lax

from jaxssl import parallel
from jaxssl.training import flops

A = jax.ShapeDtypeStruct((3, 4), jnp.float32)
B = jax.ShapeDtypeStruct((4, 5), jnp.float32)


def test_product():
    assert flops.count(jnp.dot, A, B) == 2 * 3 * 4 * 5


def test_batched_product():
    left = jax.ShapeDtypeStruct((7, 3, 4), jnp.float32)
    right = jax.ShapeDtypeStruct((7, 4, 5), jnp.float32)
    assert flops.count(jnp.matmul, left, right) == 7 * 2 * 3 * 4 * 5


def test_gradient_of_a_product_costs_two_more():
    def loss(a, b):
        return jnp.sum((a @ b) ** 2)

    assert flops.count(jax.grad(loss, argnums=(0, 1)), A, B) == 3 * 2 * 3 * 4 * 5


def test_scan_multiplies_and_jit_and_remat_do_not():
    square = jax.ShapeDtypeStruct((4, 4), jnp.float32)

    def function(x):
        return lax.scan(lambda c, _: (jax.jit(jax.checkpoint(jnp.dot))(c, c), None), x, None, 6)[0]

    assert flops.count(function, square) == 6 * 2 * 4**3


def test_conditional_counts_its_dearer_branch():
    def function(x):
        return lax.cond(x[0, 0] > 0, lambda y: y @ y @ y, lambda y: y @ y, x)

    assert flops.count(function, jax.ShapeDtypeStruct((4, 4), jnp.float32)) == 2 * 2 * 4**3


def test_convolution_and_its_gradients():
    images = jax.ShapeDtypeStruct((2, 8, 8, 3), jnp.float32)
    kernel = jax.ShapeDtypeStruct((3, 3, 3, 16), jnp.float32)

    def convolve(x, k):
        return lax.conv_general_dilated(
            x, k, (1, 1), "VALID", dimension_numbers=("NHWC", "HWIO", "NHWC")
        )

    forward = 2 * (2 * 6 * 6 * 16) * (3 * 3 * 3)
    assert flops.count(convolve, images, kernel) == forward
    weights_only = jax.grad(lambda x, k: convolve(x, k).sum(), argnums=1)
    assert flops.count(weights_only, images, kernel) == 2 * forward


def test_devices_add_up():
    def step(state, batch):
        return state, lax.pmean(batch.reshape(-1, 4) @ state, "data").sum()

    mapped = parallel.map_shards(step, devices=jax.devices()[:4])
    assert flops.count(mapped, B, jax.ShapeDtypeStruct((8, 4), jnp.float32)) == 2 * 8 * 4 * 5
