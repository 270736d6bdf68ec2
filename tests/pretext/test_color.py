"""Colour bins, codes, priors, weights and clusters, against loops in float64."""

import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import colorspace
from jaxssl.pretext import color, gamut

# First and last b of the bins of each a: the published set.
COLUMNS = {
    -90: (50, 90), -80: (20, 90), -70: (0, 90), -60: (-20, 90), -50: (-30, 100), -40: (-40, 100),
    -30: (-50, 100), -20: (-50, 100), -10: (-60, 100), 0: (-70, 100), 10: (-80, 90), 20: (-80, 90),
    30: (-90, 90), 40: (-100, 90), 50: (-100, 80), 60: (-110, 80), 70: (-110, 80), 80: (-110, 70),
    90: (-110, 70), 100: (-90, 0),
}  # fmt: skip


@pytest.fixture(scope="module")
def ab():
    """Colours of sRGB, float64 [64, 2]; ties between bins have no chance."""
    rgb = np.random.default_rng(0).uniform(size=(64, 3))
    return colorspace.rgb_to_lab(rgb)[:, 1:]


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(1).integers(0, 256, (3, 5, 4, 3), dtype=np.uint8)


def distances(point):
    return [sum((p - c) ** 2 for p, c in zip(point, center)) for center in gamut.ab_bins()]


def soft_code(point, num_neighbours=10, sigma=5.0):
    """Zhang 2016 sec. 2.1: the nearest bins, weighted by a Gaussian, by a loop."""
    apart = distances(point)
    farthest = sorted(apart)[num_neighbours - 1]
    code = [math.exp(-d / (2 * sigma**2)) if d <= farthest else 0.0 for d in apart]
    return np.array(code) / sum(code)


def test_bins_are_the_published_ones_column_by_column():
    expected = [[a, b] for a, (low, high) in COLUMNS.items() for b in range(low, high + 1, 10)]
    assert len(expected) == gamut.NUM_AB_BINS
    np.testing.assert_array_equal(gamut.ab_bins(), expected)


def test_soft_code_is_that_of_the_loop(ab):
    code = jax.jit(color.soft_ab)(jnp.asarray(ab, jnp.float32).reshape(8, 8, 2))
    assert code.shape == (8, 8, 313) and code.dtype == jnp.float32
    code = code.reshape(-1, 313)
    np.testing.assert_allclose(code, [soft_code(point) for point in ab], atol=2e-5)
    np.testing.assert_array_equal(np.count_nonzero(code, axis=-1), 10)
    few = color.soft_ab(jnp.asarray(ab, jnp.float32), num_neighbours=5, sigma=3.0)
    np.testing.assert_allclose(few, [soft_code(point, 5, 3.0) for point in ab], atol=2e-5)


def test_hard_code_is_the_nearest_bin(ab):
    code = color.hard_ab(jnp.asarray(ab, jnp.float32))
    assert code.dtype == jnp.int32
    np.testing.assert_array_equal(code, [np.argmin(distances(point)) for point in ab])


def test_a_color_out_of_gamut_has_a_code():
    far = jnp.array([[500.0, -500.0]])
    np.testing.assert_allclose(color.soft_ab(far).sum(), 1, rtol=1e-6)
    assert 0 <= color.hard_ab(far)[0] < 313


def test_lightness_bins():
    lightness = jnp.array([0.0, 1.99, 2.0, 50.5, 99.9, 100.0, 100.001, -1e-4])
    index = color.lightness_bin(lightness)
    np.testing.assert_array_equal(index, [0, 0, 1, 25, 49, 49, 49, 0])
    np.testing.assert_array_equal(color.lightness_of_bin(index)[:3], [1, 1, 3])


def test_annealed_mean_is_that_of_the_loop_and_goes_from_mean_to_mode():
    logits = np.random.default_rng(0).normal(size=(4, 313))
    for temperature in (1.0, 0.38):
        powers = [[math.exp(x) ** (1 / temperature) for x in row] for row in logits]
        expected = [sum(p * c for p, c in zip(row, gamut.ab_bins())) / sum(row) for row in powers]
        got = color.annealed_mean(jnp.asarray(logits, jnp.float32), temperature=temperature)
        np.testing.assert_allclose(got, expected, rtol=0, atol=1e-3)
    cold = color.annealed_mean(jnp.asarray(logits, jnp.float32), temperature=1e-3)
    np.testing.assert_allclose(cold, gamut.ab_bins()[logits.argmax(-1)], rtol=0, atol=0.1)


def test_decoding_a_code_gives_the_color_back(ab):
    """The mean over the soft code is near the colour: bins, order and axes agree."""
    logits = jnp.log(color.soft_ab(jnp.asarray(ab, jnp.float32)) + 1e-30)
    assert np.max(np.abs(color.annealed_mean(logits, temperature=1.0) - ab)) < 10


def test_prior_is_the_smoothed_histogram_of_the_loop(images):
    expected = np.zeros(313)
    for pixel in images.reshape(-1, 3):
        nearest = np.argmin(distances(colorspace.rgb_to_lab(pixel / 255.0)[1:]))
        expected += soft_code(gamut.ab_bins()[nearest])
    prior = color.ab_prior(images)
    np.testing.assert_allclose(prior, expected / expected.sum(), rtol=1e-6, atol=1e-12)
    assert prior.sum() == pytest.approx(1) and np.any(prior == 0)


def test_every_color_of_the_cube_has_a_bin():
    levels = np.arange(0, 256, 15, dtype=np.uint8)
    cube = np.stack(np.meshgrid(levels, levels, levels), axis=-1)
    assert np.isfinite(color.ab_prior(cube)).all()
    ab = colorspace.rgb_to_lab(cube.reshape(-1, 3) / 255.0)[:, 1:]
    nearest = gamut.ab_bins()[np.asarray(color.hard_ab(jnp.asarray(ab, jnp.float32)))]
    assert np.max(np.abs(nearest - ab)) <= 5 + 1e-4


def test_weights_average_to_one_under_the_prior(images):
    prior = color.ab_prior(images)
    weights = color.rebalancing_weights(prior)
    possible = np.count_nonzero(prior)
    raw = np.array([1 / (0.5 * p + 0.5 / possible) for p in prior])
    scale = sum(p * w for p, w in zip(prior, raw))
    np.testing.assert_allclose(weights, raw / scale, rtol=1e-12)
    assert sum(prior * weights) == pytest.approx(1)
    assert weights[prior == 0].min() == weights.max()  # a color that was never seen is rare
    np.testing.assert_allclose(color.rebalancing_weights(prior, uniform_share=1.0), 1)
    inverse = color.rebalancing_weights(np.full(313, 1 / 313), uniform_share=0.0)
    np.testing.assert_allclose(inverse, 1)


def test_clusters_find_separate_colors_and_are_deterministic():
    colors = np.array([[200, 30, 30], [30, 200, 30], [30, 30, 200], [128, 128, 128]], np.uint8)
    pixels = colors[np.random.default_rng(0).integers(0, 4, (2, 8, 8))]
    clusters = color.ab_clusters(pixels, 4, seed=0)
    expected = colorspace.rgb_to_lab(colors / 255.0)[:, 1:]
    expected = expected[np.argsort(expected[:, 0])]
    np.testing.assert_allclose(clusters, expected, rtol=0, atol=0.06)
    noise = np.random.default_rng(0).integers(0, 256, (4, 16, 16, 3), dtype=np.uint8)
    first = color.ab_clusters(noise, 5, seed=3)
    np.testing.assert_array_equal(first, color.ab_clusters(noise, 5, seed=3))
    # Lloyd's fixed point: every centre is the mean of the colours that are nearest to it.
    ab = np.round(colorspace.rgb_to_lab(noise / 255.0)[..., 1:].reshape(-1, 2), 1)
    nearest = [np.argmin([np.sum((point - c) ** 2) for c in first]) for point in ab]
    means = [ab[np.array(nearest) == index].mean(axis=0) for index in range(5)]
    np.testing.assert_allclose(first, means, rtol=0, atol=1e-9)


def test_static_mistakes_are_named(images):
    with pytest.raises(
        ValueError, match=r"soft_ab: ab must be \[\.\.\., 2\]; got shape \(4, 3\)\."
    ):
        color.soft_ab(jnp.zeros((4, 3)))
    with pytest.raises(
        ValueError, match=r"hard_ab: ab must be \[\.\.\., 2\]; got shape \(4, 3\)\."
    ):
        color.hard_ab(jnp.zeros((4, 3)))
    with pytest.raises(ValueError, match=r"soft_ab: num_neighbours must be in \[1, 313\]; got 0\."):
        color.soft_ab(jnp.zeros((4, 2)), num_neighbours=0)
    with pytest.raises(ValueError, match="soft_ab: sigma must be finite and above 0; got 0"):
        color.soft_ab(jnp.zeros((4, 2)), sigma=0)
    message = (
        r"annealed_mean: logits must be \[\.\.\., 313\] and temperature .* \(4, 3\) and 0\.38\."
    )
    with pytest.raises(ValueError, match=message):
        color.annealed_mean(jnp.zeros((4, 3)))
    for function, arguments in ((color.ab_prior, ()), (color.ab_clusters, (4, 0))):
        message = rf"{function.__name__}: images must be uint8 \[N, H, W, 3\]; got float64 \(3, 5,"
        with pytest.raises(ValueError, match=message):
            function(images / 255.0, *arguments)
    message = (
        r"rebalancing_weights: prior must be \[313\]; got shape \(0,\)\. Make it with ab_prior"
    )
    with pytest.raises(ValueError, match=message):
        color.rebalancing_weights(np.array(()))
    message = r"rebalancing_weights: uniform_share must be in \[0, 1\], .*; got 0\.0\. The paper's"
    with pytest.raises(ValueError, match=message):
        color.rebalancing_weights(color.ab_prior(images), uniform_share=0.0)
    grey = np.repeat(images[..., :1], 3, axis=-1)
    message = r"ab_clusters: num_clusters must be in \[1, \d+\]; got 4\. The images have no"
    with pytest.raises(ValueError, match=message):
        color.ab_clusters(grey, 4, 0)
