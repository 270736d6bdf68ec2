"""How evenly a batch uses the prototypes: a regulariser against answers that are all the same."""

import math

import jax
import jax.numpy as jnp

from jaxssl import collectives
from jaxssl.losses import checks, numerics
from jaxssl.losses.meshes import on_any_mesh
from jaxssl.types import Array


@on_any_mesh(per_example=False)
def mean_entropy(
    scores: Array, *, temperature: float | Array = 0.1, axis_name: str | None = None
) -> Array:
    """How far the mean answer is from using all prototypes alike, me-max.

        value = log M + sum_m p_m log p_m,   p = mean over examples and views of softmax(scores / T)

    Args:
        scores: [B, V, M] floating, cosines of V views with the prototypes.
        temperature: T, above 0, unitless; may be traced.
        axis_name: device axis, or None.

    Returns:
        Scalar, equal on all devices, in nats, float32 or wider, from 0, where all prototypes are
        used alike, to log M, where all answers are one and the same.

    Raises:
        TypeError: scores not floating.
        ValueError: a wrong rank, temperature not above 0.

    Source: Assran et al.: Masked Siamese Networks for Label-Efficient Learning, 2022, arXiv
    2204.07141, eq. 2 (its second term); src/losses.py of facebookresearch/msn, which adds log M.
    """
    checks.temperature("mean_entropy", temperature)
    checks.axes("mean_entropy", "B V M", scores=scores)
    checks.floating("mean_entropy", scores=scores)
    (scores,) = numerics.at_least_float32(scores)
    answers = jax.nn.softmax(scores / jnp.asarray(temperature, scores.dtype), axis=-1)
    mean = collectives.pmean(jnp.mean(answers, axis=(0, 1)), axis_name)
    return math.log(scores.shape[-1]) - jnp.sum(jax.scipy.special.entr(mean))
