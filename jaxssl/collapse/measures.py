"""How far a representation has collapsed: numbers to watch beside the loss.

A joint-embedding loss can fall while the encoder forgets its input; these show it. Every function
takes this device's rows and gives one float32 number for the GLOBAL batch, equal on all devices,
through ``axis_name``. They are measurements: no gradient flows through them. Rows have any scale
and are L2-normalised inside, except in ``effective_rank`` and ``spectral_decay``.

| what | collapsed | healthy |
|---|---|---|
| ``feature_std`` | 0 | about 1 / sqrt(D) |
| ``effective_rank`` | 1 | towards D |
| ``spectral_decay`` | far above 1 | near 1 |
| ``alignment`` | 0 as well, so read it with ``uniformity`` | small |
| ``uniformity`` | 0 | towards -4, lower is more uniform |
| ``usage_entropy`` | 0 | towards log M |
| ``neighbour_distance`` | 0 | far from 0 |
"""

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxssl import collectives
from jaxssl.losses import checks, neighbours, numerics, similarity
from jaxssl.types import Array

PREFIX = "collapse/"  # of the names of these numbers in a row of metrics
FIRST, LAST = 4, 100  # ranks of the eigenvalues that a power law is fitted to


def feature_std(features: Array, *, axis_name: str | None = None) -> Array:
    """Standard deviation of each feature of the unit rows, mean over features.

        value = mean_d std_b( x_bd / ||x_b|| )      (divided by G)

    Args:
        features: [B, D] floating.
        axis_name: device axis, or None.

    Returns:
        Scalar, equal on all devices, float32 or wider, 0 to 1 / sqrt(D).

    Raises:
        TypeError: features not floating.
        ValueError: a wrong rank.

    Source: Chen, He: Exploring Simple Siamese Representation Learning, 2020, arXiv 2011.10566,
    section 4.1.
    """
    rows = _unit_rows("feature_std", features)
    mean = collectives.pmean(jnp.mean(rows, axis=0), axis_name)
    variance = collectives.pmean(jnp.mean(jnp.square(rows - mean[None]), axis=0), axis_name)
    return jnp.mean(jnp.sqrt(variance))


def effective_rank(
    features: Array, *, epsilon: float = 1e-7, axis_name: str | None = None
) -> Array:
    """RankMe: the number of directions that the features of the global batch use.

        p_k = sigma_k / sum_j sigma_j + epsilon,   value = exp( -sum_k p_k log p_k )

    sigma are the singular values of the [G, D] matrix, neither centred nor normalised. They are
    taken of the gathered rows: those of the Gram matrix would lose half their digits, and noise
    of 3e-4 in each of many directions passes for rank.

    Args:
        features: [B, D] floating; the paper takes the projector's outputs, G a few thousand.
        epsilon: above 0.
        axis_name: device axis, or None.

    Returns:
        Scalar, equal on all devices, float32 or wider, from about 1 to min(G, D).

    Raises:
        TypeError: features not floating.
        ValueError: a wrong rank, or epsilon not above 0.

    Source: Garrido et al.: RankMe: Assessing the Downstream Performance of Pretrained
    Self-Supervised Representations by Their Rank, 2022, arXiv 2210.02885, eq. 1.
    """
    checks.axes("effective_rank", "B D", features=features)
    checks.floating("effective_rank", features=features)
    checks.above_zero("effective_rank", epsilon=epsilon)
    (rows,) = lax.stop_gradient(numerics.at_least_float32(features))
    values = jnp.linalg.svd(collectives.all_gather(rows, axis_name), compute_uv=False)
    total = jnp.sum(values)
    share = values / jnp.where(total == 0, 1, total) + epsilon
    return collectives.pmean(jnp.exp(-jnp.sum(share * jnp.log(share))), axis_name)


def spectral_decay(
    features: Array, *, first: int = FIRST, last: int = LAST, axis_name: str | None = None
) -> Array:
    """alpha-ReQ: the exponent of the power law that the spectrum of the covariance follows.

        lambda_k ~ k^-value:  the slope, with its sign changed, of log lambda_k by log k, by least
        squares with weights 1 / k, k = first .. min(last, G - 1, D)

    lambda_1 >= lambda_2 >= ... are the eigenvalues of the covariance of the rows. Near 1 a
    representation is smooth and yet high-dimensional; far above, few directions hold everything.
    What lies below the rounding of floats counts as that, so that a spectrum that ends within the
    ranks falls steeply; of one that ends before them the value is 0: ``effective_rank`` tells it.

    Args:
        features: [B, D] floating.
        first: lowest rank of the fit, at least 1.
        last: highest rank of the fit.
        axis_name: device axis, or None.

    Returns:
        Scalar, equal on all devices, float32 or wider, at least 0.

    Raises:
        TypeError: features not floating.
        ValueError: a wrong rank, or fewer than two eigenvalues to fit; see ``has_spectrum``.

    Source: Agrawal et al.: alpha-ReQ: Assessing Representation Quality in Self-Supervised Learning
    by Measuring Eigenspectrum Decay, 2022. Weights as in kumarkrishna/fastssl, utils/powerlaw.py
    (after Stringer et al. 2019), whose scripts begin with rank 4 and end with 50 or 100.
    """
    checks.axes("spectral_decay", "B D", features=features)
    checks.floating("spectral_decay", features=features)
    (rows,) = lax.stop_gradient(numerics.at_least_float32(features))
    rows = collectives.all_gather(rows, axis_name)
    if not has_spectrum(*rows.shape, first=first, last=last):
        raise ValueError(
            f"spectral_decay: at least two eigenvalues must have ranks {first} to {last}; got "
            f"features of shape {rows.shape}. Use more rows, or a lower first."
        )
    values = jnp.linalg.svd(rows - jnp.mean(rows, axis=0)[None], compute_uv=False)
    noise = max(rows.shape) * jnp.finfo(rows.dtype).eps  # of the largest, as a rank is judged by
    values = jnp.maximum(values, noise * values[0])
    values = jnp.where(values == 0, 1, values)
    ranks = np.arange(first, min(last, len(rows) - 1, rows.shape[1]) + 1)
    weights = 1 / ranks / np.sum(1 / ranks)
    log_ranks = np.log(ranks) - np.sum(weights * np.log(ranks))
    slope = weights * log_ranks / np.sum(weights * np.square(log_ranks))
    # An eigenvalue is the square of a singular value, whose factor does not change a slope.
    log_values = 2 * jnp.log(values[first - 1 : ranks[-1]])
    return collectives.pmean(-jnp.sum(jnp.asarray(slope, rows.dtype) * log_values), axis_name)


def has_spectrum(num_rows: int, num_features: int, *, first: int = FIRST, last: int = LAST) -> bool:
    """Whether ``spectral_decay`` has two eigenvalues or more to fit.

    Args:
        num_rows: G.
        num_features: D.
        first: see ``spectral_decay``.
        last: see ``spectral_decay``.
    """
    return min(last, num_rows - 1, num_features) > first


def alignment(view_a: Array, view_b: Array, *, axis_name: str | None = None) -> Array:
    """Mean squared distance of the two views of an example, on the unit sphere.

        value = mean_b || a_b / ||a_b|| - b_b / ||b_b|| ||^2

    Args:
        view_a: [B, D] floating.
        view_b: [B, D] floating, row i belonging to row i.
        axis_name: device axis, or None.

    Returns:
        Scalar, equal on all devices, float32 or wider, 0 to 4.

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: a wrong rank or unequal shapes.

    Source: Wang, Isola: Understanding Contrastive Representation Learning through Alignment and
    Uniformity on the Hypersphere, 2020, arXiv 2005.10242, section 4.1.1, with alpha = 2.
    """
    checks.axes("alignment", "B D", view_a=view_a, view_b=view_b)
    values = similarity.cosine_regression(view_a, view_b)
    return collectives.pmean(jnp.mean(lax.stop_gradient(values)), axis_name)


def uniformity(features: Array, *, t: float = 2.0, axis_name: str | None = None) -> Array:
    """How evenly the rows spread over the unit sphere: log of their mean Gaussian potential.

        value = log mean_{i != j} exp( -t || x_i - x_j ||^2 )

    Args:
        features: [B, D] floating.
        t: above 0.
        axis_name: device axis, or None.

    Returns:
        Scalar, equal on all devices, float32 or wider, -4 t to 0.

    Raises:
        TypeError: features not floating.
        ValueError: a wrong rank, t not above 0, or a global batch of one.

    Source: Wang, Isola, 2020, arXiv 2005.10242, section 4.1.2.
    """
    checks.above_zero("uniformity", t=t)
    rows = _unit_rows("uniformity", features)
    num_rows = rows.shape[0] * collectives.axis_size(axis_name)
    checks.global_batch("uniformity", num_rows, 2)
    columns = collectives.all_gather(rows, axis_name)
    products = jnp.matmul(rows, columns.T, precision=lax.Precision.HIGHEST)
    own, others = (jnp.sum(jnp.square(side), axis=1) for side in (rows, columns))
    exponent = -t * (own[:, None] + others[None] - 2 * products)
    position = collectives.axis_index(axis_name) * rows.shape[0] + jnp.arange(rows.shape[0])
    is_self = position[:, None] == jnp.arange(num_rows)[None]
    total = jax.nn.logsumexp(jnp.where(is_self, -jnp.inf, exponent))
    total = jax.nn.logsumexp(collectives.all_gather(total[None], axis_name))
    count = jnp.asarray(num_rows * (num_rows - 1), total.dtype)
    return collectives.pmean(total - jnp.log(count), axis_name)


def usage_entropy(probabilities: Array, *, axis_name: str | None = None) -> Array:
    """Entropy of the mean assignment: whether all prototypes are in use.

        value = -sum_m u_m log u_m,   u = mean_b probabilities_b

    exp(value) is the number of prototypes in use. One-hot rows give the entropy of the counts.

    Args:
        probabilities: [B, M] floating, rows that sum to 1.
        axis_name: device axis, or None.

    Returns:
        Scalar, equal on all devices, in nats, float32 or wider, 0 to log M.

    Raises:
        TypeError: probabilities not floating.
        ValueError: a wrong rank.
    """
    checks.axes("usage_entropy", "B M", probabilities=probabilities)
    checks.floating("usage_entropy", probabilities=probabilities)
    (probabilities,) = lax.stop_gradient(numerics.at_least_float32(probabilities))
    usage = collectives.pmean(jnp.mean(probabilities, axis=0), axis_name)
    return jnp.sum(jax.scipy.special.entr(usage))


def neighbour_distance(features: Array, *, axis_name: str | None = None) -> Array:
    """Mean distance of each row to the nearest other row, on the unit sphere.

    Args:
        features: [B, D] floating.
        axis_name: device axis, or None.

    Returns:
        Scalar, equal on all devices, float32 or wider, 0 to 2. It depends on G: compare runs of
        equal global batch.

    Raises:
        TypeError: features not floating.
        ValueError: a wrong rank, or a global batch of one.
    """
    distances = neighbours.nearest_distances("neighbour_distance", features, axis_name=axis_name)
    return collectives.pmean(jnp.mean(lax.stop_gradient(distances)), axis_name)


def _unit_rows(function: str, features: Array) -> Array:
    checks.axes(function, "B D", features=features)
    checks.floating(function, features=features)
    return lax.stop_gradient(numerics.unit_rows(*numerics.at_least_float32(features)))
