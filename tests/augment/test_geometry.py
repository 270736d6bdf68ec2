import functools
import random

import augment_reference as reference
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import ndimage, stats

from jaxssl.augment import geometry

WHOLE_RATIO = (3 / 4, 4 / 3)


@pytest.fixture
def image():
    return np.random.default_rng(0).random((20, 26, 3)).astype(np.float32)


@functools.partial(jax.jit, static_argnums=(2, 3))
def crop_resize(image, box, size, method="linear"):
    top, left, height, width = box
    rows = geometry.resize_matrix(top, height, length=image.shape[0], size=size, method=method)
    columns = geometry.resize_matrix(left, width, length=image.shape[1], size=size, method=method)
    return geometry.apply(image, rows, columns)


BOXES = [(0, 0, 20, 26), (3, 5, 17, 20), (6, 1, 5, 4), (19, 25, 1, 1), (2, 0, 9, 26)]


@pytest.mark.parametrize("box", BOXES)
@pytest.mark.parametrize("method", ["linear", "cubic"])
def test_crop_resize_equals_the_loops(image, box, method):
    kernel = {"linear": reference.triangle, "cubic": reference.keys_cubic}[method]
    expected = reference.crop_resize(image, *box, 9, kernel)
    np.testing.assert_allclose(crop_resize(image, box, 9, method), expected, atol=3e-6)


@pytest.mark.parametrize("box", [(0, 0, 20, 26), (6, 1, 5, 4)])
@pytest.mark.parametrize("method", ["linear", "cubic"])
def test_crop_resize_equals_scale_and_translate_of_the_cut_out_box(image, box, method):
    top, left, height, width = box
    cut = jnp.asarray(image[top : top + height, left : left + width])
    scale = jnp.array([12 / height, 12 / width], jnp.float32)
    expected = jax.image.scale_and_translate(
        cut, (12, 12, 3), (0, 1), scale, jnp.zeros(2, jnp.float32), method, antialias=True
    )
    np.testing.assert_allclose(crop_resize(image, box, 12, method), expected, atol=3e-6)


@pytest.mark.parametrize("method", ["linear", "cubic"])
def test_whole_side_at_its_own_size_is_the_identity(method):
    matrix = geometry.resize_matrix(0.0, 7.0, length=7, size=7, method=method)
    np.testing.assert_array_equal(matrix, np.eye(7))


def test_pixels_outside_the_box_do_not_leak(image):
    changed = image.copy()
    changed[3:8, 5:9] = 0.25
    outside = np.ones(image.shape, bool)
    outside[3:8, 5:9] = False
    changed[outside] = 7.0
    np.testing.assert_allclose(crop_resize(changed, (3, 5, 5, 4), 11, "cubic"), 0.25, atol=1e-6)


def test_blur_equals_the_loops(image):
    rows = geometry.blur_matrix(1.3, size=20, radius=2)
    columns = geometry.blur_matrix(1.3, size=26, radius=2)
    blurred = geometry.apply(jnp.asarray(image), rows, columns)
    np.testing.assert_allclose(blurred, reference.blur(image, 1.3, 2), atol=3e-6)


def test_blur_equals_scipy_divided_by_its_weight_inside_the_image(image):
    def scipy_blur(plane):
        return ndimage.gaussian_filter(plane.astype(np.float64), 1.7, mode="constant", radius=4)

    blur = [geometry.blur_matrix(1.7, size=size, radius=4) for size in image.shape[:2]]
    blurred = geometry.apply(jnp.asarray(image), *blur)
    weight = scipy_blur(np.ones(image.shape[:2]))
    for channel in range(3):
        expected = scipy_blur(image[:, :, channel]) / weight
        np.testing.assert_allclose(blurred[:, :, channel], expected, atol=3e-6)


def test_blur_of_sigma_zero_is_the_identity():
    np.testing.assert_array_equal(geometry.blur_matrix(0.0, size=6, radius=2), np.eye(6))


def test_blur_stops_at_its_radius():
    matrix = geometry.blur_matrix(5.0, size=9, radius=2)
    distance = np.abs(np.arange(9)[:, None] - np.arange(9)[None, :])
    np.testing.assert_array_equal(np.asarray(matrix) > 0, distance <= 2)


def test_merged_matrices_equal_the_steps_one_after_the_other(image):
    rows = geometry.resize_matrix(3.0, 14.0, length=20, size=10)
    columns = geometry.resize_matrix(5.0, 17.0, length=26, size=10)
    columns = geometry.flip_matrix(columns, jnp.array(True))
    blur = geometry.blur_matrix(0.9, size=10, radius=1)
    merged = geometry.apply(
        jnp.asarray(image), geometry.compose(blur, rows), geometry.compose(blur, columns)
    )
    steps = reference.flip(reference.crop_resize(image, 3, 5, 14, 17, 10))
    np.testing.assert_allclose(merged, reference.blur(steps, 0.9, 1), atol=3e-6)


def test_shift_moves_pixels_and_fills_with_zeros():
    image = jnp.arange(12.0).reshape(3, 4, 1) + 1
    moved = geometry.apply(
        image, geometry.shift_matrix(1.0, length=3), geometry.shift_matrix(-2.0, length=4)
    )
    expected = [[0, 0, 5, 6], [0, 0, 9, 10], [0, 0, 0, 0]]
    np.testing.assert_array_equal(moved[:, :, 0], np.array(expected))


def sample_boxes(count, height, width, scale, ratio=WHOLE_RATIO):
    draws = jax.random.uniform(jax.random.key(3), (count, geometry.NUM_CROP_DRAWS), jnp.float32)
    crop_box = functools.partial(
        geometry.crop_box, height=height, width=width, scale=scale, ratio=ratio
    )
    return np.asarray(jax.jit(jax.vmap(crop_box))(draws), np.float64)


@pytest.mark.parametrize("height, width, scale", [(32, 32, (0.08, 1.0)), (20, 31, (0.5, 1.0))])
def test_crop_boxes_follow_the_rejection_loop(height, width, scale):
    boxes = sample_boxes(4000, height, width, scale)
    generator = random.Random(0)
    looped = np.array(
        [reference.sample_crop(generator, height, width, scale, WHOLE_RATIO) for _ in range(4000)]
    )
    top, left, h, w = boxes.T
    assert np.array_equal(boxes, np.round(boxes))
    assert (top >= 0).all() and (left >= 0).all()
    assert (top + h <= height).all() and (left + w <= width).all()
    for column in range(4):
        assert stats.ks_2samp(boxes[:, column], looped[:, column]).pvalue > 0.01
    assert stats.ks_2samp(h * w, looped[:, 2] * looped[:, 3]).pvalue > 0.01
    assert stats.ks_2samp(w / h, looped[:, 3] / looped[:, 2]).pvalue > 0.01


def test_crop_positions_reach_every_place_equally():
    boxes = sample_boxes(3000, 8, 8, (0.25, 0.25), (1.0, 1.0))
    np.testing.assert_array_equal(boxes[:, 2:], 4)
    for column in (0, 1):
        counts = np.bincount(boxes[:, column].astype(int), minlength=5)
        assert len(counts) == 5 and stats.chisquare(counts).pvalue > 0.01


@pytest.mark.parametrize("height, width", [(4, 40), (40, 4), (40, 40)])
def test_without_a_fitting_candidate_the_largest_centred_box_is_taken(height, width):
    # Nine times the area never fits, so only the fallback is left.
    boxes = sample_boxes(3, height, width, (9.0, 9.0))
    expected = reference.sample_crop(random.Random(0), height, width, (9.0, 9.0), WHOLE_RATIO)
    np.testing.assert_array_equal(boxes, np.tile(np.array(expected), (3, 1)))


def test_an_unknown_method_is_named():
    with pytest.raises(ValueError) as error:
        geometry.resize_matrix(0.0, 4.0, length=4, size=4, method="nearest")
    assert str(error.value) == (
        "resize_matrix: method must be one of 'linear', 'cubic'; got 'nearest'. "
        "Use 'linear' unless a policy asks for bicubic crops."
    )
