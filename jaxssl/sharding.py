"""Where the leaves of a training state lie: a copy on every device, or a part on each.

What an optimizer keeps is read and written once a step, so that a part of it on each device costs
little (ZeRO stage 1). Divided parameters are gathered where a layer reads them, once more for the
gradient, and let go; their gradients are divided as soon as they are summed (ZeRO stage 3, or fully
sharded data parallelism): less memory, more traffic.

Source: Rajbhandari et al., ZeRO: Memory Optimizations Toward Training Trillion Parameter Models,
2019, arXiv:1910.02054, section 5; by annotations that the compiler follows, as `infer_sharding` of
github.com/google-research/big_vision does.
"""

import functools
import math
from collections.abc import Callable, Sequence
from typing import Literal, get_args

import jax

from jaxssl import checks, parallel
from jaxssl.types import Array, PyTree, TrainState

Shard = Literal["none", "state", "params"]
# Elements from which a leaf is divided: below, a message costs more than the memory is worth.
MIN_SIZE = 2**14
_DIVIDED = {"none": (), "state": ("opt_state",), "params": ("params", "state", "opt_state")}


def of_state(
    like: TrainState,
    shard: Shard,
    *,
    devices: Sequence[jax.Device] | None = None,
) -> TrainState:
    """The sharding of every leaf of a state: its largest axis that the devices divide.

    Args:
        like: shapes of the state.
        shard: "none": a copy of all on every device; "state": the optimizer's state is divided;
            "params": the parameters and what the method keeps beside them too.
        devices: all devices of all processes by default.

    Returns:
        A ``NamedSharding`` for every leaf, in a tree like the state.

    Raises:
        ValueError: a leaf that should be divided, of which no axis is a multiple of the devices.
    """
    checks.choice("sharding", get_args(Shard), shard=shard)
    mesh = parallel.mesh(devices=devices)
    everywhere = jax.sharding.NamedSharding(mesh, jax.P())

    def place(path: tuple, leaf: jax.ShapeDtypeStruct) -> jax.sharding.NamedSharding:
        if path[0].name not in _DIVIDED[shard] or math.prod(leaf.shape) < MIN_SIZE:
            return everywhere
        axes = [axis for axis, size in enumerate(leaf.shape) if size % mesh.size == 0]
        if not axes:
            name = jax.tree_util.keystr(path, simple=True, separator="/")
            raise ValueError(
                f"run.shard: every leaf of {MIN_SIZE:,} elements or more must have an axis that "
                f"{mesh.size} devices divide; got {name} of {list(leaf.shape)}. Use another number "
                "of devices, another width, or --run.shard none."
            )
        longest = max(axes, key=lambda axis: leaf.shape[axis])
        return jax.sharding.NamedSharding(mesh, jax.P(*[None] * longest, parallel.AXIS))

    return jax.tree_util.tree_map_with_path(place, like)


def gathering(objective: Callable[[PyTree], PyTree], lie: PyTree | None) -> Callable:
    """A function of parameters that gathers those which lie divided, one by one.

    Without it the compiler may divide the work of a layer by its parameters instead of the batch,
    and exchange activations, which are larger.

    Args:
        objective: of the parameters, to be differentiated.
        lie: the sharding of every parameter, and so of its gradient; None: of an unknown mesh.

    Returns:
        The same function of divided parameters; ``objective`` itself without ``lie``.
    """
    if lie is None:
        return objective

    def gathered(params: PyTree) -> PyTree:
        return objective(jax.tree.map(_gather, params, lie))

    if all(leaf.is_fully_replicated for leaf in jax.tree.leaves(lie)):
        return gathered
    # What was gathered is not kept for the backward pass, which gathers again; all else is.
    return jax.checkpoint(
        gathered, policy=lambda primitive, *_, **__: primitive.name != "sharding_constraint"
    )


@functools.partial(jax.custom_vjp, nondiff_argnums=(1,))
def _gather(leaf: Array, lies: jax.sharding.NamedSharding) -> Array:
    return jax.lax.with_sharding_constraint(leaf, _whole(lies))


def _gather_forward(leaf: Array, lies: jax.sharding.NamedSharding) -> tuple[Array, None]:
    return _gather(leaf, lies), None


def _gather_backward(lies: jax.sharding.NamedSharding, _: None, gradient: Array) -> tuple[Array]:
    # Summed first: a product asked for in parts of the features would gather activations for it.
    gradient = jax.lax.with_sharding_constraint(gradient, _whole(lies))
    return (jax.lax.with_sharding_constraint(gradient, lies),)


def _whole(lies: jax.sharding.NamedSharding) -> jax.sharding.NamedSharding:
    return jax.sharding.NamedSharding(lies.mesh, jax.P())


_gather.defvjp(_gather_forward, _gather_backward)
