"""A learned table of positions for images of another size, as the source of the weights has it."""

import numpy as np


def resize(table: np.ndarray, side: int, *, antialias: bool) -> np.ndarray:
    """Resizes a square table as PyTorch's bicubic ``interpolate`` does, corners not aligned.

    Without antialiasing the kernel is Keys' with a = -0.75 over the four nearest rows, the border
    repeated: DINO, DINOv2 and Hugging Face's ViTs. With it a = -0.5, the kernel is as wide as the
    step between rows where those get fewer, and what is beyond the border is left out: timm, and
    DINOv2 with registers. Computed in float64.

    Args:
        table: float32 [rows, rows, D].
        side: rows and columns wanted.
        antialias: which of the two.

    Returns:
        float32 [side, side, D].

    Source: Keys, Cubic Convolution Interpolation for Digital Image Processing, 1981, eq. 4; of
        PyTorch, aten/src/ATen/native/UpSample.h and cpu/UpSampleKernel.cpp.
    """
    matrix = _matrix(len(table), side, antialias)
    return np.einsum("ir,jc,rcd->ijd", matrix, matrix, table, optimize=True).astype(np.float32)


def fit(table: np.ndarray, side: int, *, antialias: bool) -> np.ndarray:
    """The table itself where it has the size that is wanted, bit for bit; else see ``resize``."""
    return table if len(table) == side else resize(table, side, antialias=antialias)


def _matrix(length: int, side: int, antialias: bool) -> np.ndarray:
    """Weights [side, length] of the rows that there are in those that are wanted."""
    scale = length / side
    matrix = np.zeros((side, length))
    for row in range(side):
        centre = (row + 0.5) * scale
        if antialias:
            width = max(scale, 1.0)
            first = max(int(centre - 2 * width + 0.5), 0)
            taps = np.arange(first, min(int(centre + 2 * width + 0.5), length))
            weights = _kernel((taps + 0.5 - centre) / width, -0.5)
        else:
            taps = int(np.floor(centre - 0.5)) + np.arange(-1, 3)
            weights = _kernel(taps + 0.5 - centre, -0.75)
        np.add.at(matrix[row], taps.clip(0, length - 1), weights / weights.sum())
    return matrix


def _kernel(distance: np.ndarray, a: float) -> np.ndarray:
    """Keys' cubic kernel, 0 from a distance of 2 on."""
    x = np.abs(distance)
    near = ((a + 2) * x - (a + 3)) * x**2 + 1
    far = (((x - 5) * x + 8) * x - 4) * a
    return np.where(x < 1, near, np.where(x < 2, far, 0.0))
