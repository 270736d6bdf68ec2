"""info_nce and nt_xent, dense and tiled, against loops, finite differences and known properties."""

import functools
import math

import chex
import jax
import jax.numpy as jnp
import numpy as np
import optax
import oracles
import pytest
from jax.test_util import check_grads

from jaxssl import losses, parallel

BLOCK_SIZES = (None, 1, 3, 100)  # dense; strips that divide the rows, that do not, one for all


def _rows(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def _pair(seed=0, count=7, features=5):
    return _rows(seed, count, features), _rows(seed + 100, count, features)


def _queue_loss(query, positive, **options):
    queue = jnp.pad(_rows(9, 6, 5), ((0, 0), (0, query.shape[1] - 5)))
    return losses.info_nce(query, positive, negatives=queue, **options)


def _jit(loss):
    return jax.jit(loss, static_argnames=("temperature", "block_size"))


info_nce, nt_xent, queue_loss = _jit(losses.info_nce), _jit(losses.nt_xent), _jit(_queue_loss)
ORACLES = {info_nce: oracles.info_nce, nt_xent: oracles.nt_xent}
PAIR_LOSSES = (info_nce, nt_xent)
ALL_LOSSES = (info_nce, nt_xent, queue_loss)


def _relative(actual, expected):
    return np.max(np.abs(actual - expected)) / np.max(np.abs(expected))


# Oracles


@pytest.mark.parametrize("block_size", BLOCK_SIZES)
@pytest.mark.parametrize("temperature", (0.1, 1.0))
@pytest.mark.parametrize("loss", PAIR_LOSSES)
def test_value_matches_the_loop(loss, temperature, block_size):
    a, b = _pair()
    values = loss(a, b, temperature=temperature, block_size=block_size)
    chex.assert_shape(values, (7,))
    expected = ORACLES[loss](np.float64(a), np.float64(b), temperature=temperature)
    assert _relative(values, expected) < 1e-5


@pytest.mark.parametrize("block_size", BLOCK_SIZES)
def test_info_nce_with_a_queue_matches_the_loop(block_size):
    (query, positive), queue = _pair(), 3 * _rows(5, 4, 5)
    values = info_nce(query, positive, negatives=queue, block_size=block_size)
    expected = oracles.info_nce(
        np.float64(query), np.float64(positive), negatives=np.float64(queue), temperature=0.1
    )
    assert _relative(values, expected) < 1e-5


@pytest.mark.parametrize("block_size", (None, 2))
@pytest.mark.parametrize("loss", PAIR_LOSSES)
def test_gradient_matches_finite_differences_of_the_loop(loss, block_size):
    a, b = _pair(count=3, features=4)
    weights = np.array([0.5, -2.0, 1.0])  # a gradient that differs between the examples

    def priced(a, b):
        return jnp.sum(weights.astype(np.float32) * loss(a, b, block_size=block_size))

    actual = jax.jit(jax.grad(priced, argnums=(0, 1)))(a, b)
    a, b = np.float64(a), np.float64(b)
    oracle = functools.partial(ORACLES[loss], temperature=0.1)
    assert _relative(actual[0], oracles.gradient(lambda a: weights @ oracle(a, b), a)) < 1e-5
    assert _relative(actual[1], oracles.gradient(lambda b: weights @ oracle(a, b), b)) < 1e-5


def test_nt_xent_matches_optax():
    a, b = _pair(count=6)
    labels = jnp.tile(jnp.arange(6), 2)
    with jax.numpy_dtype_promotion("standard"):
        expected = jax.jit(optax.losses.ntxent)(jnp.concatenate([a, b]), labels, temperature=0.2)
    actual = jnp.mean(nt_xent(a, b, temperature=0.2))
    np.testing.assert_allclose(actual, expected, rtol=1e-5)


# Dense and tiled, numerics


@pytest.mark.parametrize("block_size", (1, 5, 8, 16))
@pytest.mark.parametrize("loss", ALL_LOSSES)
def test_tiled_equals_dense(loss, block_size):
    unjitted = loss.__wrapped__  # whose temperature may be traced

    def priced(a, b, temperature, block_size):
        values = unjitted(a, b, temperature=temperature, block_size=block_size)
        return jnp.mean(jnp.square(values)), values

    a, b = _pair(count=8)
    run = jax.value_and_grad(priced, argnums=(0, 1, 2), has_aux=True)
    run = jax.jit(run, static_argnums=3)
    (_, values), gradients = run(a, b, 0.1, block_size)
    (_, expected), expected_gradients = run(a, b, 0.1, None)
    assert _relative(values, expected) < 1e-5
    for gradient, expected_gradient in zip(gradients, expected_gradients, strict=True):
        assert _relative(gradient, expected_gradient) < 1e-5


@pytest.mark.parametrize("block_size", (None, 2))
@pytest.mark.parametrize("loss", PAIR_LOSSES)
def test_low_temperature_and_opposed_rows_stay_exact(loss, block_size):
    # Logits from -100 to 100: exp(-1 / T - 1 / T) underflows in float32, exp(2 / T) overflows.
    direction = _rows(0, 1, 5)
    a = 3 * direction + 0.02 * _rows(1, 5, 5)
    b = -direction + 0.02 * _rows(2, 5, 5)
    b = b.at[0].set(a[1])

    def total(a, b):
        return jnp.sum(loss(a, b, temperature=0.01, block_size=block_size))

    oracle = functools.partial(ORACLES[loss], temperature=0.01)
    values = loss(a, b, temperature=0.01, block_size=block_size)
    assert _relative(values, oracle(np.float64(a), np.float64(b))) < 1e-5
    gradient = jax.jit(jax.grad(total, argnums=(0, 1)))(a, b)
    expected = oracles.gradient(lambda a: oracle(a, np.float64(b)).sum(), np.float64(a))
    assert _relative(gradient[0], expected) < 1e-3  # logits of 100 carry 1e-5 of rounding
    expected = oracles.gradient(lambda b: oracle(np.float64(a), b).sum(), np.float64(b))
    assert _relative(gradient[1], expected) < 1e-3


@pytest.mark.parametrize("block_size", (None, 2))
@pytest.mark.parametrize("loss", PAIR_LOSSES)
def test_easy_examples_keep_their_relative_precision(loss, block_size):
    rows = jnp.eye(4)  # value = log(1 + n exp(-20)), far below the rounding of logits of 20
    negatives = 3 if loss is info_nce else 6
    values = loss(rows, rows, temperature=0.05, block_size=block_size)
    np.testing.assert_allclose(values, math.log1p(negatives * math.exp(-20)), rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("block_size", (None, 2))
@pytest.mark.parametrize("loss", ALL_LOSSES)
def test_gradients_pass_check_grads_in_float64(loss, block_size):
    with jax.enable_x64(True):
        a, b = (row.astype(jnp.float64) for row in _pair(count=3))
        values = loss(a, b, block_size=block_size)
        assert values.dtype == jnp.float64
        fn = functools.partial(loss, temperature=0.5, block_size=block_size)
        check_grads(fn, (a, b), order=1, modes=["rev"], atol=1e-6, rtol=1e-6)


@pytest.mark.parametrize("block_size", (None, 2))
@pytest.mark.parametrize("loss", ALL_LOSSES)
def test_zero_rows_are_orthogonal_and_have_zero_gradient(loss, block_size):
    a, b = _pair(count=4)
    # A sixth feature that only the fourth row uses makes it orthogonal to all others.
    wide_a, wide_b = (jnp.pad(rows, ((0, 0), (0, 1))) for rows in (a, b))
    orthogonal = wide_a.at[3].set(jnp.eye(6)[5])
    zero = wide_a.at[3].set(0)
    fn = functools.partial(loss, block_size=block_size)
    np.testing.assert_allclose(fn(zero, wide_b), fn(orthogonal, wide_b), rtol=1e-5)
    gradient = jax.jit(jax.grad(lambda a, b: fn(a, b).sum(), argnums=(0, 1)))
    gradients = gradient(zero, jnp.zeros_like(wide_b))
    assert all(np.all(np.isfinite(gradient)) for gradient in gradients)
    assert not np.any(gradients[0][3])
    assert not np.any(gradients[1])


@pytest.mark.parametrize("block_size", (None, 2))
@pytest.mark.parametrize("loss", (losses.info_nce, losses.nt_xent))
def test_a_global_batch_of_one_has_no_negatives_and_is_refused(loss, block_size):
    """Its loss would be 0 whatever the encoder does, and a run would end as if it were done."""
    a, b = _pair(count=1)
    with pytest.raises(ValueError, match=r"the global batch must have at least 2 rows; got 1\."):
        loss(a, b, block_size=block_size)
    mesh = parallel.mesh(devices=jax.devices()[:2])
    on_two = jax.shard_map(
        lambda a, b: loss(a, b, block_size=block_size, axis_name="data"),
        mesh=mesh, in_specs=jax.P("data"), out_specs=jax.P("data"),
    )  # fmt: skip
    assert np.all(np.isfinite(jax.jit(on_two)(*_pair(count=2))))


# Properties


@pytest.mark.parametrize("scale", (1e-18, 1e-3, 1e18, 1e37))
@pytest.mark.parametrize("loss", ALL_LOSSES)
def test_scale_of_rows_does_not_matter(loss, scale):
    a, b = _pair()
    a = a / jnp.max(jnp.abs(a))
    np.testing.assert_allclose(loss(scale * a, b), loss(a, b), rtol=1e-5)
    scales = jnp.linspace(0.1, 10, 7)[:, None]
    np.testing.assert_allclose(loss(a, scales * b), loss(a, b), rtol=1e-5)


@pytest.mark.parametrize("loss", PAIR_LOSSES)
def test_rotation_of_the_feature_space_does_not_matter(loss):
    a, b = _pair()
    rotation = jnp.linalg.qr(_rows(3, 5, 5))[0]
    np.testing.assert_allclose(loss(a @ rotation, b @ rotation), loss(a, b), rtol=1e-4)


@pytest.mark.parametrize("block_size", (None, 3))
def test_nt_xent_is_symmetric_in_its_views(block_size):
    a, b = _pair()
    forward = nt_xent(a, b, block_size=block_size)
    np.testing.assert_allclose(nt_xent(b, a, block_size=block_size), forward, rtol=1e-5)


@pytest.mark.parametrize("seed", range(3))
def test_lower_bounds_and_the_rows_that_attain_them(seed):
    # Simplex: all rows equally far apart, similarity -1 / (G - 1).
    simplex = jnp.eye(4) - 0.25
    gap = math.exp((-1 / 3 - 1) / 0.5)
    a, b = _pair(seed, count=4)
    for loss, negatives in ((info_nce, 3), (nt_xent, 6)):
        bound = math.log1p(negatives * gap)
        np.testing.assert_allclose(loss(simplex, simplex, temperature=0.5), bound, rtol=1e-5)
        assert jnp.mean(loss(a, b, temperature=0.5)) > bound
    bound = math.log1p(6 * math.exp(-2 / 0.5))
    opposite = jnp.broadcast_to(-a[:1], (6, 5))
    attained = info_nce(a[:1], a[:1], negatives=opposite, temperature=0.5)
    np.testing.assert_allclose(attained, bound, rtol=1e-4)


@pytest.mark.parametrize("seed", range(3))
def test_random_rows_cost_the_log_of_the_number_of_candidates(seed):
    a, b = _pair(seed, count=64, features=1024)
    candidates = {info_nce: 64, nt_xent: 127}
    for loss, count in candidates.items():
        value = jnp.mean(loss(a, b, temperature=1.0))
        np.testing.assert_allclose(value, math.log(count), atol=0.01)


def test_a_learned_temperature_receives_its_gradient():
    a, b = _pair(count=3)
    actual = jax.jit(jax.grad(lambda t: losses.nt_xent(a, b, temperature=t, block_size=2).sum()))(
        0.3
    )
    expected = oracles.gradient(
        lambda t: oracles.nt_xent(np.float64(a), np.float64(b), temperature=t[0]).sum(), [0.3]
    )
    np.testing.assert_allclose(actual, expected[0], rtol=1e-5)


# Compilation


@pytest.mark.slow
@pytest.mark.parametrize("loss", PAIR_LOSSES)
def test_memory_of_the_tiled_form_is_linear_in_the_batch(loss):
    def temporary_bytes(count):
        shape = jax.ShapeDtypeStruct((count, 4), jnp.float32)
        fn = jax.grad(lambda a, b: loss(a, b, block_size=32).sum(), argnums=(0, 1))
        compiled = jax.jit(fn).lower(shape, shape).compile()
        return compiled.memory_analysis().temp_size_in_bytes

    assert temporary_bytes(2048) < 2.5 * temporary_bytes(1024)


# Errors


@pytest.mark.parametrize("loss", (losses.info_nce, losses.nt_xent))
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"temperature": 0.0}, r"temperature must be finite and above 0; got 0\.0\. Usual"),
        ({"temperature": -1}, r"temperature must be finite and above 0; got -1\."),
        ({"temperature": math.nan}, r"temperature must be finite and above 0; got nan\."),
        ({"temperature": np.ones(2)}, r"temperature must be one number; got shape \(2,\)\."),
        ({"block_size": 0}, r"block_size must be None or an int of at least 1; got 0\. Use None"),
        ({"block_size": 2.0}, r"block_size must be None or an int of at least 1; got 2\.0\."),
    ],
)
def test_options_out_of_range_are_named(loss, options, message):
    with pytest.raises(ValueError, match=f"{loss.__name__}: {message}"):
        loss(*_pair(), **options)
