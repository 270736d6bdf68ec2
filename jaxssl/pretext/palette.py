"""A few colours that stand for all: clusters of a data set's pixels, whose numbers are words."""

import warnings

import jax.numpy as jnp
import numpy as np
import scipy.cluster.vq

from jaxssl import checks
from jaxssl.types import Array

NUM_PIXELS = 100_000  # that clusters are made of
NUM_ITERATIONS = 20


def fit(images: np.ndarray, num_clusters: int, *, seed: int = 0) -> np.ndarray:
    """The clusters of pixels that k-means finds, from a k-means++ start.

    A cluster that no pixel is nearest to stays where it was.

    Args:
        images: uint8 [N, H, W, C]; of more than ``NUM_PIXELS`` pixels as many are drawn.
        num_clusters: M.
        seed: of the start, and of the pixels drawn.

    Returns:
        float64 [M, C] in [0, 1], from dark to bright.

    Raises:
        ValueError: ``num_clusters`` below 2, or fewer different colours than clusters.

    Source: Chen et al., Generative Pretraining from Pixels, 2020, section 3.1 ("9-bit color
        palette").
    """
    checks.at_least("palette.fit", 2, num_clusters=num_clusters, fix="The paper has 512.")
    generator = np.random.default_rng(seed)
    pixels = images.reshape(-1, images.shape[-1])
    if len(pixels) > NUM_PIXELS:
        pixels = pixels[generator.choice(len(pixels), NUM_PIXELS, replace=False)]
    num_colors = len(np.unique(pixels, axis=0))
    if num_colors < num_clusters:
        raise ValueError(
            f"palette.fit: num_clusters must be at most the number of different colours of the "
            f"images; got {num_clusters} clusters of {num_colors} colours. Lower it."
        )
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "One of the clusters is empty")
        clusters, _ = scipy.cluster.vq.kmeans2(
            pixels / 255, num_clusters, iter=NUM_ITERATIONS, minit="++", rng=generator
        )
    return clusters[np.argsort(clusters.sum(axis=1), kind="stable")]


def nearest(image: Array, clusters: Array) -> Array:
    """The cluster nearest to each pixel; of equally near ones the first.

    Args:
        image: float32 [H, W, C].
        clusters: float32 [M, C].

    Returns:
        int32 [H · W], raster order, in 0 ... M - 1.
    """
    pixels = image.reshape(-1, image.shape[-1])
    distances = jnp.sum(jnp.square(pixels[:, None] - clusters[None]), axis=-1)
    return jnp.argmin(distances, axis=-1).astype(jnp.int32)


def paint(words: Array, clusters: Array, size: int) -> Array:
    """Square images [..., S, S, C] of numbers of clusters [..., S · S], as ``nearest`` gives."""
    return clusters[words].reshape(*words.shape[:-1], size, size, clusters.shape[-1])
