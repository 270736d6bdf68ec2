"""Classification losses: what pretext tasks with a finite answer, and linear probes, minimise."""

import jax
import jax.numpy as jnp

from jaxssl.losses import checks, numerics
from jaxssl.types import Array


def cross_entropy(logits: Array, labels: Array, *, label_smoothing: float = 0.0) -> Array:
    """Softmax cross-entropy of integer labels.

        value = -sum_k t_k log softmax(logits)_k,   t = (1 - e) onehot(label) + e / K

    A label outside 0 ... K-1 gives NaN, rather than the price of a neighbouring class.

    Args:
        logits: [..., K] floating, unnormalised log-probabilities; usually [B, K].
        labels: [...] integers in 0 ... K-1, the leading axes of ``logits``.
        label_smoothing: e, in [0, 1).

    Returns:
        [...], local, per example, in nats, float32 or wider, at least 0.

    Raises:
        TypeError: logits not floating or labels not integers.
        ValueError: labels that do not have the leading axes of logits, label_smoothing outside
            [0, 1).

    Source: Szegedy et al.: Rethinking the Inception Architecture for Computer Vision, 2015,
    arXiv 1512.00567, section 7 (the smoothing).
    """
    checks.floating("cross_entropy", logits=logits)
    checks.integers("cross_entropy", labels=labels)
    if logits.ndim < 1:
        raise ValueError(
            f"cross_entropy: logits must be [..., K]; got shape {logits.shape}. "
            "Put the classes on the last axis."
        )
    checks.equal_shapes(
        "cross_entropy", **{"logits without classes": logits.shape[:-1], "labels": labels.shape}
    )
    checks.label_smoothing("cross_entropy", label_smoothing)
    num_classes = logits.shape[-1]
    (logits,) = numerics.at_least_float32(logits)
    log_prob = jax.nn.log_softmax(logits, axis=-1)
    index = labels.astype(jnp.int32)
    index = jnp.where(index < 0, num_classes, index)  # Python's wrap-around would be silent
    picked = jnp.take_along_axis(log_prob, index[..., None], axis=-1, mode="fill")[..., 0]
    if label_smoothing == 0:  # 0 * -inf would spoil classes that are ruled out by -inf logits
        return -picked
    return -(1 - label_smoothing) * picked - label_smoothing * jnp.mean(log_prob, axis=-1)


def soft_cross_entropy(logits: Array, targets: Array) -> Array:
    """Softmax cross-entropy of target distributions.

        value = -sum_k t_k log softmax(logits)_k

    A class whose target is 0 costs nothing, even where its logit is -inf. The value is the entropy
    of the target at least; targets are not normalised here, so that a target of sum w is one that
    weighs w.

    Args:
        logits: [..., K] floating, unnormalised log-probabilities.
        targets: [..., K] floating, at least 0; rows that sum to 1 are distributions.

    Returns:
        [...], local, one per row, in nats, float32 or wider, at least 0.

    Raises:
        TypeError: logits or targets not floating.
        ValueError: unequal shapes, or no axis of classes.

    Source: Zhang et al.: Colorful Image Colorization, 2016, arXiv 1603.08511, eq. 2.
    """
    checks.floating("soft_cross_entropy", logits=logits, targets=targets)
    if logits.ndim < 1:
        raise ValueError(
            f"soft_cross_entropy: logits must be [..., K]; got shape {logits.shape}. "
            "Put the classes on the last axis."
        )
    checks.equal_shapes("soft_cross_entropy", logits=logits.shape, targets=targets.shape)
    logits, targets = numerics.at_least_float32(logits, targets)
    log_prob = jax.nn.log_softmax(logits, axis=-1)
    log_prob = jnp.where(targets > 0, log_prob, 0)  # 0 * -inf would be nan
    return -jnp.sum(targets * log_prob, axis=-1)
