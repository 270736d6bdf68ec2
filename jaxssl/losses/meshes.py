"""Losses of global arrays on any mesh, also on one whose axes are Explicit, as JAX makes them.

Under ``jax.jit`` an array may be spread over many devices and still be one array; a loss that
compares all examples is then the loss of the global batch, and XLA moves what must be moved. Where
the axes of the mesh are Auto nothing is to be done. Where they are Explicit JAX asks at each
product how its result is to lie; here only the lie of the loss itself matters, that of its rows.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import TypeVar, overload

import jax
import numpy as np
from jax.sharding import auto_axes, use_abstract_mesh

from jaxssl.types import Array

F = TypeVar("F", bound=Callable)


@overload
def on_any_mesh(function: F, *, per_example: bool = True) -> F: ...


@overload
def on_any_mesh(*, per_example: bool = True) -> Callable[[F], F]: ...


def on_any_mesh(function: Callable | None = None, *, per_example: bool = True) -> Callable:
    """Decorates a loss so that its arrays may be global ones, on a mesh of any kind.

    Args:
        function: of arrays that have the batch as their first axis, and of options.
        per_example: whether its outputs have it too, and lie like it; else they are on all devices.

    Returns:
        The same function. Arrays that lie on no mesh with Explicit axes go straight through, those
        of ``jax.shard_map`` and ``jax.pmap`` among them.
    """
    if function is None:
        return functools.partial(on_any_mesh, per_example=per_example)

    @functools.wraps(function)
    def called(*args, **options):
        leaves, tree = jax.tree.flatten((args, options))
        places = [place for place, leaf in enumerate(leaves) if _is_array(leaf)]
        arrays = [leaves[place] for place in places]
        rows = next(filter(_is_explicit, arrays), None)
        if rows is None:
            return function(*args, **options)

        def of_arrays(*arrays):
            filled = list(leaves)
            for place, array in zip(places, arrays):
                filled[place] = array
            args, options = jax.tree.unflatten(tree, filled)
            return function(*args, **options)

        sharding = jax.typeof(rows).sharding
        lie = jax.P(sharding.spec[0]) if per_example else jax.P()
        with use_abstract_mesh(sharding.mesh):
            return auto_axes(of_arrays, out_sharding=lie)(*arrays)

    return called


def by_rows(
    function: Callable[..., Array],
    *arrays: Array,
    shared: Sequence[Array] = (),
    axis_name: str | None,
) -> Array:
    """A function of rows, on each device's own where the arrays are global ones.

    A loop over blocks of rows would otherwise be given all rows, gathered, on every device: the
    compiler does not divide the axis that a loop goes along.

    Args:
        function: ``(*arrays, *shared, axis_name=...)`` to an array of as many rows.
        *arrays: [B, ...] each.
        shared: arrays that every device has whole.
        axis_name: device axis, or None.

    Returns:
        Under ``jax.jit``, of arrays that lie on a mesh whose devices divide the rows, the function
        mapped over that mesh; else the function of the arrays as they are.
    """
    mesh = jax.typeof(arrays[0]).sharding.mesh
    axes = mesh.auto_axes
    size = math.prod(mesh.shape[axis] for axis in axes)
    whole = axis_name is not None or size <= 1 or any(len(array) % size for array in arrays)
    if whole:
        return function(*arrays, *shared, axis_name=axis_name)
    rows = jax.P(axes)
    mapped = jax.shard_map(
        functools.partial(function, axis_name=axes[0] if len(axes) == 1 else axes),
        mesh=mesh,
        in_specs=(*[rows] * len(arrays), *[jax.P()] * len(shared)),
        out_specs=rows,
        axis_names=set(axes),
    )
    return mapped(*arrays, *shared)


def _is_array(leaf: object) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray)


def _is_explicit(array: jax.Array | np.ndarray) -> bool:
    """Whether an array with rows lies on a mesh that has Explicit axes."""
    return array.ndim > 0 and bool(jax.typeof(array).sharding.mesh.explicit_axes)
