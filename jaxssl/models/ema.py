"""The target network: a slow copy of the online one, moved by an exponential average."""

import jax
import jax.numpy as jnp

from jaxssl.types import Array, PyTree


def copy(tree: PyTree) -> PyTree:
    """The same values in arrays of their own: a tree that aliases another breaks donation."""
    return jax.tree.map(jnp.copy, tree)


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

    def moved(old: Array, new: Array) -> Array:
        rate = 1 - jnp.asarray(momentum, old.dtype)
        return old + rate * (new.astype(old.dtype) - old)

    return jax.tree.map(moved, target, online)
