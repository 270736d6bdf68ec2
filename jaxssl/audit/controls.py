"""Images without content but with the statistics of real ones: who still answers, cheats.

Each function takes a generator and images uint8 [B, H, W, C] and gives images of the same shape and
type. They replace the data set's images BEFORE a method makes its views, so that whatever the
views add or leave (gaps, fills, interpolation) is still there. ``TABLE`` names them.
"""

from collections.abc import Callable
from typing import NamedTuple

import numpy as np

_CELLS = 4  # along each side of a shuffled image


class Control(NamedTuple):
    """One kind of content-free image.

    Attributes:
        make: (generator, images) to images.
        share: of the network's skill on real images that counts as a shortcut if it survives; 0
            where nothing may survive.
        sentence: what is kept.
    """

    make: Callable[[np.random.Generator, np.ndarray], np.ndarray]
    share: float
    sentence: str


def phase_scrambled(rng: np.random.Generator, images: np.ndarray) -> np.ndarray:
    """Images with random Fourier phases: texture and orientation stay, objects go.

    The mean is taken off, a Hann window takes off the borders (their jump, seen as periodic, would
    put a cross into the spectrum), and the phases of one white-noise image are added to those of
    all channels alike, so that the amplitude spectrum and the covariance of the channels stay.
    Contrast is brought back to that of the image by one factor.

    Args:
        rng: NumPy generator.
        images: uint8 [B, H, W, C].

    Returns:
        uint8 [B, H, W, C], clipped to [0, 255].
    """
    centred, mean = _centred(images)
    spectrum = np.fft.fft2(centred * _window(images.shape), axes=(1, 2))
    noise = np.fft.fft2(rng.standard_normal(images.shape[:3]), axes=(1, 2))
    turned = spectrum * np.exp(1j * np.angle(noise))[..., None]
    return _finish(np.fft.ifft2(turned, axes=(1, 2)).real, centred, mean)


def isotropic_texture(rng: np.random.Generator, images: np.ndarray) -> np.ndarray:
    """Noise with the radial spectrum and the colour covariance of each image, nothing else.

    White noise is given the amplitudes of the image, averaged over all directions (rings of one
    frequency step) and channels, and coloured by a square root of the covariance of the channels.
    Unlike ``phase_scrambled`` it prefers no orientation: turned, it is as likely as before.

    Args:
        rng: NumPy generator.
        images: uint8 [B, H, W, C].

    Returns:
        uint8 [B, H, W, C], clipped to [0, 255].
    """
    centred, mean = _centred(images)
    _, height, width, channels = images.shape
    power = np.abs(np.fft.fft2(centred * _window(images.shape), axes=(1, 2))) ** 2
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.fftfreq(width)[None])
    ring = np.rint(frequency * max(height, width)).astype(int).ravel()
    power = power.mean(axis=-1).reshape(len(images), -1)
    sums = np.stack([np.bincount(ring, weights=row) for row in power])
    amplitude = np.sqrt(sums / np.bincount(ring))[:, ring].reshape(-1, height, width, 1)
    noise = rng.standard_normal(images.shape)
    white = np.fft.ifft2(np.fft.fft2(noise, axes=(1, 2)) * amplitude, axes=(1, 2)).real
    flat = centred.reshape(len(images), -1, channels)
    values, vectors = np.linalg.eigh(np.einsum("bnc,bnd->bcd", flat, flat))
    root = vectors * np.sqrt(np.maximum(values, 0))[:, None]  # [B, C, C]
    return _finish(np.einsum("bhwd,bcd->bhwc", white, root), centred, mean)


def patch_shuffled(rng: np.random.Generator, images: np.ndarray) -> np.ndarray:
    """Images cut into 4 × 4 cells that change places: local structure stays, the whole goes.

    Rows and columns that do not fill a cell stay where they are.

    Args:
        rng: NumPy generator.
        images: uint8 [B, H, W, C], H and W at least 4.

    Returns:
        uint8 [B, H, W, C].
    """
    batch, height, width, channels = images.shape
    tall, wide = height // _CELLS, width // _CELLS
    inner = images[:, : _CELLS * tall, : _CELLS * wide]
    cells = inner.reshape(batch, _CELLS, tall, _CELLS, wide, channels).swapaxes(2, 3)
    cells = cells.reshape(batch, _CELLS**2, tall, wide, channels)
    order = rng.permuted(np.tile(np.arange(_CELLS**2), (batch, 1)), axis=1)
    cells = np.take_along_axis(cells, order[:, :, None, None, None], axis=1)
    cells = cells.reshape(batch, _CELLS, _CELLS, tall, wide, channels).swapaxes(2, 3)
    shuffled = images.copy()
    shuffled[:, : _CELLS * tall, : _CELLS * wide] = cells.reshape(inner.shape)
    return shuffled


# Orientation alone, which scrambling and shuffling keep, tells upright and upside-down pictures
# from lying ones: a skill of 1/3 in rotation prediction without any cheating. Hence half.
TABLE = {
    "phase-scrambled": Control(
        phase_scrambled, 0.5, "amplitude spectrum, orientation and colour covariance"
    ),
    "patch-shuffled": Control(patch_shuffled, 0.5, "sixteen cells of each image, in random order"),
    "isotropic texture": Control(
        isotropic_texture, 0.0, "radial spectrum and colour covariance; no content of any kind"
    ),
}


def _centred(images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    values = images.astype(np.float64)
    mean = values.mean(axis=(1, 2), keepdims=True)
    return values - mean, mean


def _window(shape: tuple[int, ...]) -> np.ndarray:
    _, height, width, _ = shape
    # Without its zeros at the ends, so that every pixel counts.
    rows, columns = (np.hanning(size + 2)[1:-1] for size in (height, width))
    return np.outer(rows, columns)[None, :, :, None]


def _finish(values: np.ndarray, centred: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Brings values to the contrast and mean of an image, all channels by one factor."""
    values = values - values.mean(axis=(1, 2), keepdims=True)
    have, want = (np.sqrt((v**2).mean(axis=(1, 2, 3), keepdims=True)) for v in (values, centred))
    values = values * (want / np.maximum(have, 1e-12)) + mean
    return np.clip(np.rint(values), 0, 255).astype(np.uint8)
