"""What the multi-crop methods share: making crops of two sizes, encoding them, pictures."""

from collections.abc import Mapping

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxssl import models
from jaxssl.augment import policies
from jaxssl.methods.shared import functional, two_views
from jaxssl.models import drop_path
from jaxssl.types import Array, Example, Picture, PyTree, Views


def make_view(
    augment: policies.MultiCrop, key: Array, example: Example, *, depth: int = 0
) -> Views:
    """``Method.view``: {"global": [U, H, W, C], "local": [L, h, w, C]}, no "local" where L is 0.

    Where ``depth`` is above 0 there are also the draws of stochastic depth, "branch" [U + L, depth,
    2]: they belong to the example, so no number of devices changes them.
    """
    if not depth:
        return augment(key, example["image"])
    crop_key, branch_key = jax.random.split(key)
    views = augment(crop_key, example["image"])
    num_views = sum(len(crops) for crops in views.values())
    return views | {"branch": jax.random.uniform(branch_key, (num_views, depth, 2))}


def count_blocks_to_draw(owner: str, rate: float, encoder: nn.Module) -> int:
    """Blocks that stochastic depth needs draws for: the encoder's, or 0 where ``rate`` is 0.

    Raises:
        ValueError: ``rate`` is above 0 and the encoder no ViT.
    """
    if not rate:
        return 0
    if not isinstance(encoder, models.ViT):
        raise ValueError(
            f"{owner}: drop_path must be 0 where the encoder is no ViT; got {rate} and "
            f"{type(encoder).__name__}."
        )
    return encoder.config.dimensions.depth


def apply(
    network: functional.WithHead,
    params: PyTree,
    state: PyTree,
    crops: Mapping[str, Array],
    *,
    rate: float = 0.0,
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
        rate: of stochastic depth in a ViT, by the draws "branch" [B, V, depth, 2] of ``crops``.

    Returns:
        ``(outputs [B, V, D], state)``, V = U + L, global crops first.
    """
    encoder_state = state["encoder"]
    parts, num_views = [], 0
    for name in ("global", "local"):
        if name in crops:
            options = {}
            if rate:
                draws = crops["branch"][:, num_views : num_views + crops[name].shape[1]]
                options["branch_scale"] = drop_path.branch_scale(_rows(draws), rate=rate)
            of_size, encoder_state = functional.apply(
                network.encoder, params["encoder"], encoder_state, _rows(crops[name]), **options
            )
            parts.append(_like(network.read(of_size), crops[name]))
            num_views += crops[name].shape[1]
    features = jnp.concatenate(parts, axis=1)
    outputs, head_state = functional.apply(
        network.head, params[network.name], state[network.name], _rows(features)
    )
    return _like(outputs, features), {"encoder": encoder_state, network.name: head_state}


def show(
    network: functional.WithHead, params: PyTree, state: PyTree, views: Views
) -> list[Picture]:
    """``Method.show``: both global views and which the network takes for a pair; a local view.

    Args:
        network: encoder and projector.
        params: of a checkpoint.
        state: of a checkpoint.
        views: a batch of what ``make_view`` makes, with two global views.

    Returns:
        Titles and images float32 [B, H, W, C] in [0, 1]; the local view is enlarged.
    """
    pair = {"a": views["global"][:, 0], "b": views["global"][:, 1]}
    pictures = two_views.show(network, params, state, pair)
    if "local" in views:
        local = views["local"][:, 0]
        pictures.append(("a local view", jax.image.resize(local, pair["a"].shape, "nearest")))
    return pictures


def _rows(views: Array) -> Array:
    """[B, V, ...] as [B V, ...]."""
    return views.reshape(-1, *views.shape[2:])


def _like(rows: Array, views: Array) -> Array:
    """[B V, ...] as [B, V, ...], the first axes those of ``views``."""
    return rows.reshape(*views.shape[:2], *rows.shape[1:])
