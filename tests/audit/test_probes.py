"""Probes and their verdicts on made cues."""

import numpy as np
import pytest

from jaxssl.audit import probes
from jaxssl.evaluation import accuracy


def wilson(right, num):
    """Both ends, by bisection of the equation that Wilson solved: |a - p| = z sqrt(p (1-p) / n)."""
    a, z = right / num, 1.959963984540054

    def end(inside, outside):
        for _ in range(200):
            p = (inside + outside) / 2
            within = abs(a - p) <= z * np.sqrt(p * (1 - p) / num)
            inside, outside = (p, outside) if within else (inside, p)
        return inside

    return end(a, 0.0), end(a, 1.0)


@pytest.mark.parametrize("right, num", [(0, 10), (3, 10), (250, 1000), (1000, 1000)])
def test_interval_is_wilsons(right, num):
    np.testing.assert_allclose(accuracy.interval(right / num, num), wilson(right, num), atol=1e-9)


def test_skill_is_the_way_from_chance_to_always_right():
    found = probes.score(np.arange(1000) < 625, 0.25)
    assert found.skill == pytest.approx(0.5)
    assert found.skill_low == pytest.approx((wilson(625, 1000)[0] - 0.25) / 0.75)
    assert probes.is_shortcut(found)
    assert not probes.is_shortcut(found, threshold=0.5)  # the lower end decides, not the middle


def test_chance_is_that_of_the_best_guess():
    rng = np.random.default_rng(0)
    assert probes.chance_of(rng.integers(0, 8, 4000), 8) == 1 / 8
    assert probes.chance_of(np.minimum(rng.integers(0, 8, 4000), 6), 8) == pytest.approx(1 / 4, 0.1)
    # Of many draws of a fair die, the largest share lies above 1/K beyond one interval too often.
    draws = [probes.chance_of(np.random.default_rng(s).integers(0, 4, 1200), 4) for s in range(100)]
    assert draws.count(1 / 4) >= 98


def probe(cue, seed=0):
    """Score of a probe on 1500 + 1000 questions of four answers with ``cue(rng, answers)``."""
    rng = np.random.default_rng(seed)
    answers = rng.integers(0, 4, 2500)
    cues = cue(rng, answers).astype(np.float32)
    parts = (cues[:1500], answers[:1500], cues[1500:], answers[1500:])
    return probes.probe(*parts, chance=0.25)


def test_cues_without_answers_are_clear():
    found = probe(lambda rng, answers: rng.standard_normal((2500, 12)))
    assert not probes.is_shortcut(found)
    assert found.low < 0.25 < found.high + 0.03


def test_linear_and_even_cues_are_found():
    def linear(rng, answers):
        return np.eye(4)[answers] + rng.standard_normal((2500, 4))

    def even(rng, answers):
        """Large either way where the answer is 0: nothing linear can tell."""
        return rng.standard_normal((2500, 3)) * (1 + 4 * (answers == 0))[:, None]

    assert probes.is_shortcut(probe(linear))
    assert probes.is_shortcut(probe(even))


def test_constant_columns_and_outliers_do_not_disturb():
    def cue(rng, answers):
        columns = np.stack([answers == 1, np.ones(2500), rng.standard_normal(2500)], axis=1)
        columns = columns.astype(float)
        columns[::500, 2] = 1e6
        return columns

    assert probe(cue).accuracy == pytest.approx(0.5, abs=0.06)
