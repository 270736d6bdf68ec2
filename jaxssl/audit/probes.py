"""Probes: can the questions be answered from a cheap cue alone?"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
from scipy import special

from jaxssl.evaluation import accuracy, linear

THRESHOLD = 0.05  # skill: share of the way from chance to always right
UNEVEN_LEVEL = 1e-3
# Cues are few and the questions many, so a short grid of penalties decides as well as a long one.
_PROTOCOL = linear.LinearConfig(l2_grid=(1e-1, 1e-2, 1e-3), tolerance=1e-3, extend=False)
_CLIP = 5.0  # standard deviations; one flat patch must not steer a whole fit
_PAD = 64  # columns: groups of similar size then share one compilation


class Score(NamedTuple):
    """An accuracy on held-out questions against chance.

    Attributes:
        accuracy: fraction answered right.
        low: lower end of its 95 % Wilson interval.
        high: upper end.
        chance: accuracy of a guess.
        skill: (accuracy − chance) / (1 − chance): 0 for guessing, 1 for always right.
        skill_low: the same of ``low``.
        num_questions: behind the accuracy.
    """

    accuracy: float
    low: float
    high: float
    chance: float
    skill: float
    skill_low: float
    num_questions: int


def score(right: np.ndarray, chance: float) -> Score:
    """The score of answers that are right or wrong.

    Args:
        right: [N] booleans.
        chance: accuracy of a guess, in [0, 1).
    """
    value = float(np.mean(right))
    low, high = accuracy.interval(value, len(right))
    skill, skill_low = ((part - chance) / (1 - chance) for part in (value, low))
    return Score(value, low, high, chance, skill, skill_low, len(right))


def chance_of(answers: np.ndarray, num_answers: int) -> float:
    """Accuracy of a guess: 1 / num_answers, or the share of the most frequent answer.

    The share counts only where a chi-squared test rejects equally frequent answers at
    ``UNEVEN_LEVEL``: the largest of many equal shares always looks large.

    Args:
        answers: [N] integers in [0, num_answers).
        num_answers: how many answers a question has.
    """
    counts = np.bincount(answers, minlength=num_answers)
    expected = len(answers) / num_answers
    statistic = float(np.sum((counts - expected) ** 2) / expected)
    is_uneven = special.chdtrc(num_answers - 1, statistic) < UNEVEN_LEVEL
    return float(counts.max() / len(answers)) if is_uneven else 1 / num_answers


def probe(
    fit_cues: np.ndarray,
    fit_answers: np.ndarray,
    score_cues: np.ndarray,
    score_answers: np.ndarray,
    *,
    chance: float,
    selects: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None,
    seed: int = 0,
) -> Score:
    """Fits a classifier to cues, and scores it on questions about other images.

    Multinomial logistic regression on the standardised cues z, clipped at five standard
    deviations, and on z². The cues hold what must be compared between inputs already (mismatches,
    relative phases), in logarithms where their sizes vary, so that answers are nearly linear in
    them; squares add "either way" (shifted to whichever side). More freedom would need more
    questions and hide weak cues in the noise of the fit. The penalty is chosen on a tenth of the
    fitting questions, as in ``linear.fit``.

    Args:
        fit_cues: [N, F] real and finite.
        fit_answers: [N] integers ≥ 0.
        score_cues: [N', F].
        score_answers: [N'].
        chance: accuracy of a guess.
        selects: columns that may be read, see ``cues.Cue``; where it chooses none, the probe can
            only guess the most frequent answer.
        seed: of the draw of the tenth.

    Returns:
        The score on the second set.
    """
    if selects is not None:
        chosen = selects(fit_cues, fit_answers)
        if not chosen.any():
            return score(score_answers == np.bincount(fit_answers).argmax(), chance)
        fit_cues, score_cues = fit_cues[:, chosen], score_cues[:, chosen]
    mean, deviation = fit_cues.mean(axis=0, dtype=np.float64), fit_cues.std(axis=0)
    scale = np.where(deviation > 1e-6, 1 / np.maximum(deviation, 1e-6), 0.0)

    def expand(cues: np.ndarray) -> np.ndarray:
        z = np.clip((cues - mean) * scale, -_CLIP, _CLIP)
        padding = -2 * z.shape[1] % _PAD
        return np.pad(np.hstack([z, z**2]), [(0, 0), (0, padding)]).astype(np.float32)

    result = linear.fit(
        expand(fit_cues),
        fit_answers,
        expand(score_cues),
        score_answers,
        config=_PROTOCOL,
        seed=seed,
    )
    return score(result.predictions == score_answers, chance)


def is_shortcut(found: Score, threshold: float = THRESHOLD) -> bool:
    """Whether a cue answers beyond doubt: the lower end of its skill exceeds the threshold."""
    return found.skill_low > threshold
