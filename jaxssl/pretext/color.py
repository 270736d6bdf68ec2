"""The classes of colour that a network is asked for: bins of ab, bins of L, clusters of ab.

Colours are in Lab units (``colorspace``). What is learned from a data set before a run, a prior and
clusters, is made in NumPy in float64: the same in every run.

Source of the bins, codes and weights: Zhang et al., Colorful Image Colorization, 2016,
arXiv:1603.08511.
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxssl import checks, colorspace
from jaxssl.pretext import gamut
from jaxssl.types import Array

NUM_LIGHTNESS_BINS = 50
LIGHTNESS_STEP = 2  # Lab units
_MAX_ITERATIONS = 100
_MAX_CLUSTERED = 50_000  # pixels


def sample_cells(images: Array, stride: int) -> Array:
    """One pixel of every square of ``stride`` x ``stride`` pixels, the one behind its middle.

    A mean would be greyer than its pixels. The official colorization code takes the first pixel of
    each square instead, which is half a square away from where a network's answer is.

    Args:
        images: [B, H, W, C].
        stride: pixels; divides H and W.

    Returns:
        [B, H / stride, W / stride, C].
    """
    return images[:, stride // 2 :: stride, stride // 2 :: stride]


def soft_ab(ab: Array, *, num_neighbours: int = 10, sigma: float = 5.0) -> Array:
    """The soft code of each colour: a Gaussian over its nearest bins.

    code_q = exp(-|ab - c_q|^2 / (2 sigma^2)) for the nearest bins c_q, zero for the others, divided
    by its sum. Bins that are equally far are all taken. The paper's text has 5 neighbours, its code
    10.

    Args:
        ab: floating [..., 2], Lab units.
        num_neighbours: how many bins share a colour, 1 to 313.
        sigma: width of the Gaussian, Lab units.

    Returns:
        float32 [..., 313] that sums to 1.

    Raises:
        ValueError: ``ab`` is not of 2 channels, or an argument out of range.

    Source: Zhang et al. 2016, sec. 2.1.
    """
    _check_ab("soft_ab", ab)
    fix = "The official code has 10 neighbours and sigma 5."
    checks.in_range("soft_ab", 1, gamut.NUM_AB_BINS, num_neighbours=num_neighbours, fix=fix)
    checks.above("soft_ab", 0, sigma=sigma, fix=fix)
    distances = _squared_distances(ab)
    farthest = _smallest(distances, num_neighbours)
    # Relative to the nearest, so that a colour far out of gamut still has a code.
    exponents = (jnp.min(distances, axis=-1, keepdims=True) - distances) / (2 * sigma**2)
    weights = jnp.where(distances <= farthest, jnp.exp(exponents), 0)
    return weights / jnp.sum(weights, axis=-1, keepdims=True)


def hard_ab(ab: Array) -> Array:
    """The nearest bin of each colour.

    Args:
        ab: floating [..., 2], Lab units.

    Returns:
        int32 [...] in 0 ... 312, the row of ``gamut.ab_bins``.

    Raises:
        ValueError: ``ab`` is not of 2 channels.
    """
    _check_ab("hard_ab", ab)
    return jnp.argmin(_squared_distances(ab), axis=-1).astype(jnp.int32)


def lightness_bin(lightness: Array) -> Array:
    """The bin of L: min(floor(L / 2), 49).

    Args:
        lightness: floating [...], L in [0, 100].

    Returns:
        int32 [...] in 0 ... 49.

    Source: Zhang et al., Split-Brain Autoencoders, 2017, arXiv:1611.09842, sec. 3.2.
    """
    index = jnp.floor(lightness / LIGHTNESS_STEP).astype(jnp.int32)
    return jnp.clip(index, 0, NUM_LIGHTNESS_BINS - 1)


def lightness_of_bin(index: Array) -> Array:
    """The middle of a bin of L, float32 in [1, 99], of an index from ``lightness_bin``."""
    return (index.astype(jnp.float32) + 0.5) * LIGHTNESS_STEP


def annealed_mean(logits: Array, *, temperature: float = 0.38) -> Array:
    """One colour of a predicted distribution: the mean of the bins after sharpening.

    ab = sum_q softmax(logits / T)_q c_q: the mean of the distribution at T = 1, its mode as T falls
    to 0.

    Args:
        logits: floating [..., 313].
        temperature: T, above 0, unitless.

    Returns:
        float32 [..., 2], a and b in Lab units.

    Raises:
        ValueError: logits not of 313 bins, or a temperature that is not above 0.

    Source: Zhang et al. 2016, eq. 5.
    """
    if logits.shape[-1:] != (gamut.NUM_AB_BINS,) or temperature <= 0:
        raise ValueError(
            f"annealed_mean: logits must be [..., {gamut.NUM_AB_BINS}] and temperature above 0; "
            f"got shape {logits.shape} and {temperature}. The paper's temperature is 0.38."
        )
    weights = jax.nn.softmax(logits.astype(jnp.float32) / temperature, axis=-1)
    bins = jnp.asarray(gamut.ab_bins(), jnp.float32)
    return jnp.einsum("...q,qc->...c", weights, bins, precision=lax.Precision.HIGHEST)


def ab_prior(images: np.ndarray, *, num_neighbours: int = 10, sigma: float = 5.0) -> np.ndarray:
    """How often each bin is the nearest one to a pixel of a data set, smoothed.

    The histogram of the nearest bins, in which each bin gives its share to its neighbours by the
    soft code of its own centre; the paper smooths by the same Gaussian over all bins. Bins that no
    colour comes near keep a prior of exactly 0.

    Args:
        images: uint8 [N, H, W, 3].
        num_neighbours: as in ``soft_ab``.
        sigma: as in ``soft_ab``.

    Returns:
        float64 [313] that sums to 1.

    Raises:
        ValueError: images that are not uint8 [N, H, W, 3].

    Source: Zhang et al. 2016, sec. 2.2.
    """
    _check_images("ab_prior", images)
    bins = gamut.ab_bins()
    # The nearest multiple of the grid is a corner of the cell, so that each colour's is a bin.
    low, high = (
        bins.min(axis=0).astype(int) // gamut.GRID,
        bins.max(axis=0).astype(int) // gamut.GRID,
    )
    histogram = np.zeros(high - low + 1)
    for image in images:
        ab = colorspace.rgb_to_lab(image / 255.0)[..., 1:].reshape(-1, 2)
        nearest = np.rint(ab / gamut.GRID).astype(int) - low
        np.add.at(histogram, tuple(nearest.T), 1)
    histogram = histogram[tuple((bins.astype(int) // gamut.GRID - low).T)]
    distances = np.sum(np.square(bins[:, None] - bins), axis=-1)
    farthest = np.sort(distances, axis=-1)[:, num_neighbours - 1, None]
    code = np.where(distances <= farthest, np.exp(-distances / (2 * sigma**2)), 0)
    smoothed = histogram @ (code / code.sum(axis=-1, keepdims=True))
    return smoothed / smoothed.sum()


def rebalancing_weights(prior: np.ndarray, *, uniform_share: float = 0.5) -> np.ndarray:
    """The weight of a pixel by its bin: rare colours count more.

    w_q = 1 / ((1 - lambda) p_q + lambda / Q), scaled so that sum_q p_q w_q = 1, Q being the number
    of bins whose prior is not 0, as in the official code. A bin without prior, should a pixel have
    it all the same, weighs as one whose prior is about to vanish.

    Args:
        prior: [313] that sums to 1, from ``ab_prior``.
        uniform_share: lambda, in [0, 1]: 0 weighs by the inverse prior, 1 all alike.

    Returns:
        float64 [313], above 0.

    Raises:
        ValueError: a prior of another shape, or a share out of range (0 where a bin has no prior).

    Source: Zhang et al. 2016, eq. 4.
    """
    prior = np.asarray(prior, np.float64)
    if prior.shape != (gamut.NUM_AB_BINS,):
        raise ValueError(
            f"rebalancing_weights: prior must be [{gamut.NUM_AB_BINS}]; got shape {prior.shape}. "
            "Make it with ab_prior."
        )
    if not 0 <= uniform_share <= 1 or (uniform_share == 0 and np.any(prior == 0)):
        raise ValueError(
            "rebalancing_weights: uniform_share must be in [0, 1], and above 0 where a bin has no "
            f"prior; got {uniform_share}. The paper's is 0.5."
        )
    uniform = 1 / np.count_nonzero(prior)
    weights = 1 / ((1 - uniform_share) * prior + uniform_share * uniform)
    return weights / np.sum(prior * weights)


def ab_clusters(images: np.ndarray, num_clusters: int, seed: int) -> np.ndarray:
    """Clusters of the colours of a data set: k-means of ab from a k-means++ start.

    At most 50,000 evenly spaced pixels are clustered, until no centre moves or 100 times.

    Args:
        images: uint8 [N, H, W, 3].
        num_clusters: M, how many.
        seed: of the start; the same seed gives the same clusters, bit for bit.

    Returns:
        float64 [M, 2], a and b of the centres in Lab units, ordered by a, then by b.

    Raises:
        ValueError: images that are not uint8 [N, H, W, 3], or fewer colours than clusters.

    Source: k-means++: Arthur and Vassilvitskii, 2007; colours as labels: Vondrick et al., Tracking
        Emerges by Colorizing Videos, 2018, arXiv:1806.09594, sec. 3.
    """
    _check_images("ab_clusters", images)
    pixels = images.reshape(-1, 3)
    pixels = pixels[:: -(-len(pixels) // _MAX_CLUSTERED)]
    # Grey pixels differ by the rounding of the matrix alone; they are one colour.
    ab = np.round(colorspace.rgb_to_lab(pixels / 255.0)[:, 1:], 1)
    num_colors = len(np.unique(ab, axis=0))
    fix = "The images have no more colors. Are they grey?"
    checks.in_range("ab_clusters", 1, num_colors, num_clusters=num_clusters, fix=fix)
    generator = np.random.default_rng(seed)
    centres = ab[generator.integers(len(ab))][None]
    while len(centres) < num_clusters:
        distances = np.min(_distances_to(ab, centres), axis=-1)
        chosen = generator.choice(len(ab), p=distances / distances.sum())
        centres = np.concatenate([centres, ab[chosen][None]])
    for _ in range(_MAX_ITERATIONS):
        nearest = np.argmin(_distances_to(ab, centres), axis=-1)
        counts = np.bincount(nearest, minlength=num_clusters)
        sums = np.stack(
            [np.bincount(nearest, weights=ab[:, c], minlength=num_clusters) for c in (0, 1)], axis=1
        )
        # A centre that lost all its pixels stays where it is.
        moved = np.where(counts[:, None] > 0, sums / np.maximum(counts, 1)[:, None], centres)
        if np.array_equal(moved, centres):
            break
        centres = moved
    return centres[np.lexsort((centres[:, 1], centres[:, 0]))]


def _distances_to(ab: np.ndarray, centres: np.ndarray) -> np.ndarray:
    return np.sum(np.square(ab[:, None] - centres[None]), axis=-1)


def _smallest(values: Array, count: int) -> Array:
    """The ``count``-th smallest of the last axis, [..., 1]: a third of the time of a sort."""

    def next_larger(_, found: Array) -> Array:
        is_enough = jnp.sum(values <= found, axis=-1, keepdims=True, dtype=jnp.int32) >= count
        larger = jnp.min(jnp.where(values > found, values, jnp.inf), axis=-1, keepdims=True)
        return jnp.where(is_enough, found, larger)

    return lax.fori_loop(0, count, next_larger, jnp.full_like(values[..., :1], -jnp.inf))


def _squared_distances(ab: Array) -> Array:
    """Of every colour to every bin, float32 [..., 313]."""
    centres = jnp.asarray(gamut.ab_bins(), jnp.float32)
    centres = centres.reshape((1,) * (ab.ndim - 1) + centres.shape)
    return jnp.sum(jnp.square(ab.astype(jnp.float32)[..., None, :] - centres), axis=-1)


def _check_ab(function: str, ab: Array) -> None:
    if ab.shape[-1:] != (2,):
        raise ValueError(
            f"{function}: ab must be [..., 2]; got shape {ab.shape}. Drop L with lab[..., 1:]."
        )


def _check_images(function: str, images: np.ndarray) -> None:
    if images.dtype != np.uint8 or images.ndim != 4 or images.shape[-1] != 3:
        raise ValueError(
            f"{function}: images must be uint8 [N, H, W, 3]; got {images.dtype} {images.shape}. "
            "Set channels=3 in the data config, and use color images."
        )
