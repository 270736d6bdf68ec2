"""How far an online network has moved away from its target."""

from collections.abc import Mapping

import jax
import jax.numpy as jnp
from jax import lax

from jaxssl.types import Array, PyTree


def target_distance(online: PyTree, target: PyTree) -> Array:
    """Relative distance of the online parameters to those of the target.

        value = || online - target || / || online ||      (over all leaves together)

    0 where they are equal, as when a run begins. What a slow target lags behind: it grows with the
    learning rate and with the momentum, and falls as they decay.

    Args:
        online: floating leaves, equal on all devices.
        target: the same tree.

    Returns:
        Scalar, float32, at least 0; 0 where the online parameters are all 0.
    """

    def square(leaf: Array) -> Array:
        return jnp.sum(jnp.square(lax.stop_gradient(leaf).astype(jnp.float32)))

    def total(tree: PyTree) -> Array:
        return sum(jax.tree.leaves(jax.tree.map(square, tree)))  # type: ignore[return-value]

    def difference(ours: Array, theirs: Array) -> Array:
        return ours.astype(jnp.float32) - theirs.astype(jnp.float32)

    apart, whole = total(jax.tree.map(difference, online, target)), total(online)
    return jnp.sqrt(apart / jnp.where(whole == 0, 1, whole))


def online_and_target(params: PyTree, state: PyTree) -> tuple[PyTree, PyTree] | None:
    """The parameters that a method's target follows, and the target's; None of one without.

    Args:
        params: of a method.
        state: of a method; the target of one that has any is ``state["target"]["params"]``.
    """
    target = state.get("target") if isinstance(state, Mapping) else None
    target = target.get("params") if isinstance(target, Mapping) else None
    if not isinstance(target, Mapping) or not target.keys() <= params.keys():
        return None
    return {name: params[name] for name in target}, target
