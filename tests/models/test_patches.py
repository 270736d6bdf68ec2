import re

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.models import patches


def test_patchify_is_raster_order_and_row_column_channel():
    images = np.random.default_rng(0).normal(size=(2, 4, 6, 3)).astype(np.float32)
    got = np.asarray(patches.patchify(jnp.asarray(images), 2))
    assert got.shape == (2, 6, 12)
    for b in range(2):
        for row in range(2):
            for column in range(3):
                for p in range(2):
                    for q in range(2):
                        for c in range(3):
                            want = images[b, 2 * row + p, 2 * column + q, c]
                            assert got[b, 3 * row + column, (2 * p + q) * 3 + c] == want


@pytest.mark.parametrize("channels", [1, 5])
def test_unpatchify_inverts_patchify(channels):
    images = jnp.arange(2 * 4 * 6 * channels, dtype=jnp.int32).reshape(2, 4, 6, channels)
    got = patches.unpatchify(patches.patchify(images, 2), 2, grid=(2, 3))
    assert got.dtype == images.dtype
    np.testing.assert_array_equal(got, images)


def test_gather_rows():
    rows = np.arange(2 * 5 * 3).reshape(2, 5, 3).astype(np.uint8)
    indices = np.array([[4, 0], [2, 2]], np.int32)
    got = patches.gather_rows(jnp.asarray(rows), jnp.asarray(indices))
    assert got.dtype == jnp.uint8
    np.testing.assert_array_equal(got, [[rows[0, 4], rows[0, 0]], [rows[1, 2], rows[1, 2]]])


def test_sincos_positions_against_loop():
    rows, columns, width = 3, 5, 12
    want = np.zeros((rows * columns, width))
    for y in range(rows):
        for x in range(columns):
            for i in range(width // 4):
                frequency = 1 / 10000 ** (i / (width / 4))
                entry = want[y * columns + x]
                entry[i] = np.sin(x * frequency)
                entry[i + 3] = np.cos(x * frequency)
                entry[i + 6] = np.sin(y * frequency)
                entry[i + 9] = np.cos(y * frequency)
    got = patches.sincos_positions(rows, columns, width)
    assert got.dtype == np.float32
    np.testing.assert_array_equal(got, want.astype(np.float32))


def test_sincos_positions_of_any_grid_span_the_range_of_the_reference():
    """Where ``jax.image.resize`` takes its samples: a ramp of coordinates, resized, tells them."""
    ramp = jnp.arange(8.0)
    width = 12
    frequencies = np.array([1 / 10000 ** (i / 3) for i in range(3)])
    for rows, columns in ((4, 2), (8, 8), (3, 5)):
        resized = [
            np.float64(jax.image.resize(ramp, (n,), "linear", antialias=False))
            for n in (rows, columns)
        ]
        got = patches.sincos_positions(rows, columns, width, reference=8)
        for y in range(rows):
            for x in range(columns):
                across, down = resized[1][x] * frequencies, resized[0][y] * frequencies
                want = [np.sin(across), np.cos(across), np.sin(down), np.cos(down)]
                np.testing.assert_allclose(
                    got[y * columns + x], np.concatenate(want), rtol=1e-5, atol=1e-5
                )
    own = patches.sincos_positions(8, 8, width)
    np.testing.assert_array_equal(patches.sincos_positions(8, 8, width, reference=8), own)


@pytest.mark.parametrize(
    ("height", "width", "text"),
    [
        (225, 225, "image 225x225, patch 16; nearest sizes 224 or 240."),
        (224, 225, "image 224x225, patch 16; nearest sizes 224x224 or 224x240."),
        (9, 9, "image 9x9, patch 16; nearest sizes 16."),
    ],
)
def test_patch_grid_names_the_nearest_sizes(height, width, text):
    with pytest.raises(ValueError, match=re.escape(text)):
        patches.patch_grid(height, width, 16, caller="ViT")


def test_errors():
    with pytest.raises(ValueError, match="ViT: patch_size must be at least 1; got 0"):
        patches.patch_grid(4, 4, 0, caller="ViT")
    with pytest.raises(ValueError, match=r"patchify: images must be \[B, H, W, C\]; got .*4, 4, 3"):
        patches.patchify(jnp.zeros((4, 4, 3)), 2)
    with pytest.raises(ValueError, match="patchify: height and width must be multiples"):
        patches.patchify(jnp.zeros((1, 4, 5, 3)), 2)
    with pytest.raises(ValueError, match=r"unpatchify: .* \(1, 4, 12\), grid 2x3, patch 2"):
        patches.unpatchify(jnp.zeros((1, 4, 12)), 2, grid=(2, 3))
    with pytest.raises(ValueError, match="positive multiple of 4; got 18; nearest 16 or 20"):
        patches.sincos_positions(2, 2, 18)
