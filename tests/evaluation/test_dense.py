"""Maps at the resolution of pixels, and how masks overlap, beside loops and scikit-learn."""

import jax.numpy as jnp
import numpy as np
import pytest
import sklearn.metrics

from jaxssl.evaluation import dense, drawn_pixels, overlap
from jaxssl.types import Features


def interpolated(cells, size):
    """Bilinear interpolation by its definition, a pixel at a time, float64 [S, S, D]."""
    height, width, dim = cells.shape
    found = np.zeros((size, size, dim))
    for row in range(size):
        for column in range(size):
            y = min(max((row + 0.5) * height / size - 0.5, 0), height - 1)
            x = min(max((column + 0.5) * width / size - 0.5, 0), width - 1)
            top, left = int(y), int(x)
            bottom, right = min(top + 1, height - 1), min(left + 1, width - 1)
            down, across = y - top, x - left
            found[row, column] = (
                (1 - down) * (1 - across) * cells[top, left]
                + (1 - down) * across * cells[top, right]
                + down * (1 - across) * cells[bottom, left]
                + down * across * cells[bottom, right]
            )
    return found


@pytest.mark.parametrize(("side", "size"), [(4, 12), (3, 7), (5, 5), (1, 4)])
def test_maps_are_interpolated_as_a_loop_does_it(side, size):
    maps = np.random.default_rng(side).normal(size=(2, side, side, 3)).astype(np.float32)
    expected = np.stack([interpolated(each.astype(np.float64), size) for each in maps])
    np.testing.assert_allclose(dense.upsample(jnp.asarray(maps), size), expected, atol=1e-5)
    places = np.random.default_rng(0).integers(0, size**2, (2, 6)).astype(np.int32)
    found = dense.at_pixels(jnp.asarray(maps), jnp.asarray(places), size)
    by_place = expected.reshape(2, size**2, 3)
    np.testing.assert_allclose(
        found, np.stack([each[rows] for each, rows in zip(by_place, places)]), atol=1e-5
    )


def test_pixels_are_those_of_the_square_of_a_cell():
    images = np.arange(2 * 6 * 6 * 1, dtype=np.uint8).reshape(2, 6, 6, 1)
    found = dense.of_pixels(3)(None, jnp.asarray(images))
    np.testing.assert_allclose(found[1, 2, 1], images[1, 4:6, 2:4].ravel() / 255, rtol=1e-6)
    with pytest.raises(ValueError, match="which must divide the image; got 4 cells in 6 pixels"):
        dense.of_pixels(4)(None, jnp.asarray(images))


def test_a_map_is_a_stage_or_the_square_of_the_tokens():
    tokens = jnp.arange(16.0).reshape(1, 4, 4)
    flat, square = jnp.zeros((1, 3, 5)), jnp.ones((1, 2, 2, 5))
    features = Features(tokens[:, 0], tokens, (), (flat, square))
    np.testing.assert_array_equal(dense.read_map(features, None)[0, 1, 0], tokens[0, 2])
    np.testing.assert_array_equal(dense.read_map(features, 1), square)
    for stage in (0, 2):
        with pytest.raises(ValueError, match=f"rows and columns, 0 to 1; got {stage}"):
            dense.read_map(features, stage)
    with pytest.raises(ValueError, match="must form a square; got 3 of them"):
        dense.read_map(features._replace(tokens=tokens[:, :3]), None)


def test_overlap_is_that_of_scikit_learn():
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 4, (5, 6, 6)).astype(np.uint8)
    predicted = np.where(generator.random(truth.shape) < 0.6, truth, 2).astype(np.uint8)
    truth[generator.random(truth.shape) < 0.1] = 255
    found = overlap.confusions(truth, predicted, 5)  # one class is nowhere
    for each, true, made in zip(found, truth, predicted):
        counted = true != 255
        expected = sklearn.metrics.confusion_matrix(true[counted], made[counted], labels=range(5))
        np.testing.assert_array_equal(each, expected)
    counted = truth != 255
    measured = overlap.measure(found.sum(axis=0))
    expected = sklearn.metrics.jaccard_score(truth[counted], predicted[counted], average=None)
    np.testing.assert_allclose(measured.class_iou[:4], expected)
    assert np.isnan(measured.class_iou[4])
    assert measured.mean_iou == pytest.approx(expected.mean())
    assert measured.pixel_accuracy == np.mean(truth[counted] == predicted[counted])


def test_the_interval_is_that_of_the_usual_bootstrap():
    """Of 400 images, drawn with replacement."""
    generator = np.random.default_rng(0)
    truth = generator.integers(0, 3, (400, 4, 4)).astype(np.uint8)
    right = generator.random(400) < 0.7  # whole images are right or not, so that the draw matters
    predicted = np.where(right[:, None, None], truth, (truth + 1) % 3)
    tally = overlap.Tally(3, seed=1)
    for part in np.split(np.arange(400), 4):
        tally.add(truth[part], predicted[part])
    each = overlap.confusions(truth, predicted, 3)
    np.testing.assert_array_equal(tally.total, each.sum(axis=0))
    drawn = generator.integers(0, 400, (500, 400))
    spread = np.std([overlap.measure(each[rows].sum(axis=0)).mean_iou for rows in drawn])
    assert tally.half_width() == pytest.approx(1.96 * spread, rel=0.15)


def test_pixels_are_drawn_once_each_and_none_that_does_not_count():
    masks = np.zeros((3, 5, 5), np.uint8)
    masks[1, :4] = 255
    masks[2] = 255
    places = drawn_pixels.draw(masks, 7, seed=1)
    assert [np.sum(row >= 0) for row in places] == [7, 5, 0]
    assert set(places[1][:5]) == set(range(20, 25))
    assert len(set(places[0])) == 7
    fewer = drawn_pixels.draw(masks[:1], 3, seed=1)
    assert set(fewer[0]) <= set(places[0])  # a small draw is part of a larger one


def test_held_out_images_leave_every_class_to_the_others():
    image = np.repeat(np.arange(10), 3)
    targets = np.where(image == 4, 1, 0) + np.where(image == 7, 2, 0)
    for seed in range(8):
        held_out = drawn_pixels.hold_out(image, targets, 0.3, seed)
        assert len(np.unique(image[held_out])) == 3 and held_out.sum() == 9
        assert set(targets[~held_out]) == {0, 1, 2}
    with pytest.raises(ValueError, match="in two training images at least; got 2 images of which"):
        drawn_pixels.hold_out(np.array([0, 1]), np.array([0, 1]), 0.5, 0)
