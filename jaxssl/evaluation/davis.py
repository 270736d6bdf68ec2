"""J and F of DAVIS: how masks that were carried through a film agree with the true ones.

Source: Perazzi et al., A Benchmark Dataset and Evaluation Methodology for Video Object
    Segmentation, 2016, sec. 5; Pont-Tuset et al., The 2017 DAVIS Challenge on Video Object
    Segmentation, 2017, arXiv:1704.00675; davisvideochallenge/davis2017-evaluation, metrics.py,
    evaluation.py and db_statistics.
"""

import math

import numpy as np
import scipy.ndimage

TOLERANCE = 0.008  # of the diagonal, rounded up to pixels
_RECALLED = 0.5  # a frame above it counts for recall
_NUM_PARTS = 4  # of a film; decay is the first part's mean minus the last one's


def region(truth: np.ndarray, predicted: np.ndarray) -> float:
    """J, the Jaccard index |A ∩ B| / |A ∪ B| of two masks, in [0, 1]; 1 where both are empty.

    Args:
        truth: booleans [H, W].
        predicted: booleans [H, W].
    """
    union = np.sum(truth | predicted)
    return float(np.sum(truth & predicted) / union) if union else 1.0


def boundary(truth: np.ndarray, predicted: np.ndarray, tolerance: float = TOLERANCE) -> float:
    """F, the F-measure 2 P R / (P + R) of the boundaries of two masks, in [0, 1].

    P is the part of the predicted boundary that is within r pixels of the true one, R that of the
    true one within r of the predicted, r = ⌈tolerance · diagonal⌉. An empty boundary beside one
    that is not has P = 1 and R = 0, or the reverse, so F = 0; of two empty ones F is 1.

    Args:
        truth: booleans [H, W].
        predicted: booleans [H, W].
        tolerance: part of the diagonal.
    """
    reach = math.ceil(tolerance * math.hypot(*truth.shape))
    edges = _boundary(truth), _boundary(predicted)
    if not all(edge.any() for edge in edges):
        return float(not any(edge.any() for edge in edges))
    near = [scipy.ndimage.distance_transform_edt(~edge) <= reach for edge in edges]
    precision, recall = np.mean(near[0][edges[1]]), np.mean(near[1][edges[0]])
    total = precision + recall
    return float(2 * precision * recall / total) if total else 0.0


def measure(truth: np.ndarray, predicted: np.ndarray) -> dict:
    """J and F of every object of the first frame, over all frames but the first and the last.

    Args:
        truth: integers [T, H, W], 0 where there is no object, T ≥ 3.
        predicted: the same; its first frame was given.

    Returns:
        ``{"J&F": mean of both, "J": {"mean", "recall", "decay"}, "F": {…}, "by_object": {number:
        {"J", "F"}}}``: mean over objects of the mean over frames; recall is the part of the frames
        above 0.5, decay how much the first quarter of the film is better than the last.

    Raises:
        ValueError: fewer than three frames, another number of them, or no object.
    """
    if truth.shape != predicted.shape or len(truth) < 3:
        raise ValueError(
            "davis: true masks must be of all frames, three at least; got "
            f"{list(truth.shape)} beside {list(predicted.shape)}."
        )
    objects = [number for number in np.unique(truth[0]).tolist() if number]
    if not objects:
        raise ValueError(
            "davis: the first true mask must hold an object, a value above 0; got 0 alone."
        )
    values = {
        name: np.array(
            [
                [score(true == each, made == each) for true, made in zip(truth, predicted)][1:-1]
                for each in objects
            ]
        )
        for name, score in (("J", region), ("F", boundary))
    }
    found = {name: _statistics(each) for name, each in values.items()}
    both = (found["J"]["mean"] + found["F"]["mean"]) / 2
    by_object = {
        str(each): {name: float(values[name][row].mean()) for name in values}
        for row, each in enumerate(objects)
    }
    return {"J&F": both, **found, "by_object": by_object}


def _statistics(values: np.ndarray) -> dict:
    """Mean, recall and decay over objects and frames, of values [objects, frames]."""
    count = values.shape[1]
    ends = (np.round(np.linspace(1, count, _NUM_PARTS + 1) + 1e-10) - 1).astype(int)
    # Parts share the frame where they meet, as in the official code.
    first, last = values[:, ends[0] : ends[1] + 1], values[:, ends[-2] : ends[-1] + 1]
    return {
        "mean": float(values.mean()),
        "recall": float(np.mean(values > _RECALLED)),
        "decay": float(first.mean() - last.mean()),
    }


def _boundary(mask: np.ndarray) -> np.ndarray:
    """Pixels that differ from the one to the right, the one below, or the one below that.

    One pixel wide, and half a pixel up and left of where the values change.
    """
    padded = np.pad(mask, ((0, 1), (0, 1)), mode="edge")
    right, below, across = padded[:-1, 1:], padded[1:, :-1], padded[1:, 1:]
    return (mask ^ right) | (mask ^ below) | (mask ^ across)
