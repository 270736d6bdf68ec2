"""Schedules of a run as functions of its clock: momentum of a target, temperatures.

Numbers in, float32 scalars out; they may be traced. See ``types.Clock``.
"""

import jax.numpy as jnp

from jaxssl.types import Array, Clock


def clock_at(step: Array | int, *, steps_per_epoch: int, total_steps: int) -> Clock:
    """The clock of a step.

    Args:
        step: optimizer steps completed before it.
        steps_per_epoch: optimizer steps of one pass over the training split.
        total_steps: optimizer steps of the whole run.
    """
    step = jnp.asarray(step, jnp.int32)
    done = step.astype(jnp.float32)
    return Clock(step, done / steps_per_epoch, done / total_steps)


def cosine(start: float, end: float, progress: Array | float) -> Array:
    """Half a cosine from ``start`` at progress 0 to ``end`` at progress 1.

        value = end + (start - end) (1 + cos(pi progress)) / 2

    Args:
        start: value at the beginning of the run.
        end: value at its end.
        progress: ``Clock.progress``, in [0, 1].

    Returns:
        float32 scalar.

    Source: Loshchilov, Hutter: SGDR, 2016, arXiv 1608.03983, eq. 5; for the momentum of a target
    Grill et al.: Bootstrap Your Own Latent, 2020, arXiv 2006.07733, section 3.2.
    """
    progress = jnp.asarray(progress, jnp.float32)
    return end + (start - end) * 0.5 * (1.0 + jnp.cos(jnp.pi * progress))


def warmup(start: float, end: float, epoch: Array | float, num_epochs: float) -> Array:
    """A straight line from ``start`` at epoch 0 to ``end`` at ``num_epochs``, then ``end``.

    Args:
        start: value at the beginning of the run.
        end: value from ``num_epochs`` on.
        epoch: ``Clock.epoch``, at least 0.
        num_epochs: length of the line; 0 gives ``end`` throughout.

    Returns:
        float32 scalar.
    """
    if num_epochs <= 0:
        return jnp.float32(end)
    share = jnp.clip(jnp.asarray(epoch, jnp.float32) / num_epochs, 0.0, 1.0)
    return start + (end - start) * share
