"""Losses of global arrays on any mesh, also on one whose axes are Explicit, as JAX makes them.

Under ``jax.jit`` an array may be spread over many devices and still be one array; a loss that
compares all examples is then the loss of the global batch, and XLA moves what must be moved. Where
the axes of the mesh are Auto nothing is to be done. Where they are Explicit JAX asks at each
product how its result is to lie; here only the lie of the loss itself matters, that of its rows.
"""

import functools
from collections.abc import Callable
from typing import TypeVar

import jax
import numpy as np
from jax.sharding import auto_axes, use_abstract_mesh

F = TypeVar("F", bound=Callable)


def on_any_mesh(function: F | None = None, *, per_example: bool = True) -> F:
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


def _is_array(leaf: object) -> bool:
    return isinstance(leaf, jax.Array | np.ndarray)


def _is_explicit(array: jax.Array | np.ndarray) -> bool:
    """Whether an array with rows lies on a mesh that has Explicit axes."""
    return array.ndim > 0 and bool(jax.typeof(array).sharding.mesh.explicit_axes)
