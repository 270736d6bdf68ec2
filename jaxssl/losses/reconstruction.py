"""Reconstruction losses: regress the values of masked patches, or of pixels.

Patches are [B, N, P], masks [B, N], images [B, H, W, C]; values are per example, local, float32
(float64 for float64 input), and no example looks at another, so there is no ``axis_name``.
"""

from collections.abc import Callable

import jax.numpy as jnp

from jaxssl.losses import checks, numerics
from jaxssl.types import Array


def masked_mse(prediction: Array, target: Array, mask: Array) -> Array:
    """Mean squared error of the masked patches, of each example.

        value_b = sum_n mask_bn mean_p (prediction_bnp - target_bnp)^2 / sum_n mask_bn

    An empty mask gives 0. What stands at a patch outside the mask never matters, NaN included, in
    value or gradient. The official MAE code divides by the masked patches of the whole batch:
    equal to the mean of these values where every example masks equally many patches, as MAE does.

    Args:
        prediction: [B, N, P] floating.
        target: [B, N, P] floating, in the same patch order.
        mask: [B, N] bool, integer or floating; 1 = priced, 0 = left out (what lies between
            weighs in proportion).

    Returns:
        [B], local, per example, float32 or wider, at least 0.

    Raises:
        TypeError: prediction or target not floating.
        ValueError: a wrong rank or unequal shapes.

    Source: He et al.: Masked Autoencoders Are Scalable Vision Learners, 2021, arXiv 2111.06377,
    section 3.
    """
    return _masked_mean("masked_mse", jnp.square, prediction, target, mask)


def masked_smooth_l1(prediction: Array, target: Array, mask: Array, *, beta: float = 1.0) -> Array:
    """Smooth L1 distance of the masked patches, of each example: quadratic where it is small.

        value_b = sum_n mask_bn mean_p s(prediction_bnp - target_bnp) / sum_n mask_bn
        s(e) = e^2 / (2 beta) where |e| < beta, else |e| - beta / 2

    With ``beta`` 0 it is the absolute error. What is said of the mask in ``masked_mse`` holds.

    Args:
        prediction: [B, N, P] floating.
        target: [B, N, P] floating, in the same patch order.
        mask: [B, N] bool, integer or floating; 1 = priced, 0 = left out.
        beta: error above which it is linear, at least 0, in units of the target.

    Returns:
        [B], local, per example, float32 or wider, at least 0.

    Raises:
        TypeError: prediction or target not floating.
        ValueError: a wrong rank, unequal shapes, or ``beta`` below 0.

    Source: Girshick: Fast R-CNN, 2015, arXiv 1504.08083, eq. 3; with beta as in PyTorch's
    ``smooth_l1_loss``, which I-JEPA and data2vec call; absolute errors: Xie et al.: SimMIM, 2021,
    arXiv 2111.09886, eq. 1.
    """
    if beta < 0:
        raise ValueError(
            f"masked_smooth_l1: beta must be at least 0; got {beta}. Use 0 for absolute errors."
        )

    def distance(error: Array) -> Array:
        size = error * jnp.sign(error)  # its derivative at 0 is 0; that of ``jnp.abs`` is 1
        if beta == 0:
            return size
        return jnp.where(size < beta, jnp.square(error) / (2 * beta), size - beta / 2)

    return _masked_mean("masked_smooth_l1", distance, prediction, target, mask)


def weighted_mse(prediction: Array, target: Array, weights: Array) -> Array:
    """Mean squared error of an image's priced pixels, each with a weight of its own.

        value_b = sum_hw weights_bhw mean_c (prediction_bhwc - target_bhwc)^2 / #{weights_bhw > 0}

    It divides by the number of priced pixels, not by the sum of their weights: a pixel of weight 10
    counts ten times, as in the official code of context encoders. Weights of one give the plain
    mean squared error. No priced pixel gives 0; what stands at a pixel of weight 0 never matters,
    NaN included, in value or gradient.

    Args:
        prediction: [B, H, W, C] floating.
        target: [B, H, W, C] floating.
        weights: [B, H, W] floating, at least 0; 0 = left out.

    Returns:
        [B], local, per example, float32 or wider, at least 0.

    Raises:
        TypeError: an array not floating.
        ValueError: a wrong rank or unequal shapes.

    Source: Pathak et al.: Context Encoders: Feature Learning by Inpainting, 2016, arXiv
    1604.07379, eq. 1; weights of the overlap: section 4.1.
    """
    checks.axes("weighted_mse", "B H W C", prediction=prediction, target=target)
    checks.equal_shapes("weighted_mse", prediction=prediction.shape, target=target.shape)
    checks.equal_shapes("weighted_mse", pixels=prediction.shape[:3], weights=weights.shape)
    checks.floating("weighted_mse", prediction=prediction, target=target, weights=weights)
    prediction, target, weights = numerics.at_least_float32(prediction, target, weights)
    is_priced = weights > 0
    error = jnp.where(is_priced[..., None], prediction - target, 0)
    per_pixel = jnp.mean(jnp.square(error), axis=-1)
    count = jnp.sum(is_priced, axis=(1, 2)).astype(error.dtype)
    return jnp.sum(weights * per_pixel, axis=(1, 2)) / jnp.maximum(count, 1)


def normalize_patches(patches: Array, *, epsilon: float = 1e-6) -> Array:
    """Gives every patch mean 0 and variance 1: the target MAE regresses best.

        (x - mean(x)) / sqrt(var(x) + epsilon)    over the P values of each patch

    The variance is the unbiased one (divided by P - 1), as in the official code. The paper says
    "standard deviation of all pixels in a patch" without naming the divisor; with the biased one
    targets are sqrt(P / (P - 1)) larger, 0.07 % for P = 768.

    Args:
        patches: [..., P] floating, P at least 2.
        epsilon: added to the variance, so that a constant patch becomes 0.

    Returns:
        [..., P], float32 or wider.

    Raises:
        TypeError: patches not floating.
        ValueError: fewer than 2 values in a patch.

    Source: He et al.: Masked Autoencoders Are Scalable Vision Learners, 2021, arXiv 2111.06377,
    section 3, "Reconstruction target".
    """
    checks.floating("normalize_patches", patches=patches)
    if patches.ndim < 1 or patches.shape[-1] < 2:
        raise ValueError(
            "normalize_patches: patches must be [..., P] with P of at least 2; "
            f"got shape {patches.shape}. Put the values of one patch on the last axis."
        )
    (patches,) = numerics.at_least_float32(patches)
    centred = patches - jnp.mean(patches, axis=-1, keepdims=True)
    variance = jnp.sum(jnp.square(centred), axis=-1, keepdims=True) / (patches.shape[-1] - 1)
    return centred / jnp.sqrt(variance + epsilon)


def _masked_mean(
    caller: str,
    distance: Callable[[Array], Array],
    prediction: Array,
    target: Array,
    mask: Array,
) -> Array:
    """Mean of a distance of errors over the values of masked patches, [B]."""
    checks.axes(caller, "B N P", prediction=prediction, target=target)
    checks.equal_shapes(caller, prediction=prediction.shape, target=target.shape)
    checks.equal_shapes(caller, patches=prediction.shape[:2], mask=mask.shape)
    checks.floating(caller, prediction=prediction, target=target)
    prediction, target = numerics.at_least_float32(prediction, target)
    weight = mask.astype(prediction.dtype)
    error = jnp.where((weight != 0)[:, :, None], prediction - target, 0)
    per_patch = jnp.mean(distance(error), axis=2)
    total = jnp.sum(weight, axis=1)
    return jnp.sum(weight * per_patch, axis=1) / jnp.where(total == 0, 1, total)
