"""Corruptions: how much they hit, what they leave untouched, and how often each value is hit."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxssl.pretext import corruption

NUM_IMAGES, LEVEL = 400, 0.3
SHAPE = (5, 4, 3)
CHOSEN = 18  # of 60 values
IMAGE = np.random.default_rng(0).uniform(0.1, 0.9, SHAPE).astype(np.float32)


@pytest.fixture(scope="module")
def corrupted():
    """Each corruption of one image with many keys, [NUM_IMAGES, *SHAPE]."""
    keys = jax.random.split(jax.random.key(0), NUM_IMAGES)
    image = jnp.asarray(IMAGE)

    def all_of(key):
        return {name: f(key, image, LEVEL) for name, f in corruption.CORRUPTIONS.items()}

    return jax.device_get(jax.jit(jax.vmap(all_of))(keys))


def test_every_corruption_keeps_shape_and_dtype(corrupted):
    assert corrupted.keys() == {"gaussian", "masking", "salt_and_pepper"}
    for images in corrupted.values():
        assert images.shape == (NUM_IMAGES, *SHAPE)
        assert images.dtype == np.float32


def test_gaussian_noise_has_its_deviation_and_is_not_clipped(corrupted):
    noise = (corrupted["gaussian"] - IMAGE) / LEVEL
    assert stats.kstest(noise.ravel()[:5000], "norm").pvalue > 0.01
    assert abs(noise.std() - 1) < 0.02
    assert corrupted["gaussian"].min() < 0 and corrupted["gaussian"].max() > 1


@pytest.mark.parametrize("name, extremes", [("masking", {0}), ("salt_and_pepper", {0, 1})])
def test_a_fixed_number_of_values_is_hit_and_the_rest_untouched(corrupted, name, extremes):
    counts = np.zeros(SHAPE, int)
    for image in corrupted[name]:
        hit = 0
        for place in np.ndindex(*SHAPE):
            if image[place] != IMAGE[place]:
                assert image[place] in extremes
                counts[place] += 1
                hit += 1
        assert hit == CHOSEN
    # Binomial with p = LEVEL at each place: five deviations are some 46.
    assert np.all(abs(counts - NUM_IMAGES * LEVEL) < 46)
    values = corrupted[name][corrupted[name] != IMAGE[None]]
    if len(extremes) == 2:
        assert stats.binomtest(int(values.sum()), len(values), 0.5).pvalue > 0.01


def test_channels_are_hit_separately(corrupted):
    hit = corrupted["masking"] == 0
    assert np.any(hit[..., 0] != hit[..., 1])


def test_no_corruption_leaves_the_image():
    for corrupt in corruption.CORRUPTIONS.values():
        got = corrupt(jax.random.key(1), jnp.asarray(IMAGE), 0.0)
        np.testing.assert_array_equal(got, IMAGE)


def test_everything_can_be_masked():
    assert not np.any(corruption.masking(jax.random.key(1), jnp.asarray(IMAGE), 1.0))
