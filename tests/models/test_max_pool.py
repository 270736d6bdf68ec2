import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.models.max_pool import max_pool

CASES = (
    ((2, 14, 14, 3), 3, 2, 1),
    ((1, 7, 10, 2), 3, 2, 1),
    ((2, 6, 5, 1), 2, 2, 0),
    ((1, 5, 5, 2), 3, 1, 1),
)


def by_loops(x, cotangent, size, stride, padding):
    """Value and gradient, window by window; the first of equal maxima has the gradient."""
    batch, height, width, features = x.shape
    rows, columns = ((side + 2 * padding - size) // stride + 1 for side in (height, width))
    value = np.empty((batch, rows, columns, features))
    gradient = np.zeros(x.shape)
    for b, r, c, d in np.ndindex(value.shape):
        cells = [
            (i, j)
            for i in range(r * stride - padding, r * stride - padding + size)
            for j in range(c * stride - padding, c * stride - padding + size)
            if 0 <= i < height and 0 <= j < width
        ]
        i, j = max(cells, key=lambda cell: x[b, *cell, d])
        value[b, r, c, d] = x[b, i, j, d]
        if cotangent is not None:
            gradient[b, i, j, d] += cotangent[b, r, c, d]
    return value, gradient


@pytest.mark.parametrize(("shape", "size", "stride", "padding"), CASES)
def test_value_and_gradient_equal_loops_over_windows(shape, size, stride, padding):
    keys = jax.random.split(jax.random.key(0))
    # Rectified and rounded: many maxima are equal, some windows are all zero.
    x = jnp.maximum(jnp.round(jax.random.normal(keys[0], shape)), 0)
    value, pull = jax.vjp(lambda x: max_pool(x, size, stride, padding), x)
    cotangent = jax.random.normal(keys[1], value.shape)
    want_value, want = by_loops(
        np.asarray(x, np.float64), np.asarray(cotangent, np.float64), size, stride, padding
    )
    np.testing.assert_array_equal(value, want_value)
    np.testing.assert_allclose(jax.jit(pull)(cotangent)[0], want, atol=1e-5)


def test_gradient_of_negative_maps_ignores_the_padding():
    x = -1.0 - jax.random.uniform(jax.random.key(0), (1, 4, 4, 1))
    gradient = jax.grad(lambda x: max_pool(x, 3, 2, 1).sum())(x)
    assert gradient.sum() == 4
    assert max_pool(x, 3, 2, 1).max() < -1


def test_accelerators_get_the_gradient_of_xla():
    gradient = jax.jit(jax.grad(lambda x: max_pool(x, 3, 2, 1).sum()))
    trace = gradient.trace(jnp.zeros((2, 8, 8, 3)))
    for platform, is_xla in (("cuda", True), ("cpu", False)):
        text = trace.lower(lowering_platforms=(platform,)).as_text()
        assert ("select_and_scatter" in text) == is_xla


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_gradient_keeps_the_dtype(dtype):
    x = jax.random.normal(jax.random.key(0), (2, 8, 8, 3)).astype(dtype)
    assert jax.grad(lambda x: max_pool(x, 3, 2, 1).astype(jnp.float32).sum())(x).dtype == dtype
