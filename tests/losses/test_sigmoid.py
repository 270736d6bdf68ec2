"""siglip, dense and tiled, against a loop, finite differences, one device and known properties."""

import functools
import math

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import parity
import pytest
from jax.test_util import check_grads

from jaxssl import losses, parallel

FORMS = pytest.mark.parametrize("block_size", (None, 3))
siglip = jax.jit(losses.siglip, static_argnames=("block_size", "axis_name"))
START = {"temperature": 0.1, "bias": -10.0}


def _rows(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def _pair(count=7, features=5):
    return _rows(0, count, features), _rows(1, count, features)


def _close(actual, expected, tolerance=1e-5):
    np.testing.assert_allclose(
        actual, expected, rtol=0, atol=tolerance * np.max(np.abs(expected)) + 1e-30
    )


# Oracle


@pytest.mark.parametrize(("temperature", "bias"), [(0.1, -10.0), (1.0, 0.0), (0.2, 3.0)])
@pytest.mark.parametrize("block_size", (None, 1, 3, 100))
def test_values_match_the_loop(temperature, bias, block_size):
    scalars = {"temperature": temperature, "bias": bias}
    image, text = _pair()
    values = siglip(3 * image, text, **scalars, block_size=block_size)
    expected = oracles.siglip(np.float64(image), np.float64(text), **scalars)
    np.testing.assert_allclose(values, expected, rtol=2e-5)


@FORMS
def test_gradients_match_finite_differences_of_the_loop(block_size):
    arguments = (*_pair(count=4, features=3), jnp.float32(0.3), jnp.float32(-1.5))
    weights = np.array([0.5, -2.0, 1.0, 0.25])  # a gradient that differs between the images

    def priced(loss, weights, image, text, temperature, bias):
        return (weights * loss(image, text, temperature=temperature, bias=bias)).sum()

    loss = functools.partial(losses.siglip, block_size=block_size)
    run = functools.partial(priced, loss, weights.astype(np.float32))
    actual = jax.jit(jax.grad(run, argnums=(0, 1, 2, 3)))(*arguments)
    wide = [np.float64(argument) for argument in arguments]
    for place, gradient in enumerate(actual):

        def moved(argument, place=place):
            return priced(oracles.siglip, weights, *wide[:place], argument, *wide[place + 1 :])

        _close(gradient, oracles.gradient(moved, wide[place]))


@FORMS
def test_gradients_pass_check_grads_in_float64(block_size):
    with jax.enable_x64(True):
        image, text = (rows.astype(jnp.float64) for rows in _pair(count=4))

        def loss(image, text, temperature, bias):
            return siglip(image, text, temperature=temperature, bias=bias, block_size=block_size)

        arguments = (image, text, jnp.float64(0.4), jnp.float64(-2))
        assert loss(*arguments).dtype == jnp.float64
        check_grads(loss, arguments, order=1, modes=["rev"], atol=1e-6, rtol=1e-6)


# Devices


def _learned(params, batch, axis_name, *, block_size):
    image, text = (rows * (1 + params["bend"] * rows) for rows in batch)
    scalars = {"temperature": jnp.exp(params["log_temperature"]), "bias": params["bias"]}
    return losses.siglip(image, text, **scalars, block_size=block_size, axis_name=axis_name)


LEARNED = {
    "bend": jnp.float32(0.1),
    "log_temperature": jnp.log(jnp.float32(0.2)),
    "bias": jnp.float32(-2),
}


@pytest.mark.parametrize(
    ("backend", "check_vma"), [("pmap", True), ("shard_map", True), ("shard_map", False)]
)
@pytest.mark.parametrize("devices", parity.DEVICES)
@FORMS
def test_learned_scalars_have_the_gradient_of_one_device(block_size, devices, backend, check_vma):
    batch = _pair(count=16)
    expected = parity.unmapped(functools.partial(_learned, block_size=None), LEARNED, batch)
    outcome = parity.value_and_grad(
        functools.partial(_learned, block_size=block_size), LEARNED, batch, devices=devices,
        backend=backend, check_vma=check_vma,
    )  # fmt: skip
    parity.assert_close(outcome, expected, tolerance=2e-5)


@FORMS
def test_learned_scalars_beside_global_arrays_on_an_explicit_mesh(block_size):
    def price(image, text, temperature, bias):
        return siglip(image, text, temperature=temperature, bias=bias, block_size=block_size).mean()

    run = jax.jit(jax.value_and_grad(price, argnums=(0, 1, 2, 3)))
    rows, scalars = _pair(count=16), (jnp.float32(0.2), jnp.float32(-2))
    mesh = jax.make_mesh((4,), ("data",), devices=jax.devices()[:4])
    lie = [jax.NamedSharding(mesh, spec) for spec in (jax.P("data"), jax.P())]
    spread = [jax.device_put(array, lie[array.ndim == 0]) for array in (*rows, *scalars)]
    assert jax.typeof(spread[0]).sharding.mesh.explicit_axes
    for actual, expected in zip(*map(jax.tree.leaves, (run(*spread), run(*rows, *scalars)))):
        _close(actual, expected)


def test_in_the_tiled_form_texts_go_round_a_ring_and_nobody_gathers_them():
    mesh = parallel.mesh(devices=jax.devices()[:4])

    def program(block_size):
        def gradient(image, text):
            def price(image, text):
                values = losses.siglip(
                    image, text, **START, block_size=block_size, axis_name="data"
                )
                return jax.lax.pmean(values.mean(), "data")

            return jax.grad(price, argnums=(0, 1))(image, text)

        mapped = jax.shard_map(gradient, mesh=mesh, in_specs=jax.P("data"), out_specs=jax.P("data"))
        return str(jax.make_jaxpr(mapped)(*_pair(count=16)))

    assert "all_gather" in program(None) and "ppermute" not in program(None)
    assert "all_gather" not in program(2) and "ppermute" in program(2)


# Numerics


@FORMS
def test_well_told_pairs_keep_their_relative_precision(block_size):
    rows = jnp.array([[1.0, 0.0], [-1.0, 0.0]])  # logits of 20 and -20, both far below rounding
    values = siglip(rows, rows, temperature=0.05, bias=0.0, block_size=block_size)
    np.testing.assert_allclose(values, 2 * math.log1p(math.exp(-20)), rtol=1e-5)


@FORMS
def test_logits_of_hundreds_neither_overflow_nor_lose_their_gradient(block_size):
    rows = _rows(0, 5, 3)
    scalars = {"temperature": 0.005, "bias": -10.0}

    def total(image, text):
        return siglip(image, text, **scalars, block_size=block_size).sum()

    run = jax.jit(jax.value_and_grad(total, argnums=(0, 1)))
    value, gradients = run(-rows, rows)  # each pair opposite: logits of -210
    opposite = oracles.siglip(-np.float64(rows), np.float64(rows), **scalars)
    np.testing.assert_allclose(value, opposite.sum(), rtol=1e-5)
    for gradient in gradients:
        assert np.all(np.isfinite(gradient)) and np.max(np.abs(gradient)) > 1


@FORMS
def test_zero_rows_are_orthogonal_and_have_zero_gradient(block_size):
    image, text = (jnp.pad(rows, ((0, 0), (0, 1))) for rows in _pair(count=4))
    zero, orthogonal = image.at[3].set(0), image.at[3].set(jnp.eye(6)[5])
    fn = functools.partial(siglip, **START, block_size=block_size)
    np.testing.assert_allclose(fn(zero, text), fn(orthogonal, text), rtol=1e-5)
    gradients = jax.grad(lambda a, b: fn(a, b).sum(), argnums=(0, 1))(zero, jnp.zeros_like(text))
    assert all(np.all(np.isfinite(gradient)) for gradient in gradients)
    assert not np.any(gradients[0][3])
    assert not np.any(gradients[1])


@pytest.mark.parametrize("scale", (1e-18, 1e18, 1e37))
@FORMS
def test_scale_of_rows_does_not_matter(scale, block_size):
    image, text = _pair()
    image = image / jnp.max(jnp.abs(image))
    fn = functools.partial(siglip, **START, block_size=block_size)
    np.testing.assert_allclose(fn(scale * image, text), fn(image, text), rtol=1e-5)


def test_memory_of_the_tiled_form_is_linear_in_the_batch():
    def temporary_bytes(count):
        shape = jax.ShapeDtypeStruct((count, 4), jnp.float32)

        def price(a, b):
            return losses.siglip(a, b, **START, block_size=32).sum()

        compiled = jax.jit(jax.grad(price, argnums=(0, 1))).lower(shape, shape).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert temporary_bytes(2048) < 2.5 * temporary_bytes(1024)


# Properties


@FORMS
def test_first_values_of_orthogonal_pairs_are_the_published_ones(block_size):
    """The bias of -10 is what makes the first loss small although nearly all pairs are negative."""
    values = siglip(jnp.eye(4), jnp.eye(4), **START, block_size=block_size)
    expected = math.log(2) + 3 * math.log1p(math.exp(-10))
    np.testing.assert_allclose(values, expected, rtol=1e-5)


@FORMS
def test_mean_is_the_same_from_both_sides_and_only_the_mean(block_size):
    image, text = _pair()
    fn = functools.partial(siglip, temperature=0.5, bias=-1.0, block_size=block_size)
    of_images, of_texts = fn(image, text), fn(text, image)
    np.testing.assert_allclose(of_images.mean(), of_texts.mean(), rtol=1e-5)
    assert np.max(np.abs(of_images - of_texts)) > 0.1


# Errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0.0}, r"temperature must be finite and above 0; got 0\.0\. Usual"),
        ({"temperature": np.ones(2)}, r"temperature must be one number; got shape \(2,\)\."),
        ({"bias": math.nan}, r"bias must be finite; got nan\. It is published as -10 at first\."),
        ({"bias": -math.inf}, r"bias must be finite; got -inf\."),
        ({"bias": np.ones((7, 1))}, r"bias must be one number; got shape \(7, 1\)\. Index or"),
        ({"block_size": 0}, r"block_size must be None or an int of at least 1; got 0\. Use None"),
    ],
)
def test_options_out_of_range_are_named(options, message):
    with pytest.raises(ValueError, match=f"siglip: {message}"):
        losses.siglip(*_pair(), **START | options)


@FORMS
def test_a_global_batch_of_one_has_no_negatives_and_is_refused(block_size):
    with pytest.raises(ValueError, match=r"siglip: the global batch must have at least 2 rows; go"):
        losses.siglip(*_pair(count=1), **START, block_size=block_size)
    on_two = jax.shard_map(
        functools.partial(losses.siglip, **START, block_size=block_size, axis_name="data"),
        mesh=parallel.mesh(devices=jax.devices()[:2]),
        in_specs=jax.P("data"),
        out_specs=jax.P("data"),
    )
    assert np.all(np.isfinite(jax.jit(on_two)(*_pair(count=2))))
