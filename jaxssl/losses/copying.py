"""Copying by pointing: a target takes over what similar references have, and is priced for it."""

import math

import jax
import jax.numpy as jnp

from jaxssl.losses import checks, numerics
from jaxssl.types import Array

FLOOR = 1e-4


def copy_values(
    targets: Array, references: Array, values: Array, *, temperature: float = 1.0
) -> Array:
    """What every target copies: the mean of the references' values, weighed by similarity.

        y_j = sum_i A_ij v_i,   A_ij = exp(f_i · f_j / T) / sum_k exp(f_k · f_j / T)

    Embeddings enter as they are: neither normalised nor divided by the root of D.

    Args:
        targets: [B, N, D] floating, f_j.
        references: [B, M, D] floating, f_i of all references that may be pointed at.
        values: [B, M, C] floating, v_i: colours, one-hot labels, key points …
        temperature: T, above 0, unitless.

    Returns:
        [B, N, C] float32 or wider, local; within the range of the values.

    Raises:
        TypeError: an array that is not floating.
        ValueError: axes that do not fit each other, or a temperature that is not above 0.

    Source: Vondrick et al., Tracking Emerges by Colorizing Videos, 2018, arXiv:1806.09594, eq. 1
        and 2.
    """
    checks.floating("copy_values", values=values)
    checks.axes("copy_values", "B M C", values=values)
    similarity = _similarity("copy_values", targets, references, temperature)
    checks.equal_shapes(
        "copy_values", **{"references": references.shape[:2], "values": values.shape[:2]}
    )
    weights = jax.nn.softmax(similarity, axis=-1)
    return jnp.einsum(
        "bnm,bmc->bnc", weights, values.astype(weights.dtype), precision=jax.lax.Precision.HIGHEST
    )


def copy_cross_entropy(
    targets: Array,
    references: Array,
    target_labels: Array,
    reference_labels: Array,
    *,
    temperature: float = 1.0,
    floor: float = FLOOR,
) -> Array:
    """Cross-entropy of labels that are copied from references by pointing at them.

        loss_j = -log y_j[c_j],   y_j = sum_i A_ij onehot(c_i),   A as in ``copy_values``

    taken as the log-sum-exp of the similarities over all references minus the one over those that
    have the target's label. y is a mixture of probabilities already: a softmax over it, as in a
    public port, keeps the loss above log(1 + (K - 1) / e).

    A target whose label no reference has gets y = 0 whatever the embeddings are. It costs
    -log(floor), a constant without gradient, where the formula is infinite.

    Args:
        targets: [B, N, D] floating, any scale.
        references: [B, M, D] floating.
        target_labels: [B, N] integers.
        reference_labels: [B, M] integers.
        temperature: T, above 0, unitless.
        floor: what stands for a y of 0, in (0, 1].

    Returns:
        [B, N], local, per target, in nats, float32 or wider, at least 0.

    Raises:
        TypeError: embeddings not floating, or labels not integers.
        ValueError: shapes that do not fit each other, or a number out of range.

    Source: Vondrick et al., Tracking Emerges by Colorizing Videos, 2018, arXiv:1806.09594, eq. 1
        to 3.
    """
    name = "copy_cross_entropy"
    checks.integers(name, target_labels=target_labels, reference_labels=reference_labels)
    if not 0 < floor <= 1:
        raise ValueError(f"{name}: floor must be in (0, 1]; got {floor}. The default is {FLOOR}.")
    similarity = _similarity(name, targets, references, temperature)
    checks.equal_shapes(
        name, **{"targets": targets.shape[:2], "target_labels": target_labels.shape}
    )
    checks.equal_shapes(
        name, **{"references": references.shape[:2], "reference_labels": reference_labels.shape}
    )
    has_label = target_labels[:, :, None] == reference_labels[:, None, :]  # [B, N, M]
    can_copy = has_label.any(axis=-1)
    # Both branches of a where are differentiated: the unused one sums over all references.
    summed = has_label | ~can_copy[..., None]
    own = jax.nn.logsumexp(similarity, axis=-1, where=summed)
    # Rounding may leave the part above the whole.
    values = jnp.maximum(jax.nn.logsumexp(similarity, axis=-1) - own, 0)
    return jnp.where(can_copy, values, -math.log(floor))


def _similarity(function: str, targets: Array, references: Array, temperature: float) -> Array:
    """f_i · f_j / T of every target and reference, [B, N, M] in at least float32."""
    checks.floating(function, targets=targets, references=references)
    checks.axes(function, "B N D", targets=targets, references=references)
    checks.equal_shapes(
        function,
        **{"B and D of targets": targets.shape[::2], "of references": references.shape[::2]},
    )
    checks.temperature(function, temperature)
    targets, references = numerics.at_least_float32(targets, references)
    return (
        jnp.einsum("bnd,bmd->bnm", targets, references, precision=jax.lax.Precision.HIGHEST)
        / temperature
    )
