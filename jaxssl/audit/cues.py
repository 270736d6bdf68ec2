"""Cheap cues: what of the inputs could answer a question without understanding the images.

Every function is pure NumPy, from the inputs of questions [B, V, H, W, C] floating, H and W at
least 6, to a description [B, F] float32, F proportional to V (to V² for borders). None is learned
and none sees an answer (of the pixels of a watermark, those that a probe may read are chosen by the
answers it is fitted to). ``TABLE`` names them; ``traces`` holds those of processing.

Cues that say what was done to an input as a whole (brightness, resampling, fill) do not change
when it is turned by quarter turns or mirrored, so that an exactly rotated image shows none of them.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

from jaxssl.audit import traces

_MAX_CORNER_INPUTS = 3  # beyond these, sides say enough and corners would only add columns
_FLOOR = 1e-4  # of mean squared differences, about (2.5 grey levels)²
_SHIFT_NOISE = 1e-5  # variance of a difference of neighbours that is taken for noise
_MAX_SHIFT = 3.0  # pixels


class Cue(NamedTuple):
    """One group of cues.

    Attributes:
        describe: inputs [B, V, H, W, C] to [B, F].
        applies: whether inputs of a shape (V, H, W, C) can show it at all.
        sentence: what it looks at.
        selects: from the cues [N, F] and answers [N] that a probe is fitted to, the columns it may
            read; None: all of them.
    """

    describe: Callable[[np.ndarray], np.ndarray]
    applies: Callable[[int, int, int, int], bool]
    sentence: str
    selects: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None


def brightness(inputs: np.ndarray) -> np.ndarray:
    """Mean and standard deviation of every channel of every input.

    Args:
        inputs: [B, V, H, W, C] floating.

    Returns:
        [B, 2·V·C] float32, in the units of the inputs.
    """
    means, deviations = inputs.mean(axis=(2, 3)), inputs.std(axis=(2, 3))
    return _flat(np.stack([means, deviations], axis=-1))


def border_continuity(inputs: np.ndarray) -> np.ndarray:
    """How badly the borders of each ordered pair of inputs would fit if they touched.

    For inputs i ≠ j and a common border, both are extrapolated by half a pixel onto it,
    e = 1.5 x₀ − 0.5 x₁ (x₀ the outermost line, x₁ the next), and compared: log(mean (eᵢ − eⱼ)²).
    The right side of i meets the left of j, its bottom the top of j; up to three inputs, the two
    lower corners (means of 2 × 2 pixels) meet the opposite ones too.

    Args:
        inputs: [B, V, H, W, C] floating, V at least 2.

    Returns:
        [B, 4·V(V−1)] float32, or [B, 2·V(V−1)] for more than three inputs; low where they fit.
    """
    x = inputs.astype(np.float64)
    meetings = [
        (1.5 * x[:, :, :, -1] - 0.5 * x[:, :, :, -2], 1.5 * x[:, :, :, 0] - 0.5 * x[:, :, :, 1]),
        (1.5 * x[:, :, -1] - 0.5 * x[:, :, -2], 1.5 * x[:, :, 0] - 0.5 * x[:, :, 1]),
    ]
    if inputs.shape[1] <= _MAX_CORNER_INPUTS:
        meetings += [
            (x[:, :, -2:, -2:].mean(axis=(2, 3)), x[:, :, :2, :2].mean(axis=(2, 3))),
            (x[:, :, -2:, :2].mean(axis=(2, 3)), x[:, :, :2, -2:].mean(axis=(2, 3))),
        ]
    pairs = ~np.eye(inputs.shape[1], dtype=bool)
    return _flat(np.stack([_mismatch(a, b)[:, pairs] for a, b in meetings], axis=-1))


def chromatic_aberration(inputs: np.ndarray) -> np.ndarray:
    """Shift of red and of blue against green, in every input, by least squares on gradients.

    With G the green channel, d a shift in pixels and m a magnification about the middle,

        ∇R ≈ a ∇G + ∇(d·∇G) + m ∇(r·∇G),

    r the place in the input, each coordinate in [−1, 1]; d / a and m / a are returned. Edges decide
    it, flat inputs give about zero. Differences between inputs are left to the (linear) probe.

    Args:
        inputs: [B, V, H, W, 3] floating.

    Returns:
        [B, 6·V] float32: (row shift, column shift, magnification) of red, then of blue, pixels.

    Source: Doersch et al., Unsupervised Visual Representation Learning by Context Prediction, 2015,
        section 3.1 (that networks read it); the estimate is the usual first-order registration.
    """
    x = inputs.astype(np.float64)
    green = x[..., 1]
    rows = (green[:, :, 2:, 1:-1] - green[:, :, :-2, 1:-1]) / 2
    columns = (green[:, :, 1:-1, 2:] - green[:, :, 1:-1, :-2]) / 2
    down, right = np.meshgrid(
        np.linspace(-1, 1, rows.shape[2]), np.linspace(-1, 1, rows.shape[3]), indexing="ij"
    )
    signals = [green[:, :, 1:-1, 1:-1], rows, columns, down * rows + right * columns]
    basis = np.stack([_gradients(signal) for signal in signals], axis=-1)  # [B, V, 2HW, 4]
    size = basis.shape[2]
    gram = np.einsum("bvnk,bvnl->bvkl", basis, basis) + size * _SHIFT_NOISE * np.eye(4)
    shifts = []
    for channel in (0, 2):
        target = _gradients(x[:, :, 1:-1, 1:-1, channel])
        moment = np.einsum("bvnk,bvn->bvk", basis, target)
        found = np.linalg.solve(gram, moment[..., None])[..., 0]
        gain = found[..., :1]
        # d / a, kept finite where the channels have nothing in common.
        shifts.append(found[..., 1:] * gain / (gain**2 + 0.05))
    return _flat(np.clip(np.concatenate(shifts, axis=-1), -_MAX_SHIFT, _MAX_SHIFT))


def border_line(inputs: np.ndarray) -> np.ndarray:
    """Whether the outermost lines of an input stand out from the lines beside them.

    At each side, with x₀ the outermost line and j = x₀ - 2 x₁ + x₂, a value that only a line along
    most of the side can raise, not content that ends there: max(q₂₀(j), 0) + min(q₈₀(j), 0), q the
    quantiles in percent over the side and its channels. It is relative to the mean |j| three lines
    further in, so that a rough image does not look like one with a line.

    Args:
        inputs: [B, V, H, W, C] floating.

    Returns:
        [B, 4·V] float32: top, bottom, left, right of each input.
    """
    x = inputs.astype(np.float64)
    described = []
    for lines in (x, x[:, :, ::-1], x.swapaxes(2, 3), x.swapaxes(2, 3)[:, :, ::-1]):
        outer = lines[:, :, 0] - 2 * lines[:, :, 1] + lines[:, :, 2]
        inner = lines[:, :, 3] - 2 * lines[:, :, 4] + lines[:, :, 5]
        level = np.abs(inner).mean(axis=(2, 3)) + 0.01
        low, high = np.quantile(outer, (0.2, 0.8), axis=(2, 3))
        described.append((np.maximum(low, 0) + np.minimum(high, 0)) / level)
    return _flat(np.stack(described, axis=-1))


TABLE = {
    "brightness": Cue(
        brightness, lambda v, h, w, c: True, "mean and contrast of the channels of each input"
    ),
    "border continuity": Cue(
        border_continuity, lambda v, h, w, c: v > 1, "which borders of the inputs fit each other"
    ),
    "chromatic aberration": Cue(
        chromatic_aberration, lambda v, h, w, c: c == 3, "shift of red and blue against green"
    ),
    "border line": Cue(
        border_line, lambda v, h, w, c: True, "outermost lines that stand out from their neighbours"
    ),
    "resampling": Cue(
        traces.resampling, lambda v, h, w, c: True, "high frequencies that interpolation took away"
    ),
    "fill": Cue(
        traces.fill, lambda v, h, w, c: True, "constant corners and borders, repeated pixels"
    ),
    "JPEG grid": Cue(
        traces.jpeg_grid,
        lambda v, h, w, c: min(h, w) >= traces.MIN_GRID_SIZE,
        "the place of the 8-pixel grid of compression",
    ),
    "watermark": Cue(
        traces.mark,
        lambda v, h, w, c: v * h * w <= traces.MAX_MARK_PIXELS,
        "pixels that are the same in all images of an answer",
        traces.is_mark,
    ),
}


def _mismatch(ends: np.ndarray, starts: np.ndarray) -> np.ndarray:
    """[B, V, V]: log mean squared difference of every end [B, V, ...] and every start."""
    ends, starts = (side.reshape(*side.shape[:2], -1) for side in (ends, starts))
    squares = (ends**2).mean(axis=2)[:, :, None] + (starts**2).mean(axis=2)[:, None, :]
    products = np.einsum("bin,bjn->bij", ends, starts) / ends.shape[2]
    return np.log(np.maximum(squares - 2 * products, 0) + _FLOOR)


def _gradients(signal: np.ndarray) -> np.ndarray:
    """[B, V, H, W] to the differences of its neighbours in both directions, [B, V, N]."""
    differences = (np.diff(signal, axis=2), np.diff(signal, axis=3))
    return np.concatenate([d.reshape(*signal.shape[:2], -1) for d in differences], axis=2)


def _flat(values: np.ndarray) -> np.ndarray:
    return values.reshape(len(values), -1).astype(np.float32)
