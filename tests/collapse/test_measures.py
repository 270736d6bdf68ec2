"""Measures of collapse against loops, known configurations, and several devices."""

import math

import embedding_oracles
import jax
import jax.numpy as jnp
import numpy as np
import parity
import pytest

from jaxssl import collapse


def _rows(seed, *shape):
    return jnp.asarray(np.random.default_rng(seed).normal(size=shape), jnp.float32)


def _measures(rows, other, axis_name=None):
    return jnp.stack(
        [
            collapse.feature_std(rows, axis_name=axis_name),
            collapse.effective_rank(rows, axis_name=axis_name),
            collapse.alignment(rows, other, axis_name=axis_name),
            collapse.uniformity(rows, axis_name=axis_name),
            collapse.usage_entropy(jax.nn.softmax(other, axis=-1), axis_name=axis_name),
            collapse.neighbour_distance(rows, axis_name=axis_name),
            collapse.spectral_decay(rows, first=2, axis_name=axis_name),
        ]
    )


def _expected(rows, other):
    rows, other = np.float64(rows), np.float64(other)
    unit = np.array([row / np.linalg.norm(row) for row in rows])
    sigma = np.linalg.svd(rows, compute_uv=False)
    share = sigma / sigma.sum() + 1e-7
    usage = embedding_oracles.softmax(other).mean(0)
    return [
        np.mean([np.std(column) for column in unit.T]),
        math.exp(-sum(p * math.log(p) for p in share)),
        np.mean(embedding_oracles.cosine_regression(rows, other)),
        embedding_oracles.uniformity(rows, t=2.0),
        -sum(u * math.log(u) for u in usage),
        np.mean(embedding_oracles.nearest_distances(rows)),
        embedding_oracles.spectral_decay(rows, first=2),
    ]


def test_measures_match_the_loops():
    rows, other = 3 * _rows(0, 8, 5) + 0.5, _rows(1, 8, 5)
    np.testing.assert_allclose(jax.jit(_measures)(rows, other), _expected(rows, other), rtol=1e-4)


@pytest.mark.parametrize("backend", parity.MAPPED)
@pytest.mark.parametrize("devices", parity.DEVICES)
def test_measures_are_global_and_equal_on_all_devices(devices, backend):
    rows, other = _rows(0, 8, 5), _rows(1, 8, 5)
    expected = jax.jit(_measures)(rows, other)
    chosen = jax.devices()[:devices]
    if backend == "pmap":
        split = (leaf.reshape(devices, -1, 5) for leaf in (rows, other))
        actual = jax.pmap(
            lambda rows, other: _measures(rows, other, parity.AXIS), parity.AXIS, devices=chosen
        )(*split)
    else:  # out_specs without the axis: equality is proved while tracing
        mesh = jax.make_mesh(
            (devices,), (parity.AXIS,), axis_types=(jax.sharding.AxisType.Auto,), devices=chosen
        )
        mapped = jax.shard_map(
            lambda rows, other: _measures(rows, other, parity.AXIS)[None],
            mesh=mesh, in_specs=(jax.P(parity.AXIS),) * 2, out_specs=jax.P(),
        )  # fmt: skip
        actual = jax.jit(mapped)(rows, other)
    for row in jax.device_get(actual):
        np.testing.assert_allclose(row, expected, rtol=1e-5)


def test_a_collapsed_representation_shows_in_every_measure():
    rows = jnp.ones((8, 5)) * jnp.linspace(1, 2, 8)[:, None]
    one_prototype = 50 * jnp.ones((8, 5)).at[:, 1:].set(0)
    std, rank, alignment, uniformity, entropy, distance, decay = jax.jit(_measures)(
        rows, one_prototype
    )
    np.testing.assert_allclose([std, uniformity, entropy, distance], 0, atol=1e-5)
    np.testing.assert_allclose(rank, 1, rtol=1e-4)
    assert abs(decay) < 1  # one direction: nothing is left from rank 2 on
    assert alignment > 0
    np.testing.assert_allclose(collapse.alignment(rows, 3 * rows), 0, atol=1e-10)


def test_an_isotropic_representation_shows_in_every_measure():
    rows = jnp.concatenate([jnp.eye(5), -jnp.eye(5)])
    std, rank, _, uniformity, entropy, distance, decay = jax.jit(_measures)(
        rows, jnp.zeros((10, 5))
    )
    np.testing.assert_allclose(decay, 0, atol=1e-5)
    np.testing.assert_allclose(std, 1 / math.sqrt(5), rtol=1e-6)
    np.testing.assert_allclose(rank, 5, rtol=1e-4)
    np.testing.assert_allclose(entropy, math.log(5), rtol=1e-6)
    np.testing.assert_allclose(distance, math.sqrt(2), rtol=1e-6)
    np.testing.assert_allclose(
        uniformity, math.log((8 * math.exp(-4) + math.exp(-8)) / 9), rtol=1e-5
    )


def test_low_rank_is_not_hidden_by_the_noise_of_float32():
    rows = _rows(0, 512, 2) @ _rows(1, 2, 256)
    assert collapse.effective_rank(rows) < 2.01  # about 2.1 by way of the Gram matrix


@pytest.mark.parametrize("exponent", [0.5, 1.0, 3.0])
def test_a_spectrum_that_is_a_power_law_has_its_exponent(exponent):
    generator = np.random.default_rng(0)
    centred = generator.normal(size=(256, 128))
    directions, _ = np.linalg.qr(centred - centred.mean(0))
    turn, _ = np.linalg.qr(generator.normal(size=(128, 128)))
    rows = directions * np.arange(1, 129) ** (-exponent / 2) @ turn + 2
    np.testing.assert_allclose(
        collapse.spectral_decay(jnp.asarray(rows, jnp.float32)), exponent, rtol=1e-3
    )


def test_a_spectrum_that_ends_falls_steeply_and_stays_finite():
    rows = _rows(0, 64, 10) @ _rows(1, 10, 32)
    assert collapse.spectral_decay(rows) > 10
    assert collapse.spectral_decay(jnp.ones((64, 32))) == 0


def test_target_distance_matches_the_loop():
    online = {"encoder": {"w": _rows(0, 3, 4), "b": _rows(1, 4)}, "projector": _rows(2, 2)}
    target = jax.tree.map(lambda leaf: 0.9 * leaf + 0.1, online)
    pairs = list(zip(jax.tree.leaves(online), jax.tree.leaves(target), strict=True))
    apart = sum(float(np.sum((np.float64(a) - np.float64(b)) ** 2)) for a, b in pairs)
    whole = sum(float(np.sum(np.float64(a) ** 2)) for a, _ in pairs)
    got = jax.jit(collapse.target_distance)(online, target)
    np.testing.assert_allclose(got, math.sqrt(apart / whole), rtol=1e-6)
    assert got.dtype == jnp.float32
    assert collapse.target_distance(online, online) == 0
    nothing = jax.tree.map(jnp.zeros_like, online)
    assert collapse.target_distance(nothing, nothing) == 0
    halves = jax.tree.map(lambda leaf: leaf.astype(jnp.bfloat16), online)
    assert 0 < collapse.target_distance(online, halves) < 0.01


def test_zero_rows_give_finite_measures():
    assert np.all(np.isfinite(jax.jit(_measures)(jnp.zeros((4, 3)), jnp.zeros((4, 3)))))


def test_half_precision_is_measured_in_float32_without_a_gradient():
    rows = _rows(0, 4, 3).astype(jnp.bfloat16)
    assert _measures(rows, rows).dtype == jnp.float32
    for measure in (collapse.feature_std, collapse.uniformity, collapse.neighbour_distance):
        assert not np.any(jax.grad(lambda rows: measure(rows))(_rows(0, 4, 3)))  # noqa: B023


def test_static_mistakes_of_measures_are_named():
    with pytest.raises(
        ValueError, match=r"uniformity: t must be finite and above 0; got 0\. Leave"
    ):
        collapse.uniformity(jnp.ones((2, 3)), t=0)
    for measure in (collapse.uniformity, collapse.neighbour_distance):
        message = rf"{measure.__name__}: the global batch must have at least 2 rows; got 1\."
        with pytest.raises(ValueError, match=message):
            measure(jnp.ones((1, 3)))
    with pytest.raises(
        ValueError, match=r"spectral_decay: at least two eigenvalues must have ranks 4 to 100; got"
    ):
        collapse.spectral_decay(jnp.ones((5, 9)))
    for measure in (collapse.feature_std, collapse.effective_rank, collapse.spectral_decay):
        with pytest.raises(
            ValueError, match=rf"{measure.__name__}: features must be \[B, D\]; got"
        ):
            measure(jnp.ones(3))
    with pytest.raises(
        ValueError, match=r"usage_entropy: probabilities must be \[B, M\]; got shape"
    ):
        collapse.usage_entropy(jnp.ones(3))
    with pytest.raises(ValueError, match=r"alignment: view_a must be \[B, D\]; got shape \(3,\)\."):
        collapse.alignment(jnp.ones(3), jnp.ones(3))
    with pytest.raises(ValueError, match=r"effective_rank: epsilon must be finite and above 0"):
        collapse.effective_rank(jnp.ones((2, 3)), epsilon=0)
