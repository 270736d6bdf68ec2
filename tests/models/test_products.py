import collections
import functools
import math
import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import models
from jaxssl.models import activations, products

DTYPES = ("float32", "bfloat16")
TOLERANCE = {"float32": 1e-5, "bfloat16": 2e-2}


def inputs(shape, features, dtype):
    keys = jax.random.split(jax.random.key(0), 4)
    x = jax.random.normal(keys[0], shape).astype(dtype)
    kernel = jax.random.normal(keys[1], (shape[-1], features)) / shape[-1] ** 0.5
    bias = jax.random.normal(keys[2], (features,))
    cotangent = jax.random.normal(keys[3], (*shape[:-1], features)).astype(dtype)
    return x, kernel, bias, cotangent


def close(got, want, dtype):
    got, want = np.asarray(got, np.float64), np.asarray(want, np.float64)
    assert got.shape == want.shape
    np.testing.assert_allclose(got, want, rtol=0, atol=TOLERANCE[dtype] * np.abs(want).max())


# Narrow to wide and wide to narrow take different sides; 1s and primes leave no tile.
SHAPES = (((4, 8, 32), 64), ((64, 64), 32), ((3, 7), 5), ((1, 6), 1), ((2, 3, 2, 4), 9))


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize(("shape", "features"), SHAPES)
def test_affine_and_its_gradients_equal_sums_in_float64(shape, features, dtype):
    x, kernel, bias, cotangent = inputs(shape, features, dtype)
    value, pull = jax.vjp(products.affine, x, kernel, bias)
    of_x, of_kernel, of_bias = jax.jit(pull)(cotangent)
    assert value.dtype == of_x.dtype == jnp.dtype(dtype)
    assert of_kernel.dtype == of_bias.dtype == jnp.float32

    rows = np.asarray(x, np.float64).reshape(-1, shape[-1])
    matrix = np.asarray(kernel.astype(dtype), np.float64)
    g_rows = np.asarray(cotangent, np.float64).reshape(-1, features)
    want_kernel, want_bias = np.zeros(matrix.shape), np.zeros(features)
    for row, g_row in zip(rows, g_rows):
        want_kernel += np.outer(row, g_row)
        want_bias += g_row
    want = rows @ matrix + np.asarray(bias, np.float64)
    close(value, want.reshape(value.shape), dtype)
    close(of_x, (g_rows @ matrix.T).reshape(shape), dtype)
    close(of_kernel, want_kernel, "float32")  # summed in float32 from the rounded operands
    close(of_bias, want_bias, "float32")


@pytest.mark.parametrize("dtype", DTYPES)
def test_scores_and_their_gradients_equal_sums_in_float64(dtype):
    keys = jax.random.split(jax.random.key(0), 3)
    q, k = (jax.random.normal(keys[i], (2, 3 + i, 2, 8)).astype(dtype) for i in range(2))
    cotangent = jax.random.normal(keys[2], (2, 2, 3, 4))
    scores, pull = jax.vjp(functools.partial(products.einsum_to_float32, "bqhd,bkhd->bhqk"), q, k)
    gradients = pull(cotangent)
    assert scores.dtype == jnp.float32
    assert [each.dtype for each in gradients] == [q.dtype, k.dtype]
    q, k, cotangent = (np.asarray(each, np.float64) for each in (q, k, cotangent))
    close(scores, np.einsum("bqhd,bkhd->bhqk", q, k), "float32")
    close(gradients[0], np.einsum("bhqk,bkhd->bqhd", cotangent, k), dtype)
    close(gradients[1], np.einsum("bhqk,bqhd->bkhd", cotangent, q), dtype)


@pytest.mark.parametrize("dtype", DTYPES)
@pytest.mark.parametrize("use_bias", (True, False))
def test_dense_is_flax_dense(dtype, use_bias):
    ours = products.Dense(16, dtype=dtype, use_bias=use_bias)
    theirs = nn.Dense(16, dtype=jnp.dtype(dtype), use_bias=use_bias)
    x = jax.random.normal(jax.random.key(1), (4, 8, 32))
    params = theirs.init(jax.random.key(0), x)
    jax.tree.map(np.testing.assert_array_equal, ours.init(jax.random.key(0), x), params)

    def objective(module, params, x):
        return jnp.sum(jnp.sin(module.apply(params, x).astype(jnp.float32)))

    results = [
        jax.jit(jax.value_and_grad(functools.partial(objective, module), (0, 1)))(params, x)
        for module in (ours, theirs)
    ]
    jax.tree.map(lambda got, want: close(got, want, dtype), *results)


@pytest.mark.parametrize("dtype", DTYPES)
def test_affine_under_vmap_scan_remat_and_a_second_derivative(dtype):
    x, kernel, bias, _ = inputs((5, 4, 8), 8, dtype)
    kernels = jnp.stack([kernel] * 5)

    def objective(affine, kernels, x):
        rows = jax.vmap(affine, (0, 0, None))(x, kernels, bias)
        again = jax.checkpoint(lambda rows, kernel: affine(rows, kernel, bias))
        last, _ = jax.lax.scan(lambda rows, kernel: (again(rows, kernel), None), rows, kernels)
        return jnp.mean(last.astype(jnp.float32) ** 2)

    def penalty(affine, kernels, x):
        gradient = jax.grad(functools.partial(objective, affine))(kernels, x)
        return jnp.sum(gradient**2)

    def plain(x, kernel, bias):
        y = jnp.dot(x, kernel.astype(dtype))
        return y + jnp.broadcast_to(bias.astype(dtype), y.shape)

    for function in (objective, penalty) if dtype == "float32" else (objective,):
        got, want = (
            jax.jit(jax.value_and_grad(functools.partial(function, affine)))(kernels, x)
            for affine in (products.affine, plain)
        )
        # Ten layers in bfloat16 part by more than one rounding.
        tolerance = 5 * TOLERANCE[dtype]
        for a, b in zip(jax.tree.leaves(got), jax.tree.leaves(want)):
            np.testing.assert_allclose(a, b, rtol=0, atol=tolerance * np.abs(b).max())


@pytest.mark.parametrize("dtype", DTYPES)
def test_gelu_and_its_slope_equal_erf_in_float64(dtype):
    x = jnp.linspace(-6, 6, 101).astype(dtype)
    value, pull = jax.vjp(activations.gelu, x)
    (slope,) = pull(jnp.ones_like(x))
    assert value.dtype == slope.dtype == x.dtype
    z = np.asarray(x, np.float64)
    erf = np.array([math.erf(each) for each in z / 2**0.5])
    cdf = (1 + erf) / 2
    unit = {"float32": 1e-6, "bfloat16": 2**-8}[dtype]
    np.testing.assert_allclose(np.asarray(value, np.float64), z * cdf, rtol=unit, atol=1e-6)
    want = cdf + z * np.exp(-(z**2) / 2) / (2 * np.pi) ** 0.5
    np.testing.assert_allclose(np.asarray(slope, np.float64), want, rtol=unit, atol=2e-6)


def test_gelu_keeps_its_input_alone():
    """Where both passes computed erfc, XLA kept parts of it between them: 23 arrays, not 11."""
    x, kernels = jnp.zeros((512, 16)), jnp.zeros((4, 16, 64))

    def objective(kernels):
        rows = x
        for kernel in kernels:
            rows = products.affine(
                activations.gelu(products.affine(rows, kernel, None)), kernel.T, None
            )
        return jnp.sum(rows**2)

    compiled = jax.jit(jax.grad(objective)).lower(kernels).compile()
    assert compiled.memory_analysis().temp_size_in_bytes < 14 * (512 * 64 * 4)


def _operations(function, *arguments):
    """How often each operation stands in the program for CUDA, with the types it works on."""
    lowered = jax.jit(function).trace(*arguments).lower(lowering_platforms=("cuda",))
    counts = collections.Counter()
    for line in lowered.as_text().splitlines():
        found = re.search(r"(dot_general|stablehlo\.reduce|transpose|exponential).*", line)
        if found:
            counts[re.sub(r"%[\w#]+", "%", found.group())] += 1
    return counts


@pytest.mark.parametrize("dtype", DTYPES)
def test_accelerators_run_the_operations_of_flax(dtype, monkeypatch):
    config = models.ViTConfig(width=16, depth=1, num_heads=2, patch_size=4, dtype=dtype)
    encoder, images = config.build(), jax.ShapeDtypeStruct((2, 8, 8, 3), jnp.float32)
    variables = jax.eval_shape(encoder.init, jax.random.key(0), images)

    def gradient(variables, images):
        return jax.grad(lambda each: encoder.apply(each, images).pooled.sum())(variables)

    got = _operations(gradient, variables, images)

    def affine(x, kernel, bias):
        return products._plain_affine(x, kernel.astype(x.dtype), bias.astype(x.dtype))

    monkeypatch.setattr(products, "affine", affine)
    monkeypatch.setattr(activations, "gelu", functools.partial(nn.gelu, approximate=False))
    want = _operations(lambda *arguments: gradient(*arguments), variables, images)
    assert sum(want.values()) > 20
    # GELU's erfc is not counted: it stands in both passes, and XLA computes equal ones once.
    assert got == want


@pytest.mark.parametrize("dtype", DTYPES)
def test_on_accelerators_values_and_gradients_are_those_of_flax(dtype, monkeypatch):
    def choose(*arguments, cpu, default):
        del cpu
        return default(*arguments)

    monkeypatch.setattr(jax.lax, "platform_dependent", choose)
    x, *parameters, cotangent = inputs((2, 4, 8), 8, dtype)

    def ours(x, kernel, bias):
        return activations.gelu(products.affine(x, kernel, bias))

    def theirs(x, kernel, bias):
        params = {"params": {"kernel": kernel, "bias": bias}}
        return nn.gelu(nn.Dense(8, dtype=jnp.dtype(dtype)).apply(params, x), approximate=False)

    results = []
    for function in (ours, theirs):
        value, pull = jax.vjp(function, x, *parameters)
        results.append((value, *pull(cotangent)))
    jax.tree.map(np.testing.assert_array_equal, *results)
