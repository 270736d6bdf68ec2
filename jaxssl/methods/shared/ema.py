"""The target network: a slow copy of the online one, moved by an exponential average."""

from collections.abc import Sequence

import jax
import jax.numpy as jnp

from jaxssl.types import Array, PyTree

PUBLISHED = "Published values lie between 0.9 and 0.9999."  # of momenta, for who refuses another


def start(params: PyTree, state: PyTree, names: Sequence[str]) -> PyTree:
    """The target at the beginning: a copy of the named parts of the online network.

    Args:
        params: of the online network.
        state: of the online network.
        names: the parts that the target has, as ("encoder", "projector").

    Returns:
        {"params": {name: ...}, "state": {name: ...}} in arrays of their own, since a tree that
        aliases another breaks donation.
    """
    chosen = {
        "params": {name: params[name] for name in names},
        "state": {name: state[name] for name in names},
    }
    return jax.tree.map(jnp.copy, chosen)


def follow(target: PyTree, params: PyTree, momentum: Array | float) -> PyTree:
    """The target of ``start`` after the online parameters moved: ``update`` of its parameters."""
    online = {name: params[name] for name in target["params"]}
    return target | {"params": update(target["params"], online, momentum)}


def update(target: PyTree, online: PyTree, momentum: Array | float) -> PyTree:
    """Moves a target towards the online parameters: m target + (1 - m) online, leaf by leaf.

    Args:
        target: floating leaves.
        online: the same tree.
        momentum: m in [0, 1]; 1 leaves the target as it is. May be traced.

    Returns:
        The new target, in the target's dtypes.

    Source: He et al.: Momentum Contrast, 2019, arXiv 1911.05722, eq. 2; Grill et al.: Bootstrap
    Your Own Latent, 2020, arXiv 2006.07733, eq. 1.
    """

    def move(old: Array, new: Array) -> Array:
        rate = 1 - jnp.asarray(momentum, old.dtype)
        return old + rate * (new.astype(old.dtype) - old)

    return jax.tree.map(move, target, online)


def warm_up(momentum: float, step: Array) -> Array:
    """A momentum that forgets the beginning fast: min(m, (1 + t) / (10 + t)), from 0.1 on.

    For what begins with values that mean nothing, as running statistics of mean 0 and variance 1:
    with a constant momentum of 0.99 a third of them is left after a hundred steps.

    Args:
        momentum: m in [0, 1], from step (10 m - 1) / (1 - m) on.
        step: t, int32 scalar, updates made before this one.

    Returns:
        float32 scalar.

    Source: the rule of TensorFlow's ExponentialMovingAverage with ``num_updates``.
    """
    return jnp.minimum(jnp.float32(momentum), (1 + step) / (10 + step))
