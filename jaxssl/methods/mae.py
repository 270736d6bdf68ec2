"""Masked autoencoder: from a quarter of the patches, what were the others?"""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxssl import losses, models
from jaxssl.augment import policies
from jaxssl.methods.shared import assembly, functional, vits
from jaxssl.models import layers, patches, predictor
from jaxssl.pretext import masking
from jaxssl.types import Array, Example, Features, Method, Picture, PyTree, Views


@dataclasses.dataclass(frozen=True)
class MAE:
    """Masked autoencoder, asymmetric: the encoder embeds and sees visible patches only.

    A light decoder reads the encoded patches and predicts the values of the masked ones; the loss
    is their mean squared error over masked patches alone: visible ones are not predicted.

    Weight decay touches kernels alone (``OptimizerConfig``); the official code spares biases and
    normalisation but decays the class token and the mask token too.

    Attributes:
        augment: crop and flip; no colour.
        mask_ratio: fraction of patches that are masked.
        decoder_width: features of a decoder token.
        decoder_depth: blocks of the decoder.
        decoder_heads: attention heads of the decoder.
        normalize_target: predict patches normalised by their own mean and variance
            (norm_pix_loss; off in the official code unless asked for, on in its recipe).

    Source: He et al., Masked Autoencoders Are Scalable Vision Learners, 2021, arXiv:2111.06377,
        sec. 3; main_pretrain.py and PRETRAIN.md of github.com/facebookresearch/mae.
    """

    augment: policies.CropFlip = policies.mae()
    mask_ratio: float = 0.75
    decoder_width: int = 512
    decoder_depth: int = 8
    decoder_heads: int = 16
    normalize_target: bool = True

    def build(self, encoder: nn.Module, *, axis_name: str | None) -> Method:
        """Binds the hyper-parameters; see ``types.Method``.

        Raises:
            ValueError: an encoder without patches, or of another color space; or an image that is
                not a multiple of the patches.
        """
        del axis_name  # nothing here depends on other devices
        vits.check_encoder("MAE", encoder, can="encode visible patches alone", sees_pixels=True)
        config, size = encoder.config, self.augment.size
        rows, columns = patches.patch_grid(size, size, config.patch_size, caller="MAE")

        def view(key: Array, example: Example) -> Views:
            augment_key, mask_key = jax.random.split(key)
            keep, masked = masking.random_masking(mask_key, rows * columns, self.mask_ratio)
            image = self.augment(augment_key, example["image"])
            return {"image": image, "keep": keep, "masked": masked}

        def init(key: Array, views: Views) -> tuple[PyTree, PyTree]:
            encoder_key, decoder_key = jax.random.split(key)
            images = views["image"]
            params, state = functional.init(encoder, encoder_key, images, keep=views["keep"])
            variables = functional.variables(params, state)
            features = encoder.apply(variables, images, keep=views["keep"])
            decoder = self._decoder(config, images.shape[-1])
            args, kwargs = _decoder_inputs(config, features, views)  # type: ignore[arg-type]
            decoder_params, _ = functional.init(decoder, decoder_key, *args, **kwargs)
            return {"encoder": params, "decoder": decoder_params}, {"encoder": state}

        def loss(params, state, views, key, clock):
            del key, clock
            prediction, target, encoder_state = self._predict(encoder, params, state, views)
            if self.normalize_target:
                target = losses.normalize_patches(target)
            values = losses.masked_mse(prediction, target, jnp.ones(views["masked"].shape))
            return values, ({"encoder": encoder_state}, {})

        return assembly.assemble(
            view,
            init,
            loss,
            size=self.augment.size,
            show=functools.partial(self._show, encoder),
        )

    def _show(
        self, encoder: nn.Module, params: PyTree, state: PyTree, views: Views
    ) -> list[Picture]:
        """The views, what the encoder saw of them, and what the decoder makes of the rest.

        Returns:
            Titles and images float32 [B, H, W, C] in [0, 1]. Visible patches of the reconstruction
            are the view's own, bit for bit; a prediction of normalised patches is brought back with
            the mean and variance of the patch it stands for, which the network was never asked for.
        """
        images, config = views["image"], encoder.config
        prediction, target, _ = self._predict(encoder, params, state, views)
        if self.normalize_target:
            prediction = vits.denormalize(prediction, target)
        rows = jnp.zeros_like(patches.patchify(images, config.patch_size))
        put = jax.vmap(lambda rows, at, values: rows.at[at].set(values))
        return vits.show_reconstruction(
            images,
            vits.where_of(views["masked"], rows.shape[1]),
            put(rows, views["masked"], prediction),
            config,
        )

    def _decoder(self, config: models.ViTConfig, channels: int) -> nn.Module:
        return predictor.MaskedPredictor(
            out_dim=config.patch_size**2 * channels,
            width=self.decoder_width,
            depth=self.decoder_depth,
            num_heads=self.decoder_heads,
            scan_layers=config.scan_layers,
            remat=config.remat,
            dtype=config.dtype,
        )

    def _predict(
        self, encoder: nn.Module, params: PyTree, state: PyTree, views: Views
    ) -> tuple[Array, Array, PyTree]:
        """Predicted and true values of the masked patches [B, N - K, P], and the encoder's state.

        The true values are standardised as the encoder's input is, and not yet normalised.
        """
        config, images = encoder.config, views["image"]
        features, encoder_state = functional.apply(
            encoder, params["encoder"], state["encoder"], images, keep=views["keep"]
        )
        args, kwargs = _decoder_inputs(config, features, views)
        decoder = self._decoder(config, images.shape[-1])
        prediction = decoder.apply({"params": params["decoder"]}, *args, **kwargs)
        standardised = layers.standardise(images, config.mean, config.std)
        target = patches.patchify(standardised, config.patch_size)
        return prediction, patches.gather_rows(target, views["masked"]), encoder_state  # type: ignore[return-value]


def _decoder_inputs(
    config: models.ViTConfig, features: Features, views: Views
) -> tuple[tuple, dict]:
    height, width = views["image"].shape[1:3]
    return (
        (features.tokens, views["keep"], views["masked"]),
        {
            "grid": (height // config.patch_size, width // config.patch_size),
            "class_token": features.pooled if config.pool == "class" else None,
        },
    )
