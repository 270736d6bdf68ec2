"""A linear classifier that learns beside an encoder, from the features of each training batch."""

import dataclasses
import math

import jax
import jax.numpy as jnp
from jax import lax

from jaxssl import collectives, losses
from jaxssl.types import Array

# Standardised rows are divided by sqrt(D), so that the mean square of one is at most 1. The largest
# curvature of the cross-entropy is then at most 1, bias included, and momentum 0.9 is stable up to
# a rate of 3.8, whatever the features are.
LEARNING_RATE = 1.0
MOMENTUM = 0.9
MIN_RATE = 0.1  # of the running mean and variance, 1 / (t + 1) before
EPSILON = 1e-6  # beside the variance of a feature


@jax.tree_util.register_dataclass
@dataclasses.dataclass(frozen=True)
class LinearProbe:
    """All that the classifier keeps, equal on all devices.

    Attributes:
        step: int32 scalar, updates made.
        weights: float32 [D, K].
        bias: float32 [K].
        velocity_weights: float32 [D, K].
        velocity_bias: float32 [K].
        mean: float32 [D], running mean of the features.
        variance: float32 [D], running variance of the features.
    """

    step: Array
    weights: Array
    bias: Array
    velocity_weights: Array
    velocity_bias: Array
    mean: Array
    variance: Array


def begin(num_features: int, num_classes: int) -> LinearProbe:
    """The classifier before the first batch: all classes alike.

    Args:
        num_features: D.
        num_classes: K.
    """
    weights, bias = jnp.zeros((num_features, num_classes)), jnp.zeros(num_classes)
    return LinearProbe(
        step=jnp.int32(0),
        weights=weights,
        bias=bias,
        velocity_weights=weights,
        velocity_bias=bias,
        mean=jnp.zeros(num_features),
        variance=jnp.zeros(num_features),
    )


def update(
    probe: LinearProbe, features: Array, labels: Array, *, axis_name: str | None = None
) -> tuple[LinearProbe, Array]:
    """One step of SGD with momentum on the global batch; no gradient reaches the features.

        x = (f - mean) / sqrt(variance + epsilon) / sqrt(D)      (mean, variance of this batch)
        v <- 0.9 v + d/d(W, b) mean cross-entropy(x W + b, label),   (W, b) <- (W, b) - v

    Args:
        probe: the classifier.
        features: floating [B, D], of this device's examples.
        labels: int32 [B], in [0, K).
        axis_name: device axis, or None.

    Returns:
        The classifier after the step, and the mean cross-entropy before it, float32, in nats; both
        equal on all devices.
    """
    rows = lax.stop_gradient(features.astype(jnp.float32))
    mean = collectives.pmean(jnp.mean(rows, axis=0), axis_name)
    variance = collectives.pmean(jnp.mean(jnp.square(rows - mean[None]), axis=0), axis_name)
    inputs = _standardised(rows, mean, variance)

    def objective(linear: tuple[Array, Array]) -> Array:
        values = losses.cross_entropy(_logits(inputs, *linear), labels)
        return collectives.pmean(jnp.mean(values), axis_name)

    loss, gradients = jax.value_and_grad(objective)((probe.weights, probe.bias))
    of_weights, of_bias = collectives.pmean(gradients, axis_name)
    velocity_weights = MOMENTUM * probe.velocity_weights + of_weights
    velocity_bias = MOMENTUM * probe.velocity_bias + of_bias
    rate = jnp.maximum(jnp.float32(MIN_RATE), 1 / (probe.step + 1).astype(jnp.float32))
    after = LinearProbe(
        step=probe.step + 1,
        weights=probe.weights - LEARNING_RATE * velocity_weights,
        bias=probe.bias - LEARNING_RATE * velocity_bias,
        velocity_weights=velocity_weights,
        velocity_bias=velocity_bias,
        mean=probe.mean + rate * (mean - probe.mean),
        variance=probe.variance + rate * (variance - probe.variance),
    )
    return after, loss


def predict(probe: LinearProbe, features: Array) -> Array:
    """The likeliest classes, int32 [N], of features [N, D], by the running mean and variance."""
    inputs = _standardised(features.astype(jnp.float32), probe.mean, probe.variance)
    return jnp.argmax(_logits(inputs, probe.weights, probe.bias), axis=-1).astype(jnp.int32)


def _standardised(rows: Array, mean: Array, variance: Array) -> Array:
    scale = lax.rsqrt(variance + EPSILON) / math.sqrt(len(mean))
    return (rows - mean[None]) * scale[None]


def _logits(inputs: Array, weights: Array, bias: Array) -> Array:
    return jnp.matmul(inputs, weights, precision=lax.Precision.HIGHEST) + bias[None]
