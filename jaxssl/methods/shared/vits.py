"""What the methods of masked patches share: asking for a ViT, hiding patches from it, pictures."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxssl import models
from jaxssl.methods.shared import functional
from jaxssl.models import initialization, patches
from jaxssl.types import Array, Picture, PyTree


def check_encoder(owner: str, encoder: nn.Module, *, can: str, sees_pixels: bool = False) -> None:
    """Raises a ValueError unless the encoder is a ViT.

    Args:
        owner: name that the message begins with.
        encoder: that a method is given.
        can: what only a ViT can, as "encode visible patches alone".
        sees_pixels: whether it must see the values of pixels, which the method predicts.
    """
    if not isinstance(encoder, models.ViT):
        raise ValueError(
            f"{owner}: the encoder must be a ViT, which can {can}; got {type(encoder).__name__}. "
            "Use --encoder vit-s/16."
        )
    if sees_pixels and encoder.config.color_space != "rgb":
        raise ValueError(
            f"{owner}: the encoder must see the pixels it reconstructs, color_space 'rgb'; got "
            f"{encoder.config.color_space!r}. Leave --encoder.color-space out."
        )


def count_hidden(owner: str, grid: tuple[int, int], mask_ratio: float) -> int:
    """Patches that a ratio hides of a grid, to the nearest whole number.

    Raises:
        ValueError: none of them, or all.
    """
    num_patches = grid[0] * grid[1]
    num_hidden = round(num_patches * mask_ratio)
    if not 0 < num_hidden < num_patches:
        raise ValueError(
            f"{owner}: mask_ratio must keep at least 1 and hide at least 1 of {num_patches} "
            f"patches; got {mask_ratio}, which hides {num_hidden}."
        )
    return num_hidden


@dataclasses.dataclass(frozen=True)
class WithHidden:
    """A ViT from which patches are hidden, and a head that reads every token.

    Params are {"encoder", "head", "mask_token"}, state {"encoder", "head"}.

    Attributes:
        encoder: a ViT.
        head: a linen module that maps tokens [B, N, D] to [B, N, P].
    """

    encoder: nn.Module
    head: nn.Module

    def init(self, key: Array, images: Array) -> tuple[PyTree, PyTree]:
        """``(params, state)`` from images [B, H, W, C]."""
        network_key, token_key = jax.random.split(key)
        network = functional.WithHead(self.encoder, self.head, read=lambda f: f.tokens)
        params, state = network.init(network_key, images)
        return params | {"mask_token": init_mask_token(token_key, self.encoder)}, state

    def apply(
        self, params: PyTree, state: PyTree, images: Array, hide: Array
    ) -> tuple[Array, PyTree]:
        """``(prediction [B, N, P], state)`` where patches ``hide``, bool [B, N], are not seen."""
        features, encoder_state = functional.apply(
            self.encoder,
            params["encoder"],
            state["encoder"],
            images,
            hide=hide,
            mask_token=params["mask_token"]["token"],
        )
        prediction, head_state = functional.apply(
            self.head, params["head"], state["head"], features.tokens
        )
        return prediction, {"encoder": encoder_state, "head": head_state}


def linear_head(encoder: nn.Module, num_values: int) -> nn.Module:
    """One layer from tokens to as many values, which begins as the linears of a ViT do."""
    kernel = initialization.INITIALIZATIONS[encoder.config.initialization].blocks.linear
    return models.MLP((num_values,), kernel_init=kernel, dtype=encoder.config.dtype)


def init_mask_token(key: Array, encoder: nn.Module) -> PyTree:
    """What hidden patches become, {"token": float32 [D]}, normal with standard deviation 0.02."""
    return {"token": 0.02 * jax.random.normal(key, (encoder.config.dimensions.width,))}


def layer_normalize(tokens: Array) -> Array:
    """LayerNorm without factors over the last axis, epsilon 1e-5: of targets [..., D]."""
    mean = jnp.mean(tokens, axis=-1, keepdims=True)
    variance = jnp.var(tokens, axis=-1, keepdims=True)
    return (tokens - mean) * jax.lax.rsqrt(variance + 1e-5)


def where_of(indices: Array, num_patches: int) -> Array:
    """bool [B, N], True at raster indices int32 [B, K]."""
    return jax.vmap(lambda row: jnp.zeros(num_patches, bool).at[row].set(True))(indices)


def cover(images: Array, hidden: Array, patch_size: int, values: Array | float = 0.5) -> Array:
    """Images with other values at hidden patches.

    Args:
        images: [B, H, W, C].
        hidden: bool [B, N].
        patch_size: side of a patch, pixels.
        values: [B, N, P], read at hidden patches alone, or a grey.

    Returns:
        [B, H, W, C]; patches that are not hidden as they are, bit for bit.
    """
    rows = patches.patchify(images, patch_size)
    covered = jnp.where(hidden[:, :, None], values, rows)
    grid = (images.shape[1] // patch_size, images.shape[2] // patch_size)
    return patches.unpatchify(covered, patch_size, grid=grid)


def denormalize(prediction: Array, target: Array, *, epsilon: float = 1e-6) -> Array:
    """The inverse of ``losses.normalize_patches`` with the statistics of ``target``."""
    variance = jnp.var(target, axis=-1, keepdims=True, ddof=1)
    return prediction * jnp.sqrt(variance + epsilon) + jnp.mean(target, axis=-1, keepdims=True)


def show_hidden(images: Array, hidden: Array, patch_size: int) -> list[Picture]:
    """What ``Method.show`` gives where what is predicted is no picture; see ``cover``."""
    return [("view", images), ("what the encoder sees", cover(images, hidden, patch_size))]


def show_reconstruction(
    images: Array, hidden: Array, prediction: Array, config: models.ViTConfig
) -> list[Picture]:
    """What ``Method.show`` gives where the values of hidden patches are predicted.

    Args:
        images: float32 [B, H, W, C] in [0, 1].
        hidden: bool [B, N].
        prediction: float32 [B, N, P], standardised as the encoder standardises its input; read at
            hidden patches alone.
        config: of the encoder.

    Returns:
        Titles and images float32 [B, H, W, C] in [0, 1].
    """
    size = config.patch_size
    std, mean = (
        jnp.tile(jnp.broadcast_to(jnp.array(value), images.shape[-1:]), size**2)[None, None]
        for value in (config.std, config.mean)
    )
    predicted = jnp.clip(prediction * std + mean, 0, 1)
    reconstruction = ("reconstruction", cover(images, hidden, size, predicted))
    return [*show_hidden(images, hidden, size), reconstruction]
