"""Features that need no network: raw pixels, averaged down where there are many, and their PCA."""

from collections.abc import Iterable, Mapping

import numpy as np

from jaxssl.evaluation import features
from jaxssl.evaluation.features import FeatureSet

MAX_VALUES = 4096  # of an image: 64 x 64 grey, 36 x 36 in colour
PIXELS = "pooled"  # the name of the only layer, as it stands in the stamp of the encoder's
_EXACT_UP_TO = 1024  # features of which all eigenvectors are computed
_BLOCK = 4096  # rows that are held in float64 at a time
_OVERSAMPLING, _POWERS = 16, 6


def pixels(
    batches: Iterable[Mapping[str, np.ndarray]], *, num_examples: int, max_values: int = MAX_VALUES
) -> FeatureSet:
    """Pixels as features: float32 [N, values] in [0, 1], in raster order.

    Args:
        batches: as of ``features.extract``.
        num_examples: N, images of all batches.
        max_values: see ``averaged_down``.
    """
    values = np.empty((0, 0), np.float32)  # of the size of the first
    labels, done = [], 0
    for batch in batches:
        rows = averaged_down(batch["image"], max_values)
        rows = rows.reshape(len(rows), -1)
        if not done:
            values = np.empty((num_examples, rows.shape[1]), np.float32)
        np.divide(rows, np.float32(255), out=values[done : done + len(rows)])
        done += len(rows)
        labels.append(batch.get("label"))
    return FeatureSet({PIXELS: values}, features.join_labels(labels))


def averaging(height: int, width: int, channels: int, max_values: int) -> int:
    """Side of the smallest squares whose means leave at most ``max_values`` of an image; 1: all."""
    side = 1
    while (height // side) * (width // side) * channels > max_values:
        side += 1
    return side


def averaged_down(images: np.ndarray, max_values: int) -> np.ndarray:
    """Images averaged over squares, the smallest that leave at most ``max_values`` values each.

    A probe of all 150,528 values of 60,000 colour images of 224 x 224 pixels would read 36 GB.

    Args:
        images: uint8 [B, H, W, C].
        max_values: H' · W' · C of the result at most, at least C.

    Returns:
        uint8 [B, H', W', C], rounded to even; ``images`` themselves where they are small enough.
        Rows and columns that fill no square are left out.
    """
    count, height, width, channels = images.shape
    side = averaging(height, width, channels, max_values)
    if side == 1:
        return images
    rows, columns = height // side, width // side
    cut = images[:, : rows * side, : columns * side]
    cells = cut.reshape(count, rows, side, columns, side, channels).mean(axis=(2, 4))
    return np.rint(cells).astype(np.uint8)


def pca(train: FeatureSet, test: FeatureSet, num_components: int) -> tuple[FeatureSet, FeatureSet]:
    """Projects the pixels of both splits on the first principal components of the training split.

    The components are eigenvectors of the covariance, in float64, of a few thousand rows at a time.
    Of more than 1,024 features they are found by randomised subspace iteration instead: a Gaussian
    start of 16 dimensions more than asked for (seed 0), six powers with an orthonormal basis after
    each, and an exact solution inside that subspace.

    Args:
        train: what the components are fitted on, mean-centred.
        test: projected with the same mean and components.
        num_components: features of the result; at most as many as there are.

    Returns:
        Train and test features float32 [N, min(num_components, D)], by falling variance.

    Source: Halko et al., Finding Structure with Randomness, 2009, arXiv:0909.4061, alg. 4.4.
    """
    rows = train.layers[PIXELS]
    mean = rows.mean(axis=0, dtype=np.float64)
    components = _components(rows, mean, min(num_components, rows.shape[1]))

    def project(one: FeatureSet) -> FeatureSet:
        values = np.empty((len(one.layers[PIXELS]), components.shape[1]), np.float32)
        for part, block in _centred(one.layers[PIXELS], mean):
            values[part] = block @ components
        return FeatureSet({PIXELS: values}, one.labels)

    return project(train), project(test)


def _components(rows: np.ndarray, mean: np.ndarray, count: int) -> np.ndarray:
    """The first eigenvectors of the covariance, float64 [D, count], by falling eigenvalue."""
    size = rows.shape[1]
    basis = np.eye(size)
    if size > _EXACT_UP_TO:
        width = min(size, count + _OVERSAMPLING)
        basis = np.random.default_rng(0).normal(size=(size, width))
        for _ in range(_POWERS):
            basis, _ = np.linalg.qr(_covariance_times(rows, mean, np.linalg.qr(basis)[0]))
    _, vectors = np.linalg.eigh(basis.T @ _covariance_times(rows, mean, basis))
    return basis @ vectors[:, ::-1][:, :count]


def _covariance_times(rows: np.ndarray, mean: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Σ_n (x_n − mean) (x_n − mean)ᵀ basis."""
    return sum(block.T @ (block @ basis) for _, block in _centred(rows, mean))


def _centred(rows: np.ndarray, mean: np.ndarray) -> Iterable[tuple[slice, np.ndarray]]:
    """Blocks of rows minus the mean, in float64, and where they stand."""
    for start in range(0, len(rows), _BLOCK):
        part = slice(start, start + _BLOCK)
        yield part, rows[part] - mean
