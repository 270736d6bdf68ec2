"""Descriptors of cues against what they claim: shapes, invariance, and planted traces."""

import numpy as np
import pytest
from scipy import ndimage

from jaxssl.audit import cues, traces

RNG = np.random.default_rng(0)


def smooth(batch, views=2, size=32, channels=3, sigma=1.5):
    """Smooth noise [B, V, H, W, C] in [0, 1], the channels alike."""
    noise = np.random.default_rng(1).standard_normal((batch, views, size, size, 1))
    noise = ndimage.gaussian_filter(noise, (0, 0, sigma, sigma, 0))
    noise = noise / noise.std() * 0.15 + 0.5
    return np.clip(np.broadcast_to(noise, (*noise.shape[:4], channels)), 0, 1).astype(np.float32)


@pytest.mark.parametrize("name", cues.TABLE)
@pytest.mark.parametrize("shape", [(1, 28, 28, 1), (2, 8, 8, 3), (9, 7, 7, 3), (2, 32, 32, 3)])
def test_cues_are_finite_rows(name, shape):
    cue = cues.TABLE[name]
    if not cue.applies(*shape):
        pytest.skip("cannot show this cue")
    for inputs in (RNG.random((5, *shape), np.float32), np.full((5, *shape), 0.5, np.float32)):
        found = cue.describe(inputs)
        assert found.ndim == 2 and len(found) == 5 and found.dtype == np.float32
        assert found.shape[1] <= (np.prod(shape[:3]) if name == "watermark" else 150)
        assert np.all(np.isfinite(found))
        # Each row is of its own question alone.
        np.testing.assert_allclose(cue.describe(inputs[3:4])[0], found[3], rtol=1e-4, atol=1e-5)


def test_what_cannot_show_a_cue_is_not_asked():
    table = cues.TABLE
    assert not table["chromatic aberration"].applies(2, 32, 32, 1)
    assert not table["border continuity"].applies(1, 32, 32, 3)
    assert not table["JPEG grid"].applies(2, 31, 96, 3)


@pytest.mark.parametrize("describe", [cues.brightness, traces.resampling, traces.fill])
def test_whole_image_cues_do_not_see_quarter_turns(describe):
    inputs = RNG.random((4, 2, 16, 16, 3), np.float32)
    for turns in (1, 2, 3):
        turned = np.rot90(inputs, turns, axes=(2, 3))
        np.testing.assert_allclose(describe(turned), describe(inputs), rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("shift", [(0.0, 0.6), (0.5, 0.0), (-0.4, -0.4)])
def test_shift_of_the_channels_is_measured(shift):
    inputs = smooth(8, views=1).copy()
    # R(p) = G(p + d): what lies at p + d in green lies at p in red.
    inputs[..., 0] = ndimage.shift(
        inputs[..., 1], (0, 0, -shift[0], -shift[1]), order=3, mode="nearest"
    )
    found = cues.chromatic_aberration(inputs).mean(axis=0)
    np.testing.assert_allclose(found[:2], shift, atol=0.1)
    np.testing.assert_allclose(found[3:], 0, atol=0.02)  # blue is where green is


def test_magnification_is_measured_with_its_sign():
    inputs = smooth(8, views=1).copy()
    coordinates = np.meshgrid(*[np.linspace(-1, 1, 32)] * 2, indexing="ij")
    places = [15.5 + c * 15.5 + 0.5 * c for c in coordinates]
    for image in inputs[:, 0]:
        image[..., 0] = ndimage.map_coordinates(image[..., 1], places, order=3, mode="nearest")
    found = cues.chromatic_aberration(inputs).mean(axis=0)
    np.testing.assert_allclose(found[:3], (0, 0, 0.5), atol=0.12)


def test_borders_that_touch_fit_best():
    image = smooth(20, views=1, size=32)[:, 0]
    right = np.stack([image[:, :16, :16], image[:, :16, 16:]], axis=1)
    found = cues.border_continuity(right).reshape(20, 2, 4).mean(axis=0)
    best = np.unravel_index(found.argmin(), found.shape)
    assert best == (0, 0)  # the right side of input 0 with the left of input 1
    found = cues.border_continuity(right[:, ::-1]).reshape(20, 2, 4).mean(axis=0)
    assert np.unravel_index(found.argmin(), found.shape) == (1, 0)
    below = np.stack([image[:, :16, :16], image[:, 16:, :16]], axis=1)
    found = cues.border_continuity(below).reshape(20, 2, 4).mean(axis=0)
    assert np.unravel_index(found.argmin(), found.shape) == (0, 1)


def test_mismatch_is_that_of_a_loop():
    inputs = RNG.random((2, 4, 6, 7, 3))
    found = cues.border_continuity(inputs).reshape(2, 12, 2)
    pairs = [(i, j) for i in range(4) for j in range(4) if i != j]
    for place, (i, j) in enumerate(pairs):
        for example in range(2):
            a, b = inputs[example, i], inputs[example, j]
            across = (1.5 * a[:, -1] - 0.5 * a[:, -2]) - (1.5 * b[:, 0] - 0.5 * b[:, 1])
            down = (1.5 * a[-1] - 0.5 * a[-2]) - (1.5 * b[0] - 0.5 * b[1])
            expected = [np.log(np.mean(d**2) + 1e-4) for d in (across, down)]
            np.testing.assert_allclose(found[example, place], expected, rtol=1e-5)


@pytest.mark.parametrize(
    "side, edge", [*enumerate([np.s_[0], np.s_[-1], np.s_[:, 0], np.s_[:, -1]])]
)
def test_a_line_stands_out_at_its_own_side(side, edge):
    inputs = smooth(6, views=1).copy()
    plain = cues.border_line(inputs)
    for image in inputs[:, 0]:
        image[edge] = 1.0
    changed = np.abs(cues.border_line(inputs) - plain).mean(axis=0)
    assert changed[side] > 1
    assert changed[np.arange(4) != side].max() < 0.2 * changed[side]


def test_interpolation_takes_high_frequencies():
    sharp = RNG.random((6, 1, 24, 24, 1))
    turned = ndimage.rotate(sharp, 20, axes=(2, 3), order=1, reshape=False, mode="reflect")
    found, before = traces.resampling(turned), traces.resampling(sharp)
    assert np.all(found[:, [0, 3]] < before[:, [0, 3]] - np.array([0.03, 0.1]))


def test_upscaling_leaves_a_period():
    sharp = RNG.random((6, 1, 16, 16, 1))
    doubled = ndimage.zoom(sharp, (1, 1, 2, 2, 1), order=1, grid_mode=True, mode="nearest")
    rise = traces.resampling(doubled)[:, 4:].mean(axis=0) - traces.resampling(sharp)[:, 4:].mean(
        axis=0
    )
    assert np.all(rise > 0.3)


def test_fill_is_seen_in_the_corners():
    inputs = RNG.random((6, 1, 24, 24, 3))
    filled = ndimage.rotate(inputs, 30, axes=(2, 3), order=1, reshape=False)
    found, before = traces.fill(filled), traces.fill(inputs)
    assert np.all(found[:, 0] < before[:, 0] - 2)  # the calmest corner
    assert np.all(found[:, 6] > before[:, 6] + 0.05)  # neighbours that are exactly equal


@pytest.mark.parametrize("phase", [0, 3, 7])
def test_grid_is_found_at_its_phase(phase):
    size = 48
    lines = (np.arange(size) - phase) // 8
    blocks = np.random.default_rng(2).random((6, 1, 8, 8, 1))[:, :, lines][:, :, :, lines]
    image = blocks + 0.02 * np.random.default_rng(3).random((6, 1, size, size, 1))
    found = traces.jpeg_grid(np.concatenate([image, np.roll(image, 2, axis=3)], axis=1))
    real, imag = found[:, 0:2], found[:, 2:4]
    angles = np.angle(real[:, 0] + 1j * imag[:, 0])
    np.testing.assert_allclose(np.exp(1j * angles), np.exp(-2j * np.pi * phase / 8), atol=0.2)
    relative = found[:, 14] + 1j * found[:, 15]  # the second axis, second input against the first
    expected = np.exp(-2j * np.pi * 2 / 8)
    np.testing.assert_allclose(relative / np.abs(relative), expected, atol=0.2)


def test_a_mark_is_chosen_where_it_is_and_content_nowhere():
    answers = np.repeat([0, 1], 200)
    inputs = np.random.default_rng(3).random((400, 1, 16, 16, 1), np.float32)
    assert not traces.is_mark(traces.mark(inputs), answers).any()
    marked = inputs.copy()
    marked[answers == 1, :, 2:4, 10:13] = 1.0
    chosen = traces.is_mark(traces.mark(marked), answers).reshape(16, 16)
    rows, columns = np.nonzero(chosen)
    assert chosen[2:4, 10:13].all()
    assert rows.min() >= 0 and rows.max() <= 5 and columns.min() >= 8 and columns.max() <= 14
    # What is the same everywhere because it is nothing, like a background, is no mark.
    assert not traces.is_mark(traces.mark(np.zeros_like(inputs)), answers).any()


def test_a_mark_is_described_as_a_loop_would():
    x = np.random.default_rng(4).random((2, 1, 6, 7, 3))
    found = traces.mark(x).reshape(2, 6, 7)
    for image in range(2):
        for row in range(6):
            for column in range(7):
                around = [
                    x[image, 0, min(max(r, 0), 5), min(max(c, 0), 6)].mean()
                    for r in range(row - 2, row + 3)
                    for c in range(column - 2, column + 3)
                ]
                expected = x[image, 0, row, column].mean() - np.mean(around)
                np.testing.assert_allclose(found[image, row, column], expected, atol=1e-6)
