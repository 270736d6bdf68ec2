import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxssl.pretext import patches

HEIGHT, WIDTH, SIZE, PITCH, SPREAD = 21, 24, 4, 6, 3  # the grid takes 19 pixels
NUM_DRAWS = 1500


@pytest.fixture(scope="module")
def corners():
    keys = jax.random.split(jax.random.key(0), NUM_DRAWS)
    draw = jax.vmap(
        lambda key: patches.grid_corners(key, HEIGHT, WIDTH, size=SIZE, pitch=PITCH, spread=SPREAD)
    )
    return np.asarray(jax.jit(draw)(keys))


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), np.uint8)


def test_patches_lie_inside_the_image_and_reach_its_borders(corners):
    assert corners.shape == (NUM_DRAWS, 9, 2) and corners.dtype == np.int32
    assert corners.min() == 0
    np.testing.assert_array_equal(corners.max(axis=(0, 1)), [HEIGHT - SIZE, WIDTH - SIZE])


def test_gap_and_jitter_are_bounded_as_promised(corners):
    for left, right in ((0, 1), (1, 2), (3, 4), (7, 8)):
        steps = corners[:, right] - corners[:, left]
        assert steps[:, 1].min() == PITCH - SPREAD and steps[:, 1].max() == PITCH + SPREAD
        assert steps[:, 0].min() == -SPREAD and steps[:, 0].max() == SPREAD
    for upper, lower in ((0, 3), (4, 7), (5, 8)):
        steps = corners[:, lower] - corners[:, upper]
        assert steps[:, 0].min() == PITCH - SPREAD and steps[:, 0].max() == PITCH + SPREAD


def test_shifts_are_uniform_and_independent(corners):
    steps = corners[:, 1, 0] - corners[:, 0, 0]  # of two independent uniform shifts: triangular
    expected = [4 - abs(step) for step in range(-3, 4)]
    counts = np.bincount(steps + SPREAD)
    assert stats.chisquare(counts, np.array(expected) / 16 * NUM_DRAWS).pvalue > 0.01


def test_without_spread_patches_stand_on_a_grid():
    corners = patches.grid_corners(jax.random.key(3), 14, 12, size=4, pitch=4, spread=0)
    top, left = np.asarray(corners[0])
    assert top in (0, 1, 2) and left == 0
    for cell in range(9):
        np.testing.assert_array_equal(corners[cell], [top + 4 * (cell // 3), left + 4 * (cell % 3)])


def test_neighbours_count_around_the_centre():
    offsets = [(-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)]
    for neighbour, (down, right) in enumerate(offsets):
        assert patches.neighbour_cell(neighbour) == 3 * (1 + down) + 1 + right
        assert offsets[int(patches.opposite(jnp.int32(neighbour)))] == (-down, -right)


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_cut_is_indexing(corners, image, dtype):
    image = image.astype(dtype)
    cut = jax.jit(jax.vmap(lambda c: patches.cut(jnp.asarray(image), c, size=SIZE)))(corners[:20])
    assert cut.dtype == dtype
    for squares, places in zip(cut, corners):
        for square, (top, left) in zip(squares, places):
            np.testing.assert_array_equal(square, image[top : top + SIZE, left : left + SIZE])


def test_pasting_back_recovers_the_covered_pixels_and_no_others(corners, image):
    for places in corners[:3]:
        squares = patches.cut(jnp.asarray(image), places, size=SIZE)
        back = patches.paste(jnp.zeros_like(image), squares, places)
        covered = np.zeros((HEIGHT, WIDTH, 1), bool)
        for top, left in places:
            covered[top : top + SIZE, left : left + SIZE] = True
        np.testing.assert_array_equal(back, np.where(covered, image, 0))


def test_later_patches_are_on_top():
    squares = jnp.stack([jnp.full((2, 2, 1), value) for value in (1, 2)])
    canvas = patches.paste(
        jnp.zeros((3, 3, 1), jnp.int32), squares, jnp.array([[0, 0], [1, 1]], jnp.int32)
    )
    np.testing.assert_array_equal(canvas[..., 0], [[1, 1, 0], [1, 2, 2], [0, 2, 2]])


@pytest.mark.parametrize("shape", [(18, 40), (40, 18)])
def test_a_grid_that_does_not_fit_is_refused(key, shape):
    with pytest.raises(ValueError) as error:
        patches.grid_corners(key, *shape, size=SIZE, pitch=PITCH, spread=SPREAD)
    assert str(error.value) == (
        "grid_corners: a grid of 3 x 3 patches of 4 pixels with pitch 6 and spread 3 must fit the "
        f"image, for which that has to be 19 pixels wide and high; got {shape[0]} x {shape[1]}. "
        "Enlarge the image, or take smaller patches and gaps."
    )


@pytest.mark.parametrize("size, pitch, spread", [(0, 6, 3), (4, 0, 3), (4, 6, -1)])
def test_impossible_sizes_are_refused(key, size, pitch, spread):
    with pytest.raises(ValueError, match=rf"must be at least 1 .*got {size}, {pitch} and {spread}"):
        patches.grid_corners(key, 40, 40, size=size, pitch=pitch, spread=spread)
