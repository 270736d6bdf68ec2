"""Optimizers and the learning-rate schedule, from one dataclass of hyper-parameters."""

import dataclasses
from typing import Literal

import jax
import jax.numpy as jnp
import optax

from jaxssl.types import PyTree


@dataclasses.dataclass(frozen=True)
class OptimizerConfig:
    """An optimizer with linear warm-up and cosine decay.

    The peak learning rate is ``base_learning_rate * batch_size / 256`` (Goyal et al. 2017,
    arXiv 1706.02677). It is computed from the final config, printed at the start of a run, and
    never stored.

    Attributes:
        name: adamw (Loshchilov & Hutter 2019), sgd (Nesterov off), or lars (You et al. 2017).
        base_learning_rate: learning rate for a global batch of 256.
        weight_decay: decoupled for adamw, added to the gradient for sgd and lars; kernels only.
        warmup_epochs: epochs of linear warm-up from 0; may be a fraction.
        final_fraction: learning rate at the end, as a fraction of the peak.
        momentum: of sgd and lars.
        beta1: of adamw.
        beta2: of adamw.
        trust_coefficient: of lars (eta).
        clip_norm: largest global norm of the gradient; 0 turns clipping off.
    """

    name: Literal["adamw", "sgd", "lars"] = "adamw"
    base_learning_rate: float = 1e-3
    weight_decay: float = 0.05
    warmup_epochs: float = 1.0
    final_fraction: float = 0.0
    momentum: float = 0.9
    beta1: float = 0.9
    beta2: float = 0.999
    trust_coefficient: float = 0.001
    clip_norm: float = 0.0

    def __post_init__(self):
        for field in ("base_learning_rate", "trust_coefficient"):
            if getattr(self, field) <= 0:
                raise ValueError(
                    f"optimizer.{field}: must be greater than 0; got {getattr(self, field)}."
                )
        for field in ("weight_decay", "warmup_epochs", "clip_norm"):
            if getattr(self, field) < 0:
                raise ValueError(
                    f"optimizer.{field}: must not be negative; got {getattr(self, field)}."
                )
        for field in ("momentum", "beta1", "beta2"):
            if not 0 <= getattr(self, field) < 1:
                raise ValueError(
                    f"optimizer.{field}: must lie in [0, 1); got {getattr(self, field)}."
                )
        if not 0 <= self.final_fraction <= 1:
            raise ValueError(
                f"optimizer.final_fraction: must lie in [0, 1]; got {self.final_fraction}."
            )


def peak_learning_rate(config: OptimizerConfig, batch_size: int) -> float:
    """Learning rate after warm-up: base_learning_rate * batch_size / 256."""
    return config.base_learning_rate * batch_size / 256


def schedule(
    config: OptimizerConfig, *, batch_size: int, steps_per_epoch: int, total_steps: int
) -> optax.Schedule:
    """Linear warm-up from 0 to the peak, then half a cosine down to ``final_fraction`` of it.

    Args:
        config: hyper-parameters.
        batch_size: G, the global batch.
        steps_per_epoch: optimizer steps in one epoch.
        total_steps: optimizer steps of the whole run, at least 1.

    Returns:
        ``step -> learning rate``, step counted from 0. The first step already moves: its rate is
        peak / warmup_steps, and the peak is reached at step warmup_steps - 1.

    Raises:
        ValueError: warm-up as long as the run, or longer.
    """
    warmup_steps = round(config.warmup_epochs * steps_per_epoch)
    if warmup_steps >= total_steps > 1:
        raise ValueError(
            f"optimizer.warmup_epochs: warm-up must be shorter than the run; got {warmup_steps} "
            f"warm-up steps of {total_steps} in all. Lower it below "
            f"{total_steps / steps_per_epoch:g} epochs."
        )
    peak = peak_learning_rate(config, batch_size)
    decay_steps = max(total_steps - warmup_steps, 1)
    final = config.final_fraction

    def rate(step):
        step = jnp.asarray(step, jnp.float32)
        progress = jnp.clip((step - warmup_steps) / decay_steps, 0.0, 1.0)
        cosine = final + (1 - final) * 0.5 * (1 + jnp.cos(jnp.pi * progress))
        warmup = (step + 1) / max(warmup_steps, 1)
        return peak * jnp.where(step < warmup_steps, warmup, cosine)

    return rate


def build(
    config: OptimizerConfig, *, batch_size: int, steps_per_epoch: int, total_steps: int
) -> optax.GradientTransformation:
    """The optax transformation for a run; arguments as in ``schedule``."""
    rate = schedule(
        config, batch_size=batch_size, steps_per_epoch=steps_per_epoch, total_steps=total_steps
    )
    if config.name == "adamw":
        core = optax.adamw(
            rate, config.beta1, config.beta2, weight_decay=config.weight_decay, mask=kernel_mask
        )
    elif config.name == "sgd":
        core = optax.chain(
            optax.add_decayed_weights(config.weight_decay, mask=kernel_mask),
            optax.sgd(rate, momentum=config.momentum),
        )
    else:
        core = optax.lars(
            rate,
            weight_decay=config.weight_decay,
            weight_decay_mask=kernel_mask,
            trust_coefficient=config.trust_coefficient,
            trust_ratio_mask=kernel_mask,
            momentum=config.momentum,
        )
    if config.clip_norm:
        return optax.chain(optax.clip_by_global_norm(config.clip_norm), core)
    return core


def kernel_mask(params: PyTree) -> PyTree:
    """True for the leaves called ``kernel``: the ones that weight decay and LARS scaling touch.

    Biases, normalisation scales, tokens and position tables are left alone, as in the SimCLR and
    MAE code. The name decides, not the rank: under scan-over-layers a bias has two axes.
    """
    return jax.tree_util.tree_map_with_path(
        lambda path, _: getattr(path[-1], "key", None) == "kernel", params
    )
