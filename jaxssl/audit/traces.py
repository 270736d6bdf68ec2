"""Traces of processing: interpolation, filled borders, the block grid of JPEG, and marks.

The contract is that of ``cues``: inputs [B, V, H, W, C] floating to [B, F] float32, without
learning and without answers. ``resampling`` and ``fill`` are the same for an input turned by
quarter turns or mirrored.
"""

import numpy as np
from scipy import ndimage

MIN_GRID_SIZE = 32  # pixels: four blocks, so that a median over blocks is no single edge
_BLOCK = 8
MAX_MARK_PIXELS = 4096  # over all inputs of a question
_MARK_RATIO = 2.0  # mean over deviation above which a pixel belongs to a mark
_MARK_FLOOR = 0.02  # five grey levels: what is fainter is no mark
_TINY = 1e-8


def resampling(inputs: np.ndarray) -> np.ndarray:
    """High-frequency energy, and the period that interpolation leaves in second differences.

    On the mean of the channels: logarithms of the energy ratios second / first differences along
    the axes, the same along the diagonals, diagonal / axial first differences, and mixed / axial
    second differences; and for each axis log(peak / median) of the spectrum of the mean absolute
    second difference by line, the larger and the smaller of the two axes.

    Args:
        inputs: [B, V, H, W, C] floating.

    Returns:
        [B, 6·V] float32. Interpolated images have lower ratios and higher peaks.

    Source: Gallagher, Detection of Linear and Cubic Interpolation in JPEG Compressed Images, 2005
        (that second differences become periodic).
    """
    x = inputs.mean(axis=-1, dtype=np.float64)
    axial = [np.diff(x, axis=2), np.diff(x, axis=3)]
    second = [np.diff(x, n=2, axis=2), np.diff(x, n=2, axis=3)]
    falling = x[:, :, 1:, 1:] - x[:, :, :-1, :-1]
    rising = x[:, :, 1:, :-1] - x[:, :, :-1, 1:]
    diagonal_second = [
        x[:, :, 2:, 2:] - 2 * x[:, :, 1:-1, 1:-1] + x[:, :, :-2, :-2],
        x[:, :, 2:, :-2] - 2 * x[:, :, 1:-1, 1:-1] + x[:, :, :-2, 2:],
    ]
    mixed = np.diff(np.diff(x, axis=2), axis=3)
    e_axial, e_second, e_diagonal, e_diagonal_second, e_mixed = (
        sum(np.mean(part**2, axis=(2, 3)) for part in parts) + _TINY
        for parts in (axial, second, [falling, rising], diagonal_second, [mixed])
    )
    peaks = np.sort(
        np.stack([_peak(np.abs(second[0]).mean(axis=3)), _peak(np.abs(second[1]).mean(axis=2))]),
        axis=0,
    )
    ratios = [
        np.log(e_second / e_axial),
        np.log(e_diagonal_second / e_diagonal),
        np.log(e_diagonal / e_axial),
        np.log(e_mixed / e_second),
    ]
    return _flat(np.stack([*ratios, *peaks], axis=-1))


def fill(inputs: np.ndarray) -> np.ndarray:
    """Constant corners and borders, which a rotation or a shift leaves where nothing was known.

    The smallest, mean and largest log standard deviation of the four corners (squares of an eighth
    of the side) and of the four outermost lines; the share of neighbouring pixels that are exactly
    equal; the range of the four corner pixels.

    Args:
        inputs: [B, V, H, W, C] floating.

    Returns:
        [B, 8·V] float32.
    """
    x = inputs.astype(np.float64)
    side = max(2, min(x.shape[2:4]) // 8)
    ends = (slice(None, side), slice(-side, None))
    corners = [
        x[:, :, rows, columns].std(axis=(2, 3)).mean(axis=-1) for rows in ends for columns in ends
    ]
    lines = [x[:, :, 0], x[:, :, -1], x[:, :, :, 0], x[:, :, :, -1]]
    borders = [line.std(axis=2).mean(axis=-1) for line in lines]
    described = []
    for group in (corners, borders):
        logs = np.sort(np.log(np.stack(group) + 1e-3), axis=0)
        described += [logs[0], logs.mean(axis=0), logs[-1]]
    equal = [np.all(np.diff(x, axis=axis) == 0, axis=-1).mean(axis=(2, 3)) for axis in (2, 3)]
    described.append(sum(equal) / 2)
    tips = x[:, :, :: x.shape[2] - 1, :: x.shape[3] - 1].mean(axis=-1)  # [B, V, 2, 2]
    described.append(np.ptp(tips, axis=(2, 3)))
    return _flat(np.stack(described, axis=-1))


def jpeg_grid(inputs: np.ndarray) -> np.ndarray:
    """Where the 8-pixel grid of JPEG lies in each input, and against the first input.

    The mean absolute step v(k) between the lines k−1 and k, minus the mean of v(k ± 1), over the
    mean of v; its median over the blocks for each phase k mod 8; and of these eight numbers the
    first Fourier coefficient z, whose angle is the phase, and range minus spread, its strength.
    The product of z with the conjugate of the first input's says how one grid lies in the other.

    Args:
        inputs: [B, V, H, W, C] floating, H and W at least ``MIN_GRID_SIZE``.

    Returns:
        [B, 10·V − 4] float32: for each axis cos, sin and strength of each input; then real and
        imaginary part of the products.
    """
    x = inputs.astype(np.float64)
    described = []
    for axis, across in ((2, 3), (3, 2)):
        steps = np.abs(np.diff(x, axis=axis)).mean(axis=(across, 4))  # [B, V, lines - 1]
        profile = steps[..., 1:-1] - (steps[..., :-2] + steps[..., 2:]) / 2
        profile = profile / (steps.mean(axis=-1, keepdims=True) + _TINY)
        # profile[k] belongs to the step between the lines k + 1 and k + 2.
        phases = np.stack(
            [np.median(profile[..., (p - 2) % _BLOCK :: _BLOCK], axis=-1) for p in range(_BLOCK)],
            axis=-1,
        )
        wave = phases @ np.exp(-2j * np.pi * np.arange(_BLOCK) / _BLOCK)
        strength = phases.max(axis=-1) - phases.std(axis=-1)
        relative = wave[:, 1:] * wave[:, :1].conj()
        described += [wave.real, wave.imag, strength, relative.real, relative.imag]
    return _flat(np.concatenate(described, axis=1))


def mark(inputs: np.ndarray) -> np.ndarray:
    """What every pixel has over its neighbourhood: where a mark is, the same in every image.

    r = x - mean of x over the 5 x 5 pixels around (borders repeated), on the mean of the channels.
    By itself this is the image; ``is_mark`` chooses the pixels that count.

    Args:
        inputs: [B, V, H, W, C] floating, V·H·W at most ``MAX_MARK_PIXELS``.

    Returns:
        [B, V·H·W] float32.
    """
    x = inputs.mean(axis=-1, dtype=np.float64)
    return _flat(x - ndimage.uniform_filter(x, (0, 0, 5, 5), mode="nearest"))


def is_mark(described: np.ndarray, answers: np.ndarray) -> np.ndarray:
    """Which columns of ``mark`` hold the same value in almost all questions of one answer.

    |mean| > 2 (deviation + 0.02) over the questions of any answer: content differs from image to
    image, a watermark does not.

    Args:
        described: [N, F], of the questions a probe is fitted to.
        answers: [N] integers.

    Returns:
        bool [F].
    """
    found = np.zeros(described.shape[1], bool)
    for answer in np.unique(answers):
        own = described[answers == answer].astype(np.float64)
        found |= np.abs(own.mean(axis=0)) > _MARK_RATIO * (own.std(axis=0) + _MARK_FLOOR)
    return found


def _peak(profile: np.ndarray) -> np.ndarray:
    """log(peak / median) of the spectrum of [..., n], the mean left out."""
    spectrum = np.abs(np.fft.rfft(profile - profile.mean(axis=-1, keepdims=True)))[..., 1:]
    return np.log((spectrum.max(axis=-1) + 1e-6) / (np.median(spectrum, axis=-1) + 1e-6))


def _flat(values: np.ndarray) -> np.ndarray:
    return values.reshape(len(values), -1).astype(np.float32)
