"""J and F, beside the official definition written as loops, on clips of moving shapes."""

import math

import numpy as np
import pytest

from jaxssl.evaluation import davis


def edges(mask):
    """Boundary pixels, by the rules of the official code, a pixel at a time."""
    height, width = mask.shape
    found = np.zeros_like(mask)
    for y in range(height):
        for x in range(width):
            right = mask[y, x + 1] if x + 1 < width else False
            below = mask[y + 1, x] if y + 1 < height else False
            across = mask[y + 1, x + 1] if y + 1 < height and x + 1 < width else False
            if y == height - 1 and x == width - 1:
                found[y, x] = False
            elif y == height - 1:
                found[y, x] = mask[y, x] != right
            elif x == width - 1:
                found[y, x] = mask[y, x] != below
            else:
                found[y, x] = len({mask[y, x], right, below, across}) > 1
    return found


def f_measure(truth, predicted, tolerance):
    reach = math.ceil(tolerance * math.sqrt(truth.shape[0] ** 2 + truth.shape[1] ** 2))
    true, made = (np.argwhere(edges(mask)) for mask in (truth, predicted))
    if len(made) == 0 and len(true) > 0:
        precision, recall = 1, 0
    elif len(made) > 0 and len(true) == 0:
        precision, recall = 0, 1
    elif len(made) == 0:
        precision, recall = 1, 1
    else:
        squares = ((true[:, None] - made[None]) ** 2).sum(-1)
        precision = np.mean(squares.min(axis=0) <= reach**2)
        recall = np.mean(squares.min(axis=1) <= reach**2)
    return 0 if precision + recall == 0 else 2 * precision * recall / (precision + recall)


def disc(y, x, radius, shape=(30, 40)):
    rows, columns = np.mgrid[: shape[0], : shape[1]]
    return (rows - y) ** 2 + (columns - x) ** 2 <= radius**2


def clip(step, radius=7, num_frames=9):
    """Masks of a disc that moves and of a square that stands, at the border."""
    masks = np.zeros((num_frames, 30, 40), np.uint8)
    for frame, mask in enumerate(masks):
        mask[disc(14, 8 + step * frame, radius)] = 3
        mask[20:, 30:] = 7
    return masks


@pytest.mark.parametrize("tolerance", [0.008, 0.05, 0.1])
def test_boundaries_are_compared_as_in_the_official_code(tolerance):
    generator = np.random.default_rng(0)
    pairs = [
        (disc(14, 15, 8), disc(15, 17, 7)),
        (disc(29, 39, 9), disc(27, 38, 9)),  # cut by the border
        (generator.random((30, 40)) < 0.5, generator.random((30, 40)) < 0.5),
        (disc(14, 15, 3), disc(14, 30, 3)),
        (disc(14, 15, 3), np.zeros((30, 40), bool)),
        (np.zeros((30, 40), bool), disc(14, 15, 3)),
        (np.zeros((30, 40), bool), np.ones((30, 40), bool)),
    ]
    for truth, predicted in pairs:
        found = davis.boundary(truth, predicted, tolerance)
        assert found == pytest.approx(f_measure(truth, predicted, tolerance), abs=1e-12)


def test_regions_are_intersection_over_union():
    truth, predicted = disc(14, 15, 8), disc(15, 17, 7)
    expected = np.sum(truth & predicted) / np.sum(truth | predicted)
    assert davis.region(truth, predicted) == pytest.approx(expected)
    nothing = np.zeros((4, 4), bool)
    assert davis.region(nothing, nothing) == 1 and davis.region(nothing, ~nothing) == 0


def test_a_clip_is_measured_without_its_first_and_last_frame():
    truth, predicted = clip(2), clip(1, radius=6)
    found = davis.measure(truth, predicted)
    for name, score in (("J", davis.region), ("F", davis.boundary)):
        values = np.array(
            [
                [score(truth[t] == each, predicted[t] == each) for t in range(1, 8)]
                for each in (3, 7)
            ]
        )
        assert found[name]["mean"] == pytest.approx(values.mean())
        assert found[name]["recall"] == pytest.approx(np.mean(values > 0.5))
        # The official quarters of seven frames: places 0, 2 (1.5 is rounded up), 3, 4 (4.5 to 5)…
        ends = (np.round(np.linspace(1, 7, 5) + 1e-10) - 1).astype(int)
        first, last = values[:, : ends[1] + 1], values[:, ends[3] :]
        assert found[name]["decay"] == pytest.approx(np.mean(first.mean(1) - last.mean(1)))
        by_object = {key: each[name] for key, each in found["by_object"].items()}
        assert by_object == pytest.approx({"3": values[0].mean(), "7": values[1].mean()})
    assert found["J&F"] == pytest.approx((found["J"]["mean"] + found["F"]["mean"]) / 2)
    assert found["J"]["decay"] > 0.1 and found["by_object"]["7"] == {"J": 1, "F": 1}
    assert davis.measure(truth, truth)["J&F"] == 1


def test_clips_that_cannot_be_measured_are_named():
    with pytest.raises(ValueError, match=r"three at least; got \[2, 30, 40\] beside \[2, 30, 40\]"):
        davis.measure(clip(1)[:2], clip(1)[:2])
    with pytest.raises(ValueError, match="must hold an object, a value above 0; got 0 alone"):
        davis.measure(np.zeros((3, 4, 4), np.uint8), np.zeros((3, 4, 4), np.uint8))
