"""An encoder that goes over its batch in parts: the same numbers, with the memory of one part.

A loss that compares examples needs all embeddings at once, but not all activations. Here every part
goes through the network on its own and is forgotten; for the gradient it goes through once more
(rematerialisation). The loss sees what it would see, and differentiation does the rest, so that
value and gradient are those of the whole batch; but where a network normalises by statistics of its
batch, they are now those of a part.

Source: Gao et al., Scaling Deep Contrastive Learning Batch Size under Memory Limited Setup, 2021,
arXiv:2101.06983, section 3.2, whose cached gradients are what reverse mode does by itself.
"""

from collections.abc import Mapping
from typing import Any

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxssl.types import Array, PyTree

# Where the batch is in what encoders take by name; None: nowhere. It comes first in all else.
_BATCH_AXES = {"branch_scale": 2, "mask_token": None}


def over_micro_batches(module: nn.Module, num_micro_batches: int) -> nn.Module:
    """A linen module whose ``apply`` goes over the batch in parts, one after the other.

    A part holds every M-th row, M the number of parts: so it has as many rows on each device as on
    every other, whichever way the batch is spread over devices.

    Args:
        module: an encoder; all that it returns has the batch first.
        num_micro_batches: M, at least 1. A batch that M does not divide goes through whole.

    Returns:
        A copy, an instance of the same class. Batch statistics move by the mean over the parts.
    """
    parted = module.clone()

    def apply(variables: PyTree, *args: Any, mutable: Any = False, **options: Any) -> PyTree:
        split, axes, whole = _divide(args, options)
        num_rows = _num_rows(split, axes)
        if num_rows % num_micro_batches:
            return module.apply(variables, *args, mutable=mutable, **options)

        @jax.checkpoint
        def of_part(part: Mapping[str, Array]) -> PyTree:
            taken = {**part, **whole}
            positional = (taken[str(place)] for place in range(len(args)))
            named = {name: taken[name] for name in options}
            return module.apply(variables, *positional, mutable=mutable, **named)

        parts = {name: _part(x, axes[name], num_micro_batches) for name, x in split.items()}
        output = jax.lax.map(of_part, parts)
        if mutable is False:
            return _join(output)
        output, state = output
        return _join(output), jax.tree.map(lambda leaf: leaf.mean(axis=0), state)

    # Past linen's own __setattr__: an instance of the very class, which methods look at.
    object.__setattr__(parted, "apply", apply)
    return parted


def _divide(
    args: tuple, options: Mapping[str, Any]
) -> tuple[dict[str, Array], dict[str, Any], dict[str, Any]]:
    """What has a batch, the axis that it is, and what has none, by position or by name."""
    given = {str(place): value for place, value in enumerate(args)} | dict(options)
    axes = {name: _BATCH_AXES.get(name, 0) for name in given}
    split: dict[str, Any] = {
        name: value
        for name, value in given.items()
        if axes[name] is not None and hasattr(value, "shape")
    }
    return split, axes, {name: given[name] for name in given.keys() - split.keys()}


def _num_rows(split: Mapping[str, Array], axes: Mapping[str, int]) -> int:
    name, value = next(iter(split.items()))
    return value.shape[axes[name]]


def _part(array: Array, axis: int, num_micro_batches: int) -> Array:
    """[M, ...] of an array whose axis of B rows becomes one of B / M."""
    shape = array.shape
    array = array.reshape(*shape[:axis], -1, num_micro_batches, *shape[axis + 1 :])
    return jnp.moveaxis(array, axis + 1, 0)


def _join(output: PyTree) -> PyTree:
    """The inverse, for arrays that have the batch first."""
    return jax.tree.map(lambda leaf: jnp.moveaxis(leaf, 0, 1).reshape(-1, *leaf.shape[2:]), output)
