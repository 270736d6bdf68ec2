"""What iBOT and DINOv2 share: global crops of which patches are hidden, and who reads them."""

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxssl.augment import policies
from jaxssl.methods.shared import functional, multi_crop, vits
from jaxssl.models import drop_path, patches
from jaxssl.pretext import block_masking
from jaxssl.types import Array, Example, Features, Picture, PyTree, Views


def check_encoder(owner: str, encoder: nn.Module, size: int) -> tuple[int, int]:
    """Rows and columns of patches in a global crop of ``size`` pixels.

    Raises:
        ValueError: an encoder without patches or without a class token, or an image that is not a
            multiple of the patches.
    """
    vits.check_encoder(owner, encoder, can="have patches hidden")
    if encoder.config.pool != "class":
        raise ValueError(
            f"{owner}: the encoder must have a class token, pool 'class'; got "
            f"{encoder.config.pool!r}. Set --encoder.pool class."
        )
    return patches.patch_grid(size, size, encoder.config.patch_size, caller=owner)


def make_view(
    augment: policies.MultiCrop,
    key: Array,
    example: Example,
    *,
    depth: int,
    grid: tuple[int, int],
    prob: float,
    ratio: tuple[float, float],
    min_patches: int,
) -> Views:
    """``Method.view``: that of ``multi_crop``, and "hide" [2, N], see ``draw_hidden``."""
    crop_key, mask_key = jax.random.split(key)
    crops = multi_crop.make_view(augment, crop_key, example, depth=depth)

    def draw(key: Array) -> Array:
        return draw_hidden(key, grid, prob=prob, ratio=ratio, min_patches=min_patches)

    return crops | {"hide": jax.vmap(draw)(jax.random.split(mask_key))}


def draw_hidden(
    key: Array,
    grid: tuple[int, int],
    *,
    prob: float,
    ratio: tuple[float, float],
    min_patches: int,
) -> Array:
    """Which patches of a crop are hidden, bool [N]: with probability ``prob`` any at all.

    Then it is a part of them between the two of ``ratio``, rounded down, in blocks of at least
    ``min_patches``.
    """
    key, ratio_key, whether_key = jax.random.split(key, 3)
    low, high = ratio
    part = jax.random.uniform(ratio_key, minval=low, maxval=high)
    num_hidden = jnp.floor(part * (grid[0] * grid[1])).astype(jnp.int32)
    num_hidden = jnp.where(jax.random.bernoulli(whether_key, prob), num_hidden, 0)
    return block_masking.blocks(key, grid, num_hidden, min_patches=min_patches)


def encode_seen(
    encoder: nn.Module, params: PyTree, views: Views, *, rate: float = 0.0
) -> list[Features]:
    """The student's features: of the global crops, without what is hidden, and of the local ones.

    Args:
        encoder: a ViT.
        params: "encoder" and "mask_token".
        views: of ``make_view``.
        rate: of stochastic depth.

    Returns:
        One or two, rows [B V, ...] of the crops of one size.
    """
    found, num_views = [], 0
    for name in ("global", "local"):
        if name not in views:
            continue
        crops, options = views[name], {}
        if rate:
            draws = views["branch"][:, num_views : num_views + crops.shape[1]]
            draws = draws.reshape(-1, *draws.shape[2:])
            options["branch_scale"] = drop_path.branch_scale(draws, rate=rate)
        if name == "global":
            options["hide"] = views["hide"].reshape(-1, views["hide"].shape[-1])
            options["mask_token"] = params["mask_token"]["token"]
        found.append(encode(encoder, params, crops, **options))
        num_views += crops.shape[1]
    return found


def encode(encoder: nn.Module, params: PyTree, crops: Array, **options) -> Features:
    """Features, rows [B V, ...], of crops [B, V, H, W, C]."""
    images = crops.reshape(-1, *crops.shape[2:])
    return encoder.apply({"params": params["encoder"]}, images, **options)  # type: ignore[return-value]


def first_hidden(hide: Array, most: int) -> tuple[Array, Array]:
    """Which patches are hidden, by index, so that no more than those need be looked at.

    Args:
        hide: bool [B, V, N].
        most: K, at least as many as are hidden in any crop.

    Returns:
        int32 [B V, K], hidden patches first, and bool [B V, K], whether they are hidden.
    """
    hide = hide.reshape(-1, hide.shape[-1])
    indices = jnp.argsort(~hide, axis=1)[:, :most]  # stable
    return indices, jnp.take_along_axis(hide, indices, axis=1)


def pick(features: Features, indices: Array) -> Array:
    """Tokens [B V, K, D] of the patches int32 [B V, K]."""
    return patches.gather_rows(features.tokens, indices)


def show(
    network: functional.WithHead, params: PyTree, state: PyTree, *, views: Views
) -> list[Picture]:
    """What the student sees, and which global views the teacher takes for a pair.

    Args:
        network: encoder and head, as the teacher has them.
        params: the teacher's.
        state: the teacher's.
        views: of ``make_view``.
    """
    first, hide = views["global"][:, 0], views["hide"][:, 0]
    seen = vits.cover(first, hide, network.encoder.config.patch_size)
    pictures = multi_crop.show(network, params, state, views=views)
    return [("what the student sees of view a", seen), *pictures]
