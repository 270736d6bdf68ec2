"""The training step: views, loss, gradient, update; a pure function.

The order of reductions is fixed, because it is the one order that is right under ``jax.pmap`` and
under ``jax.shard_map`` with and without check_vma: the mean over devices of the loss is taken
INSIDE the differentiated function, the mean of gradients and metrics outside it.
"""

import functools

import jax
import jax.numpy as jnp
import optax

from jaxssl import collectives, draws, schedules, sharding
from jaxssl.parallel import Step
from jaxssl.training import freezing
from jaxssl.types import Batch, Method, Metrics, PyTree, TrainState


def init_state(
    method: Method, optimizer: optax.GradientTransformation, batch: Batch, *, seed: int
) -> TrainState:
    """The state before the first step, from a small batch that fixes the shapes.

    Args:
        method: a built method.
        optimizer: an optax transformation.
        batch: uint8 images [B, H, W, C] under "image"; B may be 1 and the values do not matter.
        seed: the run's seed.

    Returns:
        TrainState at step 0.
    """
    init_key, view_key = jax.random.split(jax.random.fold_in(jax.random.key(seed), -1 & 0x7FFFFFFF))
    num_examples = len(jax.tree.leaves(batch)[0])
    views = draws.make_views(method, batch, jax.random.split(view_key, num_examples))
    params, state = method.init(init_key, views)
    return TrainState(
        step=jnp.int32(0), params=params, state=state, opt_state=optimizer.init(params)
    )


def make_step(
    method: Method,
    optimizer: optax.GradientTransformation,
    *,
    seed: int,
    steps_per_epoch: int = 1,
    total_steps: int = 1,
    axis_name: str | None = None,
    params_sharding: PyTree | None = None,
) -> Step:
    """Builds the training step: of a device's rows, or without an axis of the whole batch.

    Args:
        method: a method built with the same ``axis_name``.
        optimizer: an optax transformation; its state is equal on all devices.
        seed: the run's seed; all randomness follows from (seed, step, position).
        steps_per_epoch: optimizer steps of one pass over the training split, for the method's
            schedules.
        total_steps: optimizer steps of the whole run, for the same.
        axis_name: device axis the step will be mapped over, or None for one device and for
            arrays that are spread over devices.
        params_sharding: of the latter, how the parameters lie; see ``sharding.gathering``.

    Returns:
        ``(TrainState, Batch) -> (TrainState, Metrics)``, pure. Metrics are float32 scalars equal on
        all devices: the method's own, ``loss`` (mean over the global batch), ``grad_norm`` (before
        clipping) and ``update_norm`` (global L2 norms). Frozen parameters count in neither norm,
        and their optimizer state stays as it was.

    Raises:
        ValueError: when the step is traced, if the method freezes parameters and the optimizer is
            an Adam with one count for all; see ``freezing.check_state``.
    """
    steps = {"steps_per_epoch": steps_per_epoch, "total_steps": total_steps}
    return functools.partial(_step, method, optimizer, seed, steps, axis_name, params_sharding)


def _step(
    method: Method,
    optimizer: optax.GradientTransformation,
    seed: int,
    steps: dict[str, int],
    axis_name: str | None,
    params_sharding: PyTree | None,
    before: TrainState,
    batch: Batch,
) -> tuple[TrainState, Metrics]:
    clock = schedules.clock_at(before.step, **steps)
    num_examples = len(jax.tree.leaves(batch)[0])
    keys = draws.example_keys(seed, before.step, num_examples, axis_name)
    views = draws.make_views(method, batch, keys)
    key = draws.loss_key(seed, before.step)

    def objective(params):
        values, (state, metrics) = method.loss(params, before.state, views, key, clock)
        return collectives.pmean(jnp.mean(values), axis_name), (state, metrics)

    objective = sharding.gathering(objective, params_sharding)
    (loss, (state, metrics)), grads = jax.value_and_grad(objective, has_aux=True)(before.params)
    grads = collectives.pmean(grads, axis_name)
    frozen = None if method.frozen is None else method.frozen(before.params, clock)
    if frozen is not None:
        freezing.check_state(before.opt_state)
        grads = freezing.zero(grads, frozen)  # so that they count in no norm
    updates, opt_state = optimizer.update(grads, before.opt_state, before.params)
    if frozen is not None:
        updates = freezing.zero(updates, frozen)
        opt_state = freezing.keep_state(opt_state, before.opt_state, frozen)
    params = optax.apply_updates(before.params, updates)
    if method.project is not None:
        params = method.project(params)
    metrics = collectives.pmean(metrics, axis_name) | {
        "loss": loss,
        "grad_norm": optax.tree.norm(grads),
        "update_norm": optax.tree.norm(updates),
    }
    done = TrainState(
        step=before.step + 1,
        params=params,
        state=method.advance(params, state, clock),
        opt_state=opt_state,
    )
    return done, jax.tree.map(lambda x: x.astype(jnp.float32), metrics)
