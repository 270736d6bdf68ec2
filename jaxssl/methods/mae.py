"""Masked autoencoder: from a quarter of the patches, what were the others?"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxssl import losses, models
from jaxssl.augment import recipes
from jaxssl.models import decoders, functional, layers, patches
from jaxssl.pretext import masking
from jaxssl.types import Array, Example, Method, PyTree, Views


@dataclasses.dataclass(frozen=True)
class MAE:
    """Masked autoencoder, asymmetric: the encoder embeds and sees visible patches only.

    A light decoder reads the encoded patches and predicts the values of the masked ones; the loss
    is their mean squared error, and visible patches are neither predicted nor priced.

    Attributes:
        augment: crop and flip; no colour.
        mask_ratio: fraction of patches that are masked.
        decoder_width: features of a decoder token.
        decoder_depth: blocks of the decoder.
        decoder_heads: attention heads of the decoder.
        normalize_target: predict patches normalised by their own mean and variance
            (norm_pix_loss).

    Source: He et al., Masked Autoencoders Are Scalable Vision Learners, 2021, arXiv:2111.06377,
        sec. 3.
    """

    augment: recipes.MAE = recipes.MAE(size=224)
    mask_ratio: float = 0.75
    decoder_width: int = 512
    decoder_depth: int = 8
    decoder_heads: int = 16
    normalize_target: bool = True

    def build(self, encoder: nn.Module, *, axis_name: str | None) -> Method:
        """Binds the hyper-parameters; see ``types.Method``.

        Raises:
            ValueError: an encoder without patches, or an image that is not a multiple of them.
        """
        del axis_name  # nothing here depends on other devices
        if not isinstance(encoder, models.ViT):
            raise ValueError(
                f"MAE: the encoder must be a ViT, which can encode visible patches alone; got "
                f"{type(encoder).__name__}. Use --encoder of a ViT recipe."
            )
        config, size = encoder.config, self.augment.size
        grid = patches.patch_grid(size, size, config.patch_size, caller="MAE")
        num_patches = grid[0] * grid[1]

        def decoder(channels: int) -> nn.Module:
            return decoders.MAEDecoder(
                patch_values=config.patch_size**2 * channels,
                width=self.decoder_width,
                depth=self.decoder_depth,
                num_heads=self.decoder_heads,
                scan_layers=config.scan_layers,
                remat=config.remat,
                dtype=config.dtype,
            )

        def decoder_inputs(features, views) -> tuple[tuple, dict]:
            class_token = features.pooled if config.pool == "class" else None
            return (
                (features.tokens, views["keep"], views["masked"]),
                {"grid": grid, "class_token": class_token},
            )

        def view(key: Array, example: Example) -> Views:
            augment_key, mask_key = jax.random.split(key)
            keep, masked = masking.random_masking(mask_key, num_patches, self.mask_ratio)
            image = self.augment(augment_key, example["image"])
            return {"image": image, "keep": keep, "masked": masked}

        def init(key: Array, views: Views) -> tuple[PyTree, PyTree]:
            encoder_key, decoder_key = jax.random.split(key)
            images = views["image"]
            params, state = functional.init(encoder, encoder_key, images, keep=views["keep"])
            variables = functional.variables(params, state)
            features = encoder.apply(variables, images, keep=views["keep"])
            args, kwargs = decoder_inputs(features, views)
            decoder_params, _ = functional.init(
                decoder(images.shape[-1]), decoder_key, *args, **kwargs
            )
            return {"encoder": params, "decoder": decoder_params}, {"encoder": state}

        def loss(params, state, views, key, step):
            del key, step
            images = views["image"]
            features, encoder_state = functional.apply(
                encoder, params["encoder"], state["encoder"], images, keep=views["keep"]
            )
            args, kwargs = decoder_inputs(features, views)
            prediction = decoder(images.shape[-1]).apply(
                {"params": params["decoder"]}, *args, **kwargs
            )
            target = patches.patchify(
                layers.standardise(images, config.mean, config.std), config.patch_size
            )
            target = patches.gather_rows(target, views["masked"])
            if self.normalize_target:
                target = losses.normalize_patches(target)
            values = losses.masked_mse(prediction, target, jnp.ones(views["masked"].shape))
            return values, ({"encoder": encoder_state}, {})

        return Method(
            view=view,
            init=init,
            loss=loss,
            advance=lambda params, state, step: state,
            encoder=lambda params, state: functional.variables(params["encoder"], state["encoder"]),
        )
