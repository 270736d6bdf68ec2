"""What the methods of text share: which encoder they take, and what its scores are worth."""

import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxssl import losses, models
from jaxssl.types import Array, Example, Metrics


def check_encoder(encoder: nn.Module, *, causal: bool, method: str) -> None:
    """Refuses what is no transformer of text, or sees what it is asked.

    Raises:
        ValueError: naming the option.
    """
    if not isinstance(encoder, models.TextTransformer):
        raise ValueError(
            f"{method}: the encoder must be a TextTransformer, by whose table it answers; "
            f"got {type(encoder).__name__}. Use the --encoder of a recipe of text."
        )
    if encoder.config.causal != causal:
        sees = "must not see the tokens it is asked for" if causal else "must see both sides"
        raise ValueError(
            f"{method}: the encoder {sees}; got causal {encoder.config.causal}. Set "
            f"--encoder.causal {causal}."
        )


def inputs(example: Example) -> dict[str, Array]:
    """``Method.inputs`` of encoders of text: the tokens as they are."""
    return {"tokens": example["tokens"].astype(jnp.int32)}


def values_and_metrics(
    logits: Array, labels: Array, weights: Array | None = None
) -> tuple[Array, Metrics]:
    """Mean cross-entropy of each example, and what is said of the batch.

    Args:
        logits: [B, K, M].
        labels: int32 [B, K].
        weights: [B, K], 1 where a label is asked for; None: everywhere.

    Returns:
        Values [B], the mean over the K that are asked for (0 where none is); and metrics: bits a
        token, the value in units of ln 2, and the part of the tokens that the highest score names.
    """
    weights = jnp.ones(labels.shape) if weights is None else weights
    count = jnp.maximum(weights.sum(axis=1), 1)
    values = (losses.cross_entropy(logits, labels) * weights).sum(axis=1) / count
    is_right = (logits.argmax(-1) == labels).astype(jnp.float32)
    accuracy = ((is_right * weights).sum(axis=1) / count).mean()
    bits = jax.lax.stop_gradient(values).mean() / math.log(2)
    return values, {"accuracy": accuracy, "bits_per_token": bits}
