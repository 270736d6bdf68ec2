"""Losses of one pair of vectors: no negatives, and no example looks at another.

What keeps such a loss from its trivial answer (a target network, a stopped gradient, a predictor)
is the caller's affair.
"""

import jax.numpy as jnp

from jaxssl.losses import checks, numerics
from jaxssl.types import Array


def cosine_regression(prediction: Array, target: Array) -> Array:
    """Squared distance of two L2-normalised vectors.

        value = || p / ||p|| - t / ||t|| ||^2 = 2 - 2 cos(p, t)

    Evaluated as the squared distance, which keeps its relative precision where the two nearly
    agree. Both arguments receive gradients: BYOL and SimSiam stop that of the target, as in
    ``cosine_regression(prediction, jax.lax.stop_gradient(target))``, and average over the two
    ways round. SimSiam prints the negative cosine, which is value / 2 - 1.

    Args:
        prediction: [..., D] floating, of any scale; usually [B, D].
        target: [..., D] floating, of any scale, paired by position.

    Returns:
        [...], local, per example, float32 or wider, from 0 (same direction) to 4 (opposite).
        A zero vector is orthogonal to everything: 2, with a zero gradient.

    Raises:
        TypeError: a dtype that is not floating.
        ValueError: unequal shapes, or no axis of features.

    Source: Grill et al.: Bootstrap Your Own Latent, 2020, arXiv 2006.07733, eq. 2; Chen, He:
    Exploring Simple Siamese Representation Learning, 2020, arXiv 2011.10566, eq. 1.
    """
    checks.floating("cosine_regression", prediction=prediction, target=target)
    if prediction.ndim < 1:
        raise ValueError(
            f"cosine_regression: prediction must be [..., D]; got shape {prediction.shape}. "
            "Put the features on the last axis."
        )
    checks.equal_shapes("cosine_regression", prediction=prediction.shape, target=target.shape)
    prediction, target = numerics.at_least_float32(prediction, target)
    prediction, target = numerics.unit_rows(prediction), numerics.unit_rows(target)
    num_zero = sum(jnp.all(rows == 0, axis=-1).astype(rows.dtype) for rows in (prediction, target))
    return jnp.sum(jnp.square(prediction - target), axis=-1) + num_zero
