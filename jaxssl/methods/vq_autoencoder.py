"""VQ autoencoder: the patches of an image as words of a learned vocabulary."""

import dataclasses
from typing import Self, cast

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxssl import checks, losses, models
from jaxssl.augment import policies
from jaxssl.methods.shared import assembly, quantizer, vits
from jaxssl.models import layers, patches
from jaxssl.types import (
    Array,
    EncoderConfig,
    Example,
    Method,
    MethodConfig,
    Picture,
    PyTree,
    Views,
)


@dataclasses.dataclass(frozen=True)
class VQAutoencoder:
    """Autoencoder whose code is a number for each patch: the nearest of M learned directions.

        z_n = unit(W token_n + b),   word_n = argmax_m z_n . e_m,   of unit codes e_m
        loss = mean over pixels of (decoder(e_word) - x)^2
             + mean_n ( codebook_weight ||sg(z_n) - e_word||^2 + commitment ||z_n - sg(e_word)||^2 )

    with x standardised as the encoder's input is, sg the stop-gradient, and the decoder's gradient
    handed to z as it is (straight through). The decoder reads each word by itself and paints its
    patch; what a word means may depend on the whole image, which the encoder sees.

    It differs from the paper in unit codes, which leave fewer unused (Yu et al., Vector-Quantized
    Image Modeling with Improved VQGAN, 2021, arXiv:2110.04627, section 3.2), and in a transformer
    and a head for convolutions. Metric: ``reconstruction_loss``.

    Attributes:
        augment: crop and flip; no colour.
        num_words: M.
        code_dim: features of a code.
        commitment: beta.
        codebook_weight: of moving codes to what they stand for; 1 in the paper.
        decoder_width: features of the decoder.
        decoder_depth: blocks of the decoder.

    Source: van den Oord et al., Neural Discrete Representation Learning, 2017, arXiv:1711.00937,
        eqs. 1 to 3; as a tokenizer: Bao et al., BEiT, 2021, arXiv:2106.08254, section 2.1.
    """

    augment: policies.CropFlip = policies.mae()
    num_words: int = 8192
    code_dim: int = 32
    commitment: float = 0.25
    codebook_weight: float = 1.0
    decoder_width: int = 512
    decoder_depth: int = 3

    def __post_init__(self):
        checks.at_least(self, 2, "num_words", fix="BEiT has 8192.")
        checks.at_least(self, 1, "code_dim", fix="Usual ones have 32.")
        checks.at_least(self, 0, "commitment", "codebook_weight", fix="The paper: 0.25 and 1.")

    def build(self, encoder: nn.Module, *, axis_name: str | None) -> Method:
        """Binds the hyper-parameters; see ``types.Method``.

        Raises:
            ValueError: an encoder without patches, or of another color space; or an image that is
                not a multiple of the patches.
        """
        del axis_name  # nothing here depends on other devices
        owner = type(self).__name__
        vits.check_encoder(owner, encoder, can="give each patch a word", sees_pixels=True)
        config, size = encoder.config, self.augment.size
        patches.patch_grid(size, size, config.patch_size, caller=owner)
        network = self.network(encoder)

        def view(key: Array, example: Example) -> Views:
            return {"image": self.augment(key, example["image"])}

        def init(key: Array, views: Views) -> tuple[PyTree, PyTree]:
            return network.init(key, views["image"])

        def loss(params, state, views, key, clock):
            del key, clock
            images = views["image"]
            rows, words, codes = network.encode(params, images)
            stop = jax.lax.stop_gradient
            straight = rows + stop(codes - rows)
            prediction = network.decode(params, straight, images.shape[-1])
            pixels = layers.standardise(images, config.mean, config.std)
            target = patches.patchify(pixels, config.patch_size)
            everywhere = jnp.ones(words.shape)
            reconstruction = losses.masked_mse(prediction, target, everywhere)
            # Sums over features of a unit vector, not means.
            of_codes = jnp.square(stop(rows) - codes).sum(axis=-1).mean(axis=1)
            of_rows = jnp.square(rows - stop(codes)).sum(axis=-1).mean(axis=1)
            values = reconstruction + self.codebook_weight * of_codes + self.commitment * of_rows
            return values, (state, {"reconstruction_loss": stop(reconstruction.mean())})

        def show(params: PyTree, state: PyTree, views: Views) -> list[Picture]:
            """The views, and what their words say."""
            del state
            images = views["image"]
            _, words, _ = network.encode(params, images)
            first, _, rebuilt = network.show(params, images, jnp.ones(words.shape, bool), words)
            return [first, rebuilt]

        return assembly.assemble(view, init, loss, size=size, show=show)

    def network(self, encoder: nn.Module) -> quantizer.Quantizer:
        """The network, around an encoder that was checked."""
        sizes = self.num_words, self.code_dim, self.decoder_width, self.decoder_depth
        return quantizer.Quantizer(encoder, *sizes)


@dataclasses.dataclass(frozen=True)
class Tokenizer:
    """A VQ autoencoder whose words another method names, as the run that trained it recorded it.

    Attributes:
        method: of that run.
        encoder: of that run.
    """

    method: VQAutoencoder
    encoder: models.ViTConfig

    @classmethod
    def of_run(cls, owner: str, method: MethodConfig, encoder: EncoderConfig) -> Self:
        """What ``MethodConfig.with_tokenizer`` keeps of a run.

        Args:
            owner: name that the message begins with.
            method: of the run.
            encoder: of the run.

        Raises:
            ValueError: a run of another method, which has no words.
        """
        if not isinstance(method, VQAutoencoder):
            raise ValueError(
                f"{owner}: the tokenizer must be the run of a VQAutoencoder, which has words; got "
                f"that of a {type(method).__name__}. Train one: jaxssl pretrain "
                "vq_autoencoder_fashion_mnist --out runs/words."
            )
        return cls(method, cast(models.ViTConfig, encoder))


def network_for(owner: str, tokenizer: Tokenizer | None, patch_size: int) -> quantizer.Quantizer:
    """The network of a tokenizer that has a word for each patch of an encoder.

    Args:
        owner: name that the messages begin with.
        tokenizer: that a method is given; None if none was named.
        patch_size: of the encoder that names its words, pixels.

    Raises:
        ValueError: none, or one whose patches are others.
    """
    if tokenizer is None:
        raise ValueError(
            f"{owner}: the tokenizer must be a trained VQAutoencoder, whose words are named; got "
            "none. Name the directory of its run: --tokenizer RUN."
        )
    theirs = tokenizer.encoder.patch_size
    if theirs != patch_size:
        raise ValueError(
            f"{owner}: the encoder's patches must be the tokenizer's, which has a word for each; "
            f"got {patch_size} and {theirs} pixels. Set --encoder.patch-size {theirs}, or name "
            "another --tokenizer."
        )
    return tokenizer.method.network(tokenizer.encoder.build())
