"""What an optimizer computes of each layer on its own: norms for clipping and for LARS.

A layer is a parameter array of the network, such as one kernel. With ``scan_layers`` the blocks of
a transformer lie stacked in one array under "blocks" (``models.transformer.apply_blocks``); there
each block counts on its own, so that stacked and unstacked parameters are trained alike.
"""

from collections.abc import Callable

import jax
import jax.numpy as jnp
import optax

from jaxssl.types import Array, PyTree

_STACKED = "blocks"


def clip_each(max_norm: float) -> optax.GradientTransformation:
    """Shortens the gradient of every layer whose norm exceeds ``max_norm``.

        g <- g min(1, max_norm / (||g|| + 1e-6))

    Unlike clipping by the global norm it changes the direction of the whole gradient: layers with
    large gradients lose, the others do not.

    Args:
        max_norm: above 0.

    Source: Caron et al., DINO, 2021, ``clip_gradients`` in the authors' utils.py.
    """

    def clipped(update: Array) -> Array:
        norm = jnp.linalg.norm(update.ravel())
        return update * jnp.minimum(1, max_norm / (norm + 1e-6))

    return optax.stateless(lambda updates, params: _by_layer(clipped, updates))


def scale_by_trust_ratio(trust_coefficient: float) -> optax.GradientTransformation:
    """Scales the update of every layer to a fraction of the length of its weights, as LARS does.

        g <- g trust_coefficient ||w|| / ||g||,   g where one of the norms is 0

    Args:
        trust_coefficient: eta, above 0.

    Source: You et al.: Large Batch Training of Convolutional Networks, 2017, arXiv 1708.03888,
        eq. 6.
    """
    of_one = optax.scale_by_trust_ratio(trust_coefficient=trust_coefficient)

    def scaled(update: Array, param: Array) -> Array:
        return of_one.update(update, optax.EmptyState(), param)[0]

    return optax.stateless(lambda updates, params: _by_layer(scaled, updates, params))


def _by_layer(function: Callable[..., Array], *trees: PyTree) -> PyTree:
    """Maps a function of one layer's arrays over trees like params."""

    def of_leaf(path, *leaves):
        is_stacked = any(getattr(entry, "key", None) == _STACKED for entry in path)
        return (jax.vmap(function) if is_stacked else function)(*leaves)

    return jax.tree_util.tree_map_with_path(of_leaf, *trees)
