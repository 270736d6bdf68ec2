import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxssl.pretext import shortcuts


@pytest.fixture
def patch():
    return np.random.default_rng(0).random((6, 6, 3), np.float32)


def test_projection_is_symmetric_idempotent_and_the_published_matrix():
    matrix = shortcuts.PROJECTION
    published = [[5 / 6, 1 / 3, -1 / 6], [1 / 3, 1 / 3, 1 / 3], [-1 / 6, 1 / 3, 5 / 6]]
    np.testing.assert_allclose(matrix, published, atol=1e-15)
    np.testing.assert_array_equal(matrix, matrix.T)
    np.testing.assert_allclose(matrix @ matrix, matrix, atol=1e-15)


def test_projection_of_every_pixel_loses_green_against_magenta(patch):
    got = shortcuts.project_colors(jnp.asarray(patch))
    a = np.array([-1.0, 2.0, -1.0])
    for y in range(6):
        for x in range(6):
            pixel = patch[y, x].astype(np.float64)
            expected = pixel - a * (a @ pixel) / 6
            np.testing.assert_allclose(got[y, x], expected, atol=1e-6)
    np.testing.assert_allclose(np.asarray(got) @ a, 0, atol=1e-6)
    np.testing.assert_allclose(shortcuts.project_colors(got), got, atol=1e-6)
    grey = jnp.full((2, 2, 3), 0.7)
    np.testing.assert_allclose(shortcuts.project_colors(grey), grey, atol=1e-6)


@pytest.mark.parametrize("noise", ["paper", "code"])
def test_one_channel_survives_without_its_mean(patch, noise):
    keys = jax.random.split(jax.random.key(0), 600)
    drop = jax.vmap(lambda key: shortcuts.drop_colors(key, jnp.asarray(patch), noise=noise))
    outputs = np.asarray(jax.jit(drop)(keys), np.float64)
    centred = 0.5 + patch.astype(np.float64) - patch.astype(np.float64).mean(axis=(0, 1))
    kept = np.abs(outputs - centred).max(axis=(1, 2)) < 1e-6  # [keys, C]
    np.testing.assert_array_equal(kept.sum(axis=1), 1)
    assert stats.chisquare(kept.sum(axis=0)).pvalue > 0.01
    for channel in range(3):
        filling = (outputs[kept[:, channel]] - 0.5)[..., np.arange(3) != channel]
        if noise == "paper":
            expected = patch[..., channel].std() / 100
            assert stats.kstest((filling / expected).ravel()[::7], "norm").pvalue > 0.01
        else:
            assert np.abs(filling).max() < 0.5 / 255 + 1e-6
            assert stats.kstest(filling.ravel()[::7] * 255 + 0.5, "uniform").pvalue > 0.01


def test_noise_differs_between_pixels_channels_and_keys(patch):
    one, two = (shortcuts.drop_colors(jax.random.key(k), jnp.asarray(patch)) for k in (0, 1))
    assert np.any(np.asarray(one) != np.asarray(two))
    assert len(np.unique(one)) == one.size


def test_channels_are_cropped_each_at_a_place_of_its_own(patch):
    keys = jax.random.split(jax.random.key(2), 400)
    shift = jax.vmap(lambda key: shortcuts.shift_channels(key, jnp.asarray(patch), size=4))
    outputs = np.asarray(jax.jit(shift)(keys))
    assert outputs.shape == (400, 4, 4, 3)
    found = np.empty((400, 3), int)
    for example in range(400):
        for channel in range(3):
            (found[example, channel],) = [
                3 * top + left
                for top in range(3)
                for left in range(3)
                if np.array_equal(
                    outputs[example, ..., channel], patch[top : top + 4, left : left + 4, channel]
                )
            ]
    for channel in range(3):
        assert stats.chisquare(np.bincount(found[:, channel], minlength=9)).pvalue > 0.01
    together = np.bincount(9 * found[:, 0] + found[:, 1], minlength=81)
    assert stats.chisquare(together).pvalue > 0.01  # independent of each other


def test_one_place_leaves_no_choice(patch, key):
    got = shortcuts.shift_channels(key, jnp.asarray(patch), size=6)
    np.testing.assert_array_equal(got, patch)


def test_tiles_lose_brightness_and_contrast(patch):
    tile = patch.astype(np.float64)
    expected = 0.5 + 0.25 * (tile - tile.mean()) / tile.std()
    for brightness, contrast in ((0.0, 1.0), (0.3, 0.2)):
        got = shortcuts.normalize_tile(jnp.asarray(brightness + contrast * patch))
        np.testing.assert_allclose(got, expected, atol=2e-5)
        assert got.dtype == jnp.float32


def test_even_tiles_become_grey_and_noise_is_not_blown_up():
    np.testing.assert_allclose(shortcuts.normalize_tile(jnp.full((4, 4, 1), 0.2)), 0.5, atol=1e-5)
    faint = jnp.zeros((8, 8, 1)).at[3, 3].set(1 / 255)
    assert np.abs(shortcuts.normalize_tile(faint) - 0.5).max() < 0.25


@pytest.mark.parametrize("channels", [1, 4])
@pytest.mark.parametrize("name", ["project_colors", "drop_colors"])
def test_images_without_three_channels_are_refused(name, channels, key):
    patch = jnp.zeros((4, 4, channels))
    arguments = (patch,) if name == "project_colors" else (key, patch)
    with pytest.raises(ValueError) as error:
        getattr(shortcuts, name)(*arguments)
    assert str(error.value) == (
        f"{name}: a patch must have 3 colour channels; got {channels}. Grey images have no colour "
        'to hide: use color="none".'
    )


def test_unknown_noise_and_too_large_crops_are_refused(patch, key):
    with pytest.raises(
        ValueError, match=r"drop_colors: noise must be one of 'paper', 'code'; got 'x'"
    ):
        shortcuts.drop_colors(key, jnp.asarray(patch), noise="x")
    with pytest.raises(ValueError, match=r"shift_channels: size must be at most .*got 7 .*6 x 6"):
        shortcuts.shift_channels(key, jnp.asarray(patch), size=7)
