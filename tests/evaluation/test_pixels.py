"""Pixels, their averages, and their principal components against a full decomposition."""

import numpy as np
import pytest

from jaxssl.evaluation import pixels
from jaxssl.evaluation.features import FeatureSet


def batches(images, size=8):
    for first in range(0, len(images), size):
        yield {"image": images[first : first + size]}


def test_pixels_are_fractions_in_raster_order():
    images = np.random.default_rng(0).integers(0, 256, (21, 4, 4, 3), np.uint8)
    found = pixels.pixels(batches(images), num_examples=21)
    assert found.labels is None
    values = found.layers["pooled"]
    assert values.dtype == np.float32 and values.shape == (21, 48)
    assert values[20, 1 * 12 + 2 * 3 + 1] == pytest.approx(images[20, 1, 2, 1] / 255)


def test_large_images_are_averaged_over_squares():
    images = np.random.default_rng(0).integers(0, 256, (3, 7, 9, 3), np.uint8)
    found = pixels.pixels(batches(images), num_examples=3, max_values=40).layers["pooled"]
    found = found.reshape(3, 3, 4, 3)  # squares of 2; row 6 and column 8 fill none
    for row in range(3):
        for column in range(4):
            square = images[1, 2 * row : 2 * row + 2, 2 * column : 2 * column + 2]
            mean = square.reshape(4, 3).astype(np.float64).mean(0)
            np.testing.assert_allclose(255 * found[1, row, column], np.rint(mean), atol=1e-4)
    assert pixels.averaged_down(images, 7 * 9 * 3) is images


@pytest.mark.parametrize(
    ("shape", "side"), [((28, 28, 1), 1), ((32, 32, 3), 1), ((64, 64, 3), 2), ((224, 224, 3), 7)]
)
def test_images_of_photographs_become_those_of_cifar(shape, side):
    assert pixels.averaging(*shape, pixels.MAX_VALUES) == side


def feature_sets(scales):
    random = np.random.default_rng(0)
    rotation, _ = np.linalg.qr(random.normal(size=(len(scales),) * 2))
    return [
        FeatureSet(
            {
                "pooled": (random.normal(size=(rows, len(scales))) * scales @ rotation + 3).astype(
                    "f"
                )
            },
            np.zeros(rows, np.int32),
        )
        for rows in (150, 9)
    ]


@pytest.mark.parametrize("exact_up_to", [1024, 10], ids=["exact", "randomised"])
def test_pca_is_fitted_on_the_training_split_alone(monkeypatch, exact_up_to):
    monkeypatch.setattr(pixels, "_EXACT_UP_TO", exact_up_to)
    monkeypatch.setattr(pixels, "_BLOCK", 64)  # several blocks, the last one short
    train, test = feature_sets(np.geomspace(20, 0.1, 60))
    projected, other = pixels.pca(train, test, 3)
    mean = train.layers["pooled"].mean(axis=0, dtype=np.float64)
    _, _, directions = np.linalg.svd(train.layers["pooled"] - mean)
    expected = (test.layers["pooled"] - mean) @ directions[:3].T
    np.testing.assert_allclose(abs(other.layers["pooled"]), abs(expected), rtol=1e-4, atol=1e-3)
    assert (np.diff(projected.layers["pooled"].var(axis=0)) < 0).all()
    changed = test._replace(layers={"pooled": 9 * test.layers["pooled"] + 1})
    again, _ = pixels.pca(train, changed, 3)
    np.testing.assert_array_equal(again.layers["pooled"], projected.layers["pooled"])
    assert other.labels is test.labels


def test_pca_gives_no_more_components_than_there_are():
    train, test = feature_sets(np.ones(6))
    assert pixels.pca(train, test, 128)[1].layers["pooled"].shape == (9, 6)
