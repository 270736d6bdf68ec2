"""What a run draws: the keys of its steps and examples, and the views of a batch.

Nothing random is saved: a key follows from the seed, the step and the position of an example in the
global batch, so that whoever asks again (a resumed run, a measurement, a report) sees the same.
"""

import jax
import jax.numpy as jnp

from jaxssl import collectives
from jaxssl.types import Array, Batch, Example, Method, Views

_LAST_POSITION = 0x7FFFFFFF  # no example's position reaches it


def step_key(seed: int, step: Array) -> Array:
    """The key of a step: fold_in(seed, step).

    Args:
        seed: the run's seed.
        step: int32 scalar, optimizer steps completed.
    """
    return jax.random.fold_in(jax.random.key(seed), step)


def loss_key(seed: int, step: Array) -> Array:
    """The key that the loss of a step is given, the same on all devices, unlike any example's."""
    return jax.random.fold_in(step_key(seed, step), _LAST_POSITION)


def example_keys(seed: int, step: Array, num_examples: int, axis_name: str | None) -> Array:
    """One PRNG key per local example: fold_in(fold_in(seed, step), position in the global batch).

    Args:
        seed: the run's seed.
        step: int32 scalar, optimizer steps completed.
        num_examples: B, examples on this device.
        axis_name: device axis, or None.

    Returns:
        [B] typed PRNG keys. They depend on the position in the global batch only, so that neither
        the number of devices nor the split of the batch changes what an example becomes.
    """
    first = collectives.axis_index(axis_name) * num_examples
    positions = first + jnp.arange(num_examples, dtype=jnp.int32)
    return jax.vmap(jax.random.fold_in, (None, 0))(step_key(seed, step), positions)


def make_views(method: Method, batch: Batch, keys: Array) -> Views:
    """Views of a whole batch; labels are stripped where the method does not read them."""
    views = jax.vmap(method.view)(keys, shown(method, batch))
    return collectives.varying_as(views, keys)


def shown(method: Method, batch: Batch) -> Example:
    """What a method is shown of a batch, or of an example: "label" only if it ``reads_label``."""
    return batch if method.reads_label else without_labels(batch)


def without_labels(batch: Batch) -> Example:
    """A batch, or an example, with all its columns but "label"."""
    return {name: value for name, value in batch.items() if name != "label"}
