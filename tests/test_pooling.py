"""Grid pooling against loops over exact intervals, DINO's features against the official rule."""

from fractions import Fraction

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import pooling
from jaxssl.types import Features


def cell_mean(map_, side, row, column):
    """The mean of a map [h, w, D] over one cell, place by place, in exact fractions."""

    def overlap(length, cell, place):
        start, stop = Fraction(cell * length, side), Fraction((cell + 1) * length, side)
        return max(Fraction(0), min(stop, place + 1) - max(start, place))

    height, width, _ = map_.shape
    total = 0
    for y in range(height):
        for x in range(width):
            area = overlap(height, row, y) * overlap(width, column, x)
            total = total + float(area) * map_[y, x].astype(np.float64)
    return total / float(Fraction(height, side) * Fraction(width, side))


@pytest.mark.parametrize(("shape", "side"), [((7, 7), 4), ((5, 8), 3), ((4, 4), 2), ((3, 3), 3)])
def test_cells_are_means_over_exact_rectangles(shape, side):
    maps = np.random.default_rng(0).normal(size=(2, *shape, 3)).astype(np.float32)
    got = jax.jit(pooling.grid_pool, static_argnums=1)(maps, side).reshape(2, side, side, 3)
    for image in range(2):
        for row in range(side):
            for column in range(side):
                want = cell_mean(maps[image], side, row, column)
                np.testing.assert_allclose(got[image, row, column], want, rtol=1e-5, atol=1e-6)


def test_one_cell_is_the_mean_and_all_cells_are_the_map():
    maps = np.random.default_rng(0).normal(size=(2, 5, 5, 3)).astype(np.float32)
    np.testing.assert_allclose(pooling.grid_pool(maps, 1), maps.mean((1, 2)), atol=1e-6)
    np.testing.assert_allclose(pooling.grid_pool(maps, 5), maps.reshape(2, -1), atol=1e-6)


def test_every_place_counts_alike():
    for length, cells in ((7, 4), (13, 5), (224, 9)):
        weights = pooling.area_weights(length, cells)
        np.testing.assert_allclose(weights.sum(1), 1, rtol=1e-6)
        np.testing.assert_allclose(weights.sum(0), cells / length, rtol=1e-5)


@pytest.mark.parametrize(
    ("shape", "max_features", "side"),
    [
        ((55, 55, 96), 9000, 9),  # AlexNet's first layer, 7,776 features
        ((13, 13, 384), 9000, 4),
        ((13, 13, 256), 9000, 5),
        ((2, 3, 8), 9000, 2),  # never above the map's side
        ((7, 7, 2048), 1000, 1),  # never below one
        ((7, 7, 250), 9000, 6),  # 36 · 250 is exactly as many
    ],
)
def test_the_largest_grid_within_the_features(shape, max_features, side):
    assert pooling.largest_side(*shape, max_features) == side


@pytest.mark.parametrize("side", [0, 4])
def test_a_side_that_is_none_is_named(side):
    with pytest.raises(ValueError, match=rf"side must be in \[1, 3\]; got {side}"):
        pooling.grid_pool(jnp.zeros((1, 3, 5, 2)), side)
    with pytest.raises(ValueError, match=r"maps must be \[B, h, w, D\]; got shape \(1, 3, 2\)"):
        pooling.grid_pool(jnp.zeros((1, 3, 2)), 1)


def test_class_tokens_of_the_last_blocks_and_the_mean_of_patches():
    random = np.random.default_rng(0)
    tokens = tuple(random.normal(size=(2, 4)).astype(np.float32) for _ in range(3))
    patches = random.normal(size=(2, 6, 4)).astype(np.float32)
    features = Features(tokens[-1], patches, tokens, (), tokens)
    # As eval_linear.py: [x[:, 0] of the last n blocks], then the mean of x[:, 1:] of the last.
    want = np.concatenate([tokens[1], tokens[2]], axis=-1)
    got = pooling.class_tokens(features, num_blocks=2, patch_mean=False)
    np.testing.assert_array_equal(got, want)
    got = pooling.class_tokens(features, num_blocks=2, patch_mean=True)
    np.testing.assert_allclose(got, np.concatenate([want, patches.mean(1)], axis=-1), rtol=1e-6)
