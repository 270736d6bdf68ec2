"""Optimizers and the learning-rate schedule, from one dataclass of hyper-parameters."""

import dataclasses
import functools
from typing import ClassVar, Literal

import jax
import jax.numpy as jnp
import optax

from jaxssl import checks, schedules
from jaxssl.training import depths, freezing, layerwise
from jaxssl.types import Plan, PyTree


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
        clip_each: largest norm of each layer's gradient, clipped on its own and before the global
            norm is; 0 turns it off. DINO: 3.
        final_weight_decay: weight decay at the end of the run, reached from ``weight_decay`` along
            half a cosine; None keeps it as it is. DINO: 0.04 to 0.4.
        constant_rate: groups of parameters (top-level names such as "predictor") whose learning
            rate stays at the peak after warm-up, as SimSiam's predictor.
        other_rate: factor on the learning rate of all leaves but kernels, as Barlow Twins' 0.0048
            beside 0.2.
        layer_decay: factor on the learning rate from each block or stage of the encoder to the one
            before it, down from the rate of its last norm and of the heads; see
            ``training.depths``. 1 leaves all alike; fine-tuned transformers: 0.65 to 0.75 (BEiT).
    """

    OPTION: ClassVar[str] = "optimizer"

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
    clip_each: float = 0.0
    final_weight_decay: float | None = None
    constant_rate: tuple[str, ...] = ()
    other_rate: float = 1.0
    layer_decay: float = 1.0

    def __post_init__(self):
        checks.above(self, 0, "base_learning_rate", "trust_coefficient", "other_rate")
        checks.at_least(self, 0, "weight_decay", "final_weight_decay", "warmup_epochs")
        checks.at_least(self, 0, "clip_norm", "clip_each")
        checks.in_range(self, 0, 1, "momentum", "beta1", "beta2", open_right=True)
        checks.in_range(self, 0, 1, "final_fraction")
        checks.in_range(self, 0, 1, "layer_decay", open_left=True, fix="1 leaves all layers alike.")

    def unused(self) -> dict[str, str]:
        """The fields that the optimizer of this name does not read, each with the ones it does."""
        own = {
            "adamw": ("beta1", "beta2"),
            "sgd": ("momentum",),
            "lars": ("momentum", "trust_coefficient"),
        }
        reads = " and ".join(f"optimizer.{field.replace('_', '-')}" for field in own[self.name])
        return {
            field: f"optimizer.name {self.name} reads {reads}"
            for fields in own.values()
            for field in fields
            if field not in own[self.name]
        }


def peak_learning_rate(config: OptimizerConfig, batch_size: int) -> float:
    """Learning rate after warm-up: base_learning_rate * batch_size / 256."""
    return config.base_learning_rate * batch_size / 256


def schedule(config: OptimizerConfig, plan: Plan) -> optax.Schedule:
    """Linear warm-up from 0 to the peak, then half a cosine down to ``final_fraction`` of it.

    Args:
        config: hyper-parameters.
        plan: of the run.

    Returns:
        ``step -> learning rate``, step counted from 0. The first step already moves: its rate is
        peak / warmup_steps, and the peak is reached at step warmup_steps - 1.

    Raises:
        ValueError: warm-up as long as the run, or longer.
    """
    _, steps_per_epoch, total_steps, _ = plan
    warmup_steps = round(config.warmup_epochs * steps_per_epoch)
    if warmup_steps >= total_steps > 1:
        raise ValueError(
            f"optimizer.warmup_epochs: warm-up must be shorter than the run; got {warmup_steps} "
            f"warm-up steps of {total_steps} in all. Lower it below "
            f"{total_steps / steps_per_epoch:g} epochs."
        )
    peak = peak_learning_rate(config, plan.batch_size)
    decay_steps = max(total_steps - warmup_steps, 1)
    final = config.final_fraction

    def rate(step):
        step = jnp.asarray(step, jnp.float32)
        progress = jnp.clip((step - warmup_steps) / decay_steps, 0.0, 1.0)
        cosine = final + (1 - final) * 0.5 * (1 + jnp.cos(jnp.pi * progress))
        warmup = (step + 1) / max(warmup_steps, 1)
        return peak * jnp.where(step < warmup_steps, warmup, cosine)

    return rate


def build(config: OptimizerConfig, plan: Plan) -> optax.GradientTransformation:
    """The optax transformation for a run.

    Args:
        config: what to build.
        plan: of the run. Where it freezes parameters, Adam counts the steps of each parameter on
            its own, which shows in the tree of its state; see ``training.freezing``.

    Raises:
        ValueError: as ``schedule``; and when its state is made, a name in ``constant_rate`` that is
            none of the parameters' groups, or a layer decay for an encoder without layers.
    """
    rate = schedule(config, plan)
    scale = _scale_by_rates(config, rate, schedule(_without_decay(config), plan))
    decay = optax.add_decayed_weights(_weight_decay(config, plan.total_steps), mask=kernel_mask)
    if config.name == "adamw":
        scale_by_adam = freezing.scale_by_adam if plan.freezes else optax.scale_by_adam
        core = optax.chain(scale_by_adam(config.beta1, config.beta2), decay, scale)
    elif config.name == "sgd":
        core = optax.chain(decay, optax.chain(optax.trace(config.momentum), scale))
    else:
        trust = layerwise.scale_by_trust_ratio(config.trust_coefficient)
        core = optax.chain(
            decay, optax.masked(trust, kernel_mask), scale, optax.trace(config.momentum)
        )
    if config.clip_norm:
        core = optax.chain(optax.clip_by_global_norm(config.clip_norm), core)
    if config.clip_each:
        core = optax.chain(layerwise.clip_each(config.clip_each), core)
    return core


def _without_decay(config: OptimizerConfig) -> OptimizerConfig:
    return dataclasses.replace(config, final_fraction=1.0)


def _weight_decay(config: OptimizerConfig, total_steps: int) -> float | optax.Schedule:
    """The weight decay, or half a cosine over the whole run where it changes."""
    first, last = config.weight_decay, config.final_weight_decay
    if last is None:
        return first

    def decay(step):
        progress = jnp.asarray(step, jnp.float32) / total_steps
        return schedules.cosine(first, last, progress)

    return decay


def _scale_by_rates(
    config: OptimizerConfig, rate: optax.Schedule, constant: optax.Schedule
) -> optax.GradientTransformation:
    """Times minus the learning rate, which may differ between leaves; state as that of optax.

    Args:
        config: says which leaves differ.
        rate: learning rate of most.
        constant: that of the groups in ``constant_rate``.
    """
    if not config.constant_rate and config.other_rate == config.layer_decay == 1:
        return optax.scale_by_learning_rate(rate)

    return optax.GradientTransformation(
        functools.partial(_count_from_zero, config),
        functools.partial(_scale_leaves, config, rate, constant),
    )


def _count_from_zero(config: OptimizerConfig, params: PyTree) -> optax.ScaleByScheduleState:
    """The state before the first step; refuses groups or layers that there are none of."""
    missing = [name for name in config.constant_rate if name not in params]
    if missing:
        raise ValueError(
            f"optimizer.constant_rate: must name groups of the parameters; got {missing[0]!r}. "
            f"There are {', '.join(params)}."
        )
    if config.layer_decay != 1 and depths.of(params)[1] == 1:
        raise ValueError(
            "optimizer.layer_decay: must be 1 where the encoder has neither blocks nor stages; got "
            f"{config.layer_decay}."
        )
    return optax.ScaleByScheduleState(count=jnp.zeros([], jnp.int32))


def _scale_leaves(
    config: OptimizerConfig,
    rate: optax.Schedule,
    constant: optax.Schedule,
    updates: PyTree,
    state: optax.ScaleByScheduleState,
    params: PyTree | None = None,
) -> tuple[PyTree, optax.ScaleByScheduleState]:
    """Every leaf times minus the rate of its group, kind and depth."""
    del params
    factors = depths.factors(updates, config.layer_decay)

    def scaled(path, update, of_kernel, factor):
        group = getattr(path[0], "key", None)
        step_size = (constant if group in config.constant_rate else rate)(state.count)
        step_size = -step_size * (1 if of_kernel else config.other_rate)
        return jnp.asarray(step_size * factor, update.dtype) * update

    kernels = kernel_mask(updates)
    updates = jax.tree_util.tree_map_with_path(scaled, updates, kernels, factors)
    return updates, optax.ScaleByScheduleState(optax.safe_increment(state.count))


def kernel_mask(params: PyTree) -> PyTree:
    """True for the leaves called ``kernel``: the ones that weight decay and LARS scaling touch.

    Biases, normalisation scales, tokens and position tables are left alone. The SimCLR and MAE code
    spare the first two; MAE's, by timm's rule of one axis, decays its class and mask tokens. The
    name decides here, not the rank: under scan-over-layers a bias has two axes.
    """
    return jax.tree_util.tree_map_with_path(
        lambda path, _: getattr(path[-1], "key", None) == "kernel", params
    )
