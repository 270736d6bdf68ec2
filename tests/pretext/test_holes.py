"""Masks against loops over pixels: area, place and weight; what a hole leaves untouched."""

import itertools
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.pretext import holes

NUM_IMAGES = 200
SIZE = 28


def _many(draw):
    keys = jax.random.split(jax.random.key(0), NUM_IMAGES)
    return np.asarray(jax.jit(jax.vmap(draw))(keys))


@pytest.fixture(scope="module")
def blocks():
    return _many(lambda key: holes.random_blocks(key, SIZE, num_blocks=3))


@pytest.fixture(scope="module")
def regions():
    return _many(lambda key: holes.random_region(key, SIZE))


@pytest.mark.parametrize("size, overlap", [(16, 0), (28, 2), (28, 6), (30, 3), (9, 1)])
def test_central_hole_and_weights_match_the_loop(size, overlap):
    hidden = np.asarray(holes.central_hole(size, overlap=overlap))
    weights = np.asarray(holes.central_weights(size, overlap=overlap, rim_weight=10.0))
    assert hidden.dtype == bool and weights.dtype == np.float32
    first = size // 4
    last = first + size // 2 - 1
    for row, column in itertools.product(range(size), repeat=2):
        # Pixels to the nearest side of the predicted square, from inside; negative outside it.
        depth = min(row - first, last - row, column - first, last - column)
        expected = 0 if depth < 0 else 10 if depth < overlap else 1
        assert weights[row, column] == expected
        assert hidden[row, column] == (depth >= overlap and depth >= 0)
    square = holes.central_square(size)
    assert np.all(weights[square, square] > 0)
    assert np.count_nonzero(weights) == (size // 2) ** 2


@pytest.mark.parametrize("overlap", [-1, 4])
def test_an_overlap_without_a_hole_is_refused(overlap):
    message = (
        r"central_hole: overlap must be at least 0 and leave a hole in the central 8 "
        rf"pixels; got {overlap}\. The paper"
    )
    with pytest.raises(ValueError, match=message):
        holes.central_hole(16, overlap=overlap)


def test_blocks_are_unions_of_squares_of_at_most_a_quarter(blocks):
    side = math.floor(SIZE * math.sqrt(0.25 / 3))
    for hidden in blocks:
        covered = np.zeros_like(hidden)
        for row, column in itertools.product(range(SIZE - side + 1), repeat=2):
            place = (slice(row, row + side), slice(column, column + side))
            if hidden[place].all():
                covered[place] = True
        np.testing.assert_array_equal(covered, hidden)
        assert side**2 <= hidden.sum() <= 3 * side**2 <= SIZE**2 / 4
    areas = blocks.sum(axis=(1, 2))
    assert areas.max() == 3 * side**2 and areas.min() < 3 * side**2  # disjoint, overlapping


def test_blocks_reach_every_border_and_corner(blocks):
    often = blocks.mean(axis=0)
    assert np.all(often[[0, 0, -1, -1], [0, -1, 0, -1]] < often[SIZE // 2, SIZE // 2])
    assert often[0].max() > 0 and often[-1].max() > 0
    assert often[:, 0].max() > 0 and often[:, -1].max() > 0


def test_too_many_blocks_are_refused(key):
    message = r"random_blocks: a block must be at least 1 pixel wide; got 100 blocks in 0.25 of 16x"
    with pytest.raises(ValueError, match=message):
        holes.random_blocks(key, 16, num_blocks=100)


def test_regions_hide_a_fifth_to_three_tenths_of_every_image(regions):
    areas = regions.mean(axis=(1, 2))
    one = 1 / SIZE**2
    assert 0.2 - one <= areas.min() < 0.21
    assert 0.29 < areas.max() <= 0.3
    assert abs(areas.mean() - 0.25) < 0.01


def test_regions_differ_and_hide_every_place_alike(regions):
    assert len({hidden.tobytes() for hidden in regions}) == NUM_IMAGES
    often = regions.mean(axis=0)
    # 200 draws of p = 0.25: five deviations are 0.153.
    assert np.all(abs(often - 0.25) < 0.153)
    assert abs(often[:, [0, -1]].mean() - 0.25) < 0.05


def test_regions_are_connected_more_than_noise_is(regions):
    """Beside a hidden pixel of a smooth region there is another hidden one, as a rule."""
    neighbour = regions[:, :, 1:][regions[:, :, :-1]]
    assert neighbour.mean() > 0.7


def test_a_region_is_the_lowest_part_of_cubically_interpolated_noise(key):
    size, cells = 12, 3.0
    hidden = np.asarray(holes.random_region(key, size, cells=cells, area=(0.25, 0.25)))
    noise_key, place_key = jax.random.split(key)
    noise = np.asarray(jax.random.uniform(noise_key, (7, 7)), np.float64)
    offsets = np.asarray(jax.random.uniform(place_key, (3,)), np.float64)

    def convolved(values, place):
        """Keys 1981, eq. 15: from the four values around a place, by their slopes."""
        index = math.floor(place)
        before, here, after, beyond = values[index - 1 : index + 3]
        t = place - index
        return (
            here
            + t * (after - before) / 2
            + t**2 * (2 * before - 5 * here + 4 * after - beyond) / 2
            + t**3 * (-before + 3 * here - 3 * after + beyond) / 2
        )

    smooth = np.zeros((size, size))
    for row, column in itertools.product(range(size), repeat=2):
        down, right = (
            1 + offsets[i] + (p + 0.5) * cells / size for i, p in ((0, row), (1, column))
        )
        smooth[row, column] = convolved([convolved(line, right) for line in noise], down)
    expected = np.zeros(size**2, bool)
    expected[np.argsort(smooth.ravel())[: size**2 // 4]] = True
    np.testing.assert_array_equal(hidden, expected.reshape(size, size))


@pytest.mark.parametrize("color", [(0.25,), (0.1, 0.2, 0.3)])
def test_fill_paints_the_hole_and_nothing_else(color):
    generator = np.random.default_rng(0)
    images = generator.uniform(size=(2, 5, 5, 3)).astype(np.float32)
    hidden = generator.uniform(size=(2, 5, 5)) < 0.4
    filled = np.asarray(holes.fill(jnp.asarray(images), jnp.asarray(hidden), color))
    for place in np.ndindex(*images.shape):
        expected = color[place[3] % len(color)] if hidden[place[:3]] else images[place]
        assert filled[place] == np.float32(expected)


def test_fill_names_a_wrong_number_of_colors():
    message = r"fill: color must have 1 value or one per channel; got 2 values for 3 channels\."
    with pytest.raises(ValueError, match=message):
        holes.fill(jnp.zeros((4, 4, 3)), jnp.zeros((4, 4), bool), (0.1, 0.2))
