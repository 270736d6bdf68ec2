"""VQ autoencoder: the patches of an image as words of a learned vocabulary."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxssl import checks, losses, models
from jaxssl.augment import policies
from jaxssl.methods.shared import assembly, functional, vits
from jaxssl.models import initialization, layers, patches, residual_mlp
from jaxssl.types import Array, Example, Method, Picture, PyTree, Views


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
        kernels = initialization.INITIALIZATIONS[config.initialization].blocks
        narrow = models.MLP((self.code_dim,), kernel_init=kernels.linear, dtype=config.dtype)

        def decoder_of(images: Array) -> nn.Module:
            return residual_mlp.ResidualMLP(
                out_dim=config.patch_size**2 * images.shape[-1],
                width=self.decoder_width,
                depth=self.decoder_depth,
                dtype=config.dtype,
                kernels=kernels,
            )

        def view(key: Array, example: Example) -> Views:
            return {"image": self.augment(key, example["image"])}

        def init(key: Array, views: Views) -> tuple[PyTree, PyTree]:
            encoder_key, narrow_key, code_key, decoder_key = jax.random.split(key, 4)
            images = views["image"]
            params, state = functional.init(encoder, encoder_key, images)
            tokens = jnp.zeros((1, 1, config.dimensions.width))
            codes = jnp.zeros((1, 1, self.code_dim))
            return {
                "encoder": params,
                "narrow": functional.init(narrow, narrow_key, tokens)[0],
                "codebook": {"codes": jax.random.normal(code_key, (self.num_words, self.code_dim))},
                "decoder": functional.init(decoder_of(images), decoder_key, codes)[0],
            }, {"encoder": state}

        def encode(params: PyTree, images: Array) -> tuple[Array, Array, Array]:
            """Unit rows z [B, N, d], the words nearest to them [B, N], and their unit codes."""
            tokens = encoder.apply({"params": params["encoder"]}, images).tokens
            rows = _unit(narrow.apply({"params": params["narrow"]}, tokens))
            codes = _unit(params["codebook"]["codes"])
            words = losses.nearest_neighbours(rows.reshape(-1, self.code_dim), codes)
            words = words.reshape(rows.shape[:2])
            return rows, words, codes[words]

        def decode(params: PyTree, rows: Array, images: Array) -> Array:
            return decoder_of(images).apply({"params": params["decoder"]}, rows)

        def loss(params, state, views, key, clock):
            del key, clock
            images = views["image"]
            rows, words, codes = encode(params, images)
            stop = jax.lax.stop_gradient
            prediction = decode(params, rows + stop(codes - rows), images)
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
            _, words, codes = encode(params, images)
            everywhere = jnp.ones(words.shape, bool)
            (first, _, rebuilt) = vits.show_reconstruction(
                images, everywhere, decode(params, codes, images), config
            )
            return [first, rebuilt]

        return assembly.assemble(view, init, loss, size=size, show=show)


def _unit(rows: Array) -> Array:
    squares = jnp.sum(jnp.square(rows), axis=-1, keepdims=True)
    return rows * jax.lax.rsqrt(jnp.maximum(squares, 1e-12))
