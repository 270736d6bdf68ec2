import re

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from jaxssl.models import convolution

# (height, width, in, out), kernel size, strides, padding; which form each takes, below.
SAME3 = ((1, 1), (1, 1))
NONE = ((0, 0), (0, 0))
CASES = {
    "whole-1": ((1, 1, 3, 4), (3, 3), (1, 1), SAME3),
    "whole-2": ((2, 2, 3, 4), (3, 3), (1, 1), SAME3),
    "whole-2-strided": ((2, 2, 3, 4), (3, 3), (2, 2), SAME3),
    "whole-oblong": ((2, 4, 3, 4), (3, 3), (2, 1), ((0, 1), (1, 2))),
    "whole-4x4-kernel": ((4, 4, 2, 3), (4, 4), (2, 2), SAME3),
    "cells": ((4, 5, 3, 4), (1, 1), (1, 1), NONE),
    "cells-strided": ((7, 4, 3, 4), (1, 1), (2, 2), NONE),
    "tiles": ((4, 6, 3, 4), (2, 2), (2, 2), NONE),
    "tiles-remainder": ((9, 7, 1, 4), (4, 2), (4, 2), NONE),
    "xla-pieces": ((40, 42, 2, 3), (3, 3), (1, 1), SAME3),
    "xla-pieces-strided": ((80, 81, 1, 2), (3, 3), (2, 2), SAME3),
    "xla": ((5, 6, 3, 4), (3, 3), (1, 1), SAME3),
    "xla-strided": ((7, 6, 3, 4), (3, 3), (2, 2), SAME3),
}


def _oracle(x, kernel, cotangent, strides, padding):
    """Value and both gradients in float64, one multiplication at a time as the definition says."""
    x, kernel, cotangent = (np.asarray(a, np.float64) for a in (x, kernel, cotangent))
    height, width = x.shape[1:3]
    y, to_x, to_kernel = np.zeros(cotangent.shape), np.zeros(x.shape), np.zeros(kernel.shape)
    for r, s, i, j in np.ndindex(*cotangent.shape[1:3], *kernel.shape[:2]):
        h, w = r * strides[0] + i - padding[0][0], s * strides[1] + j - padding[1][0]
        if 0 <= h < height and 0 <= w < width:
            y[:, r, s] += x[:, h, w] @ kernel[i, j]
            to_x[:, h, w] += cotangent[:, r, s] @ kernel[i, j].T
            to_kernel[i, j] += x[:, h, w].T @ cotangent[:, r, s]
    return y, to_x, to_kernel


def _drawn(case, batch=4, dtype=jnp.float32):
    (height, width, channels, features), size, strides, padding = CASES[case]
    x = jax.random.normal(jax.random.key(0), (batch, height, width, channels), dtype)
    kernel = jax.random.normal(jax.random.key(1), (*size, channels, features), dtype)
    shape = jax.eval_shape(lambda x, k: _reference(x, k, strides, padding), x, kernel).shape
    cotangent = jax.random.normal(jax.random.key(2), shape, dtype)
    return x, kernel, cotangent, strides, padding


def _reference(x, kernel, strides, padding):
    numbers = ("NHWC", "HWIO", "NHWC")
    return lax.conv_general_dilated(x, kernel, strides, padding, dimension_numbers=numbers)


def _with_gradients(conv, strides, padding):
    def value_and_gradients(x, kernel, cotangent):
        y, pull = jax.vjp(lambda x, k: conv(x, k, strides=strides, padding=padding), x, kernel)
        return y, *pull(cotangent)

    return jax.jit(value_and_gradients)


def _assert_near(got, want, tolerance):
    for g, w in zip(got, want):
        g = np.asarray(g, np.float64)
        assert g.shape == w.shape
        np.testing.assert_allclose(g, w, rtol=0, atol=tolerance * np.abs(w).max())


@pytest.mark.slow
@pytest.mark.parametrize("case", CASES)
def test_value_and_gradients_of_every_form(case):
    x, kernel, cotangent, strides, padding = _drawn(case)
    got = _with_gradients(convolution.convolve, strides, padding)(x, kernel, cotangent)
    _assert_near(got, _oracle(x, kernel, cotangent, strides, padding), 1e-5)


@pytest.mark.parametrize("case", CASES)
def test_cpu_program_has_a_convolution_only_where_no_product_is_better(case):
    x, kernel, cotangent, strides, padding = _drawn(case)
    run = _with_gradients(convolution.convolve, strides, padding)
    has = "convolution" in run.lower(x, kernel, cotangent).as_text()
    assert has == case.startswith("xla")


@pytest.mark.parametrize("case", CASES)
def test_gpu_program_has_the_convolutions_it_always_had(case):
    x, kernel, cotangent, strides, padding = _drawn(case)

    def convolutions(conv):
        def over_views(x, kernel, cotangent):
            pull = jax.vjp(lambda x, k: jax.vmap(lambda view: conv(view, k))(x), x, kernel)[1]
            return pull(cotangent)

        views = [jnp.stack([a, a]) for a in (x, cotangent)]
        trace = jax.jit(over_views).trace(views[0], kernel, views[1])
        text = trace.lower(lowering_platforms=("cuda",)).as_text()
        assert "dot_general" not in text
        # without the names of the operands
        return sorted(re.findall(r"stablehlo.convolution\([^)]*\)(.*)", text))

    got = convolutions(lambda x, k: convolution.convolve(x, k, strides=strides, padding=padding))
    want = convolutions(lambda x, k: _reference(x, k, strides, padding))
    assert got == want and len(got) == 2


@pytest.mark.parametrize("case", ["whole-2", "cells-strided", "tiles"])
def test_bfloat16_sums_in_float32_forward_and_backward(case):
    x, kernel, cotangent, strides, padding = _drawn(case, batch=512, dtype=jnp.bfloat16)
    run = _with_gradients(convolution.convolve, strides, padding)
    got = run(x, kernel, cotangent)
    assert {g.dtype for g in got} == {jnp.dtype("bfloat16")}
    _assert_near(got, _oracle(x, kernel, cotangent, strides, padding), 2**-8)
    products = re.findall(r"dot_general .*?: (\(.*)", run.lower(x, kernel, cotangent).as_text())
    main = [p for p in products if p.count("bf16") == 2]
    assert len(main) == 3 and all(p.endswith("f32>") for p in main)


@pytest.mark.parametrize("case", ["whole-2", "xla-pieces"])
def test_gradients_over_views(case):
    x, kernel, cotangent, strides, padding = _drawn(case)
    views = jnp.stack([x, 2 * x, 3 * x])

    def gradients(conv):
        pull = jax.vjp(lambda v, k: jax.vmap(lambda x: conv(x, k))(v), views, kernel)[1]
        return pull(jnp.stack([cotangent] * 3))

    conv = lambda x, k: convolution.convolve(x, k, strides=strides, padding=padding)  # noqa: E731
    got = jax.jit(lambda: gradients(conv))
    _assert_near(got(), gradients(lambda x, k: _reference(x, k, strides, padding)), 1e-5)
    text = jax.jit(lambda: gradients(conv)).lower().as_text()
    assert not re.search(r"(feature|batch)_group_count = [^1]", text)


def test_views_are_folded_into_the_batch():
    x, kernel, _, strides, padding = _drawn("whole-2")
    views = jnp.stack([x, 2 * x, 3 * x])
    conv = jax.jit(
        jax.vmap(lambda x: convolution.convolve(x, kernel, strides=strides, padding=padding))
    )
    want = np.stack([_reference(x, kernel, strides, padding) for x in views])
    _assert_near([conv(views)], [want], 1e-5)


@pytest.mark.parametrize(
    ("shape", "arguments"),
    [
        ((2, 8, 8, 3), {"kernel_size": (3, 3)}),
        ((2, 2, 2, 3), {"kernel_size": (3, 3), "strides": 2}),
        ((2, 8, 8, 3), {"kernel_size": (2, 2), "strides": (2, 2), "padding": "VALID"}),
        ((2, 2, 2, 4), {"kernel_size": (3, 3), "feature_group_count": 2}),
        ((2, 2, 2, 3), {"kernel_size": (3, 3), "kernel_dilation": 2}),
        ((2, 2, 3), {"kernel_size": (3,)}),
    ],
)
def test_module_is_linen_conv(shape, arguments):
    x = jax.random.normal(jax.random.key(0), shape)
    got_module = convolution.Conv(4, use_bias=True, **arguments)
    want_module = nn.Conv(4, use_bias=True, **arguments)
    got, variables = got_module.init_with_output(jax.random.key(1), x)
    want, same_variables = want_module.init_with_output(jax.random.key(1), x)
    jax.tree.map(np.testing.assert_array_equal, variables, same_variables)
    np.testing.assert_allclose(got, want, rtol=1e-5, atol=1e-5)


def test_kernels_of_an_ensemble():
    x, kernel, cotangent, strides, padding = _drawn("xla-pieces")
    kernels = jnp.stack([kernel, -2 * kernel])

    def gradients(conv):
        pull = jax.vjp(lambda k: jax.vmap(lambda k: conv(x, k))(k), kernels)[1]
        return pull(jnp.stack([cotangent, 3 * cotangent]))

    got = jax.jit(
        lambda: gradients(lambda x, k: convolution.convolve(x, k, strides=strides, padding=padding))
    )()
    _assert_near(got, gradients(lambda x, k: _reference(x, k, strides, padding)), 1e-5)


@pytest.mark.parametrize("case", ["whole-2", "cells", "xla-pieces"])
def test_gradients_are_those_of_the_global_batch_on_two_devices(case):
    x, kernel, cotangent, strides, padding = _drawn(case)

    def gradients(x, kernel, cotangent):
        conv = lambda x, k: convolution.convolve(x, k, strides=strides, padding=padding)  # noqa: E731
        return jax.vjp(conv, x, kernel)[1](cotangent)

    mapped = jax.shard_map(
        gradients,
        mesh=jax.sharding.Mesh(np.array(jax.devices()[:2]), ("data",)),
        in_specs=(jax.P("data"), jax.P(), jax.P("data")),
        out_specs=(jax.P("data"), jax.P()),
    )
    got = jax.jit(mapped)(jnp.concatenate([x, 2 * x]), kernel, jnp.concatenate([cotangent] * 2))
    _, to_x, to_kernel = _oracle(x, kernel, cotangent, strides, padding)
    _assert_near(got, [np.concatenate([to_x, to_x]), 3 * to_kernel], 1e-5)


@pytest.mark.parametrize(
    ("groups", "dtype"), [(1, "float32"), (2, "float32"), (6, "float32"), (2, "bfloat16")]
)
def test_groups_are_convolutions_side_by_side(groups, dtype):
    """Of the channels of each group alone, in their order; linen's layer has the same numbers."""
    keys = jax.random.split(jax.random.key(7), 2)
    x = jax.random.normal(keys[0], (3, 4, 5, 6), dtype)
    options = {"features": 12, "kernel_size": (3, 5), "feature_group_count": groups, "dtype": dtype}
    ours, linen = convolution.GroupedConv(**options), nn.Conv(**options)
    params = linen.init(keys[1], x)
    params = jax.tree.map(lambda leaf: leaf + 0.1, params)  # a bias too
    assert jax.tree.structure(ours.init(keys[1], x)) == jax.tree.structure(params)

    kernel = np.asarray(params["params"]["kernel"].astype(dtype), np.float64)
    padding = ((1, 1), (2, 2))
    parts = [
        _oracle(each, weights, np.zeros((3, 4, 5, 12 // groups)), (1, 1), padding)[0]
        for each, weights in zip(
            np.split(np.asarray(x, np.float64), groups, -1), np.split(kernel, groups, -1)
        )
    ]
    got = ours.apply(params, x)
    assert got.dtype == x.dtype
    tolerance = 1e-5 if dtype == "float32" else 2e-2
    np.testing.assert_allclose(
        got.astype(np.float32), np.concatenate(parts, -1) + 0.1, rtol=tolerance, atol=tolerance
    )

    def objective(layer):
        return jax.grad(
            lambda params, x: jnp.sum(jnp.sin(layer.apply(params, x).astype(jnp.float32))), (0, 1)
        )

    leaves = (jax.tree.leaves(objective(layer)(params, x)) for layer in (ours, linen))
    for mine, theirs in zip(*leaves, strict=True):
        assert mine.dtype == theirs.dtype
        scale = float(jnp.abs(theirs).max())
        np.testing.assert_allclose(
            mine.astype(np.float32), theirs.astype(np.float32), rtol=0, atol=tolerance * scale
        )
