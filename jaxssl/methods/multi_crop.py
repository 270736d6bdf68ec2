"""What the multi-crop methods share: making crops of two sizes, encoding them, pictures."""

from collections.abc import Callable, Mapping

import jax
import jax.numpy as jnp

from jaxssl.augment import recipes
from jaxssl.methods import two_views
from jaxssl.models import functional
from jaxssl.types import Array, Example, PyTree, Views


def view(augment: recipes.MultiCrop) -> Callable[[Array, Example], Views]:
    """``Method.view``: {"global": [U, H, W, C], "local": [L, h, w, C]}, no "local" where L is 0."""
    return lambda key, example: augment(key, example["image"])


def apply(
    network: functional.WithHead, params: PyTree, state: PyTree, crops: Mapping[str, Array]
) -> tuple[Array, PyTree]:
    """Applies encoder and head to all crops of a batch, in training mode.

    The encoder runs once per size, so that its batch statistics are those of all crops of one size
    together; the running ones see the global crops first. The head runs once, on the features of
    all crops. The official code of SwAV and DINO does the same.

    Args:
        network: encoder and head.
        params: of the network.
        state: of the network.
        crops: "global" [B, U, H, W, C], and "local" [B, L, h, w, C] where there are local crops.

    Returns:
        ``(outputs [B, V, D], state)``, V = U + L, global crops first.
    """
    encoder_state = state["encoder"]
    features = []
    for name in ("global", "local"):
        if name in crops:
            of_size, encoder_state = functional.apply(
                network.encoder, params["encoder"], encoder_state, _rows(crops[name])
            )
            features.append(_like(network.read(of_size), crops[name]))
    features = jnp.concatenate(features, axis=1)
    outputs, head_state = functional.apply(
        network.head, params[network.name], state[network.name], _rows(features)
    )
    return _like(outputs, features), {"encoder": encoder_state, network.name: head_state}


def pictures(
    network: functional.WithHead, params: PyTree, state: PyTree, views: Views
) -> list[tuple[str, Array]]:
    """Both global views and which of them the network takes for a pair; a local view, enlarged.

    Args:
        network: encoder and projector, built without an axis name.
        params: of a checkpoint.
        state: of a checkpoint.
        views: a batch of what ``view`` makes, with two global views.

    Returns:
        Titles and images float32 [B, H, W, C] in [0, 1].
    """
    pair = {"a": views["global"][:, 0], "b": views["global"][:, 1]}
    shown = two_views.pictures(network, params, state, pair)
    if "local" in views:
        local = views["local"][:, 0]
        shown.append(("a local view", jax.image.resize(local, pair["a"].shape, "nearest")))
    return shown


def _rows(views: Array) -> Array:
    """[B, V, ...] as [B V, ...]."""
    return views.reshape(-1, *views.shape[2:])


def _like(rows: Array, views: Array) -> Array:
    """[B V, ...] as [B, V, ...], the first axes those of ``views``."""
    return rows.reshape(*views.shape[:2], *rows.shape[1:])
