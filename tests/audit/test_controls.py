"""Content-free images: what is kept is kept, what goes is gone."""

import numpy as np
import pytest
from skimage import data as photographs

from jaxssl.audit import controls


@pytest.fixture(scope="module")
def images():
    """uint8 [6, 48, 48, 3], crops of photographs."""
    found = []
    for photograph in (photographs.astronaut(), photographs.coffee(), photographs.chelsea()):
        found += [photograph[100:148, 200:248], photograph[180:228, 120:168]]
    return np.stack(found)


def statistics(images):
    """Mean [B, C], total standard deviation [B] and correlation of the channels [B, C, C]."""
    values = images.reshape(len(images), -1, images.shape[-1]).astype(np.float64)
    correlations = np.stack([np.corrcoef(image.T) for image in values])
    return values.mean(axis=1), values.std(axis=(1, 2)), correlations


def gradient_energy(images):
    """Mean squared differences down and across, [2]."""
    values = images.astype(np.float64)
    return np.array([np.mean(np.diff(values, axis=axis) ** 2) for axis in (1, 2)])


@pytest.mark.parametrize("name", controls.TABLE)
def test_controls_keep_the_form_and_follow_their_generator(images, name):
    make = controls.TABLE[name].make
    made = make(np.random.default_rng(0), images)
    assert made.shape == images.shape and made.dtype == np.uint8
    np.testing.assert_array_equal(made, make(np.random.default_rng(0), images))
    assert np.any(made != make(np.random.default_rng(1), images))
    assert np.mean(np.abs(made.astype(float) - images)) > 5


@pytest.mark.parametrize("name", ["phase-scrambled", "isotropic texture"])
def test_textures_keep_mean_contrast_and_colours(images, name):
    soft = (64 + images // 2).astype(np.uint8)  # away from 0 and 255, so that nothing is clipped
    made = controls.TABLE[name].make(np.random.default_rng(0), soft)
    for ours, theirs, tolerance in zip(statistics(made), statistics(soft), (2.0, 4.0, 0.35)):
        np.testing.assert_allclose(ours, theirs, atol=tolerance)


def test_scrambling_keeps_orientation_and_the_isotropic_texture_does_not():
    rows = np.random.default_rng(0).integers(0, 256, (40, 48, 1, 1))
    stripes = np.broadcast_to(rows, (40, 48, 48, 3)).astype(np.uint8)
    scrambled = gradient_energy(controls.phase_scrambled(np.random.default_rng(1), stripes))
    texture = gradient_energy(controls.isotropic_texture(np.random.default_rng(1), stripes))
    assert scrambled[0] > 10 * scrambled[1]
    assert texture[0] == pytest.approx(texture[1], rel=0.05)


def test_scrambling_leaves_no_object(images):
    again = images.repeat(40, axis=0)
    made = controls.phase_scrambled(np.random.default_rng(0), again)
    likeness = []
    for image, control in zip(again.astype(np.float64), made.astype(np.float64)):
        image, control = (part - part.mean(axis=(0, 1)) for part in (image, control))
        likeness.append(np.corrcoef(image.ravel(), control.ravel())[0, 1])
    assert abs(np.mean(likeness)) < 0.1
    # An image of one bright square becomes one without a brightest place.
    square = np.zeros((1, 48, 48, 1), np.uint8)
    square[:, 16:32, 16:32] = 200
    spread = controls.phase_scrambled(np.random.default_rng(0), square)
    assert spread[:, 16:32, 16:32].mean() < 0.75 * 200


def test_shuffling_moves_whole_cells():
    images = np.arange(2 * 18 * 17).reshape(2, 18, 17, 1).astype(np.uint8)
    images[0, :16, :16, 0] = np.arange(16).reshape(4, 4).repeat(4, axis=0).repeat(4, axis=1)
    made = controls.patch_shuffled(np.random.default_rng(0), images)
    cells = made[0, :16, :16, 0].reshape(4, 4, 4, 4).swapaxes(1, 2).reshape(16, 16)
    assert np.all(cells == cells[:, :1])
    assert sorted(cells[:, 0]) == list(range(16))
    assert np.any(cells[:, 0] != np.arange(16))
    np.testing.assert_array_equal(made[:, 16:], images[:, 16:])
    np.testing.assert_array_equal(made[:, :, 16:], images[:, :, 16:])
