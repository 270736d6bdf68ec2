"""CAE: tokens of hidden patches from those of visible ones, and the words that they stand for."""

import dataclasses
from typing import Self

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxssl import checks, losses
from jaxssl.augment import policies
from jaxssl.methods import vq_autoencoder
from jaxssl.methods.shared import assembly, functional, language, vits
from jaxssl.models import initialization, latent_regressor, patches
from jaxssl.pretext import block_masking
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
class CAE:
    """Context autoencoder: the encoder describes what it sees, a regressor what it does not.

    The encoder sees visible patches alone. A regressor makes tokens z of the hidden patches of
    theirs, and a decoder scores the words of a tokenizer from z alone; the tokenizer sees the whole
    view, is frozen, and is another run's, a VQAutoencoder (``--tokenizer RUN``). What z is to be,
    the same encoder says of the hidden patches, without a gradient:

        loss = mean over hidden patches of  -log softmax(decoder(z)_n) at word_n(view)
             + alignment_weight · mean over values of (z_n - sg(encoder(hidden patches))_n)^2

    Metrics: ``accuracy`` of naming hidden patches, ``bits_per_token`` and ``alignment_loss``.

    It differs from the official code in the tokenizer (there DALL-E's, which sees the crop at half
    the size), in that the encoder that is aligned with is the present one (there, a copy one step
    behind), in that regressor and decoder have the encoder's width (there, 768 for a ViT-L), in
    stochastic depth (there 0.1), and in hiding an exact number of patches
    (``pretext.block_masking.blocks``). What the optimizer adds in the official run: AdamW, a weight
    decay of 0.05, a gradient clipped at 3.

    Attributes:
        augment: crop and flip; no colour.
        mask_ratio: fraction of patches that are hidden, rounded to a whole number: 98 of 196.
        min_block: area of the smallest block, patches.
        regressor_depth: blocks of the regressor.
        decoder_depth: blocks of the decoder.
        decoder_heads: heads in each block of both.
        decoder_scale: what the factors of their branches begin with.
        alignment_weight: of the second part.
        tokenizer: whose words are named; ``with_tokenizer`` sets it.

    Source: Chen et al., Context Autoencoder for Self-Supervised Representation Learning, 2022,
        arXiv:2202.03026, section 3; numbers of scripts/cae_base_800e.sh of github.com/lxtGH/CAE, to
        which ``layer_scale=0.1`` of the encoder belongs.
    """

    augment: policies.CropFlip = policies.CropFlip(
        224, crop_scale=(0.08, 1.0), interpolation="cubic"
    )
    mask_ratio: float = 0.5
    min_block: int = 16
    regressor_depth: int = 4
    decoder_depth: int = 4
    decoder_heads: int = 12
    decoder_scale: float = 0.1
    alignment_weight: float = 2.0
    tokenizer: vq_autoencoder.Tokenizer | None = None

    def __post_init__(self):
        checks.at_least(self, 1, "min_block", fix="The authors have 16.")
        checks.at_least(self, 1, "regressor_depth", "decoder_depth", fix="The authors have 4.")
        checks.at_least(self, 0, "alignment_weight", fix="The authors have 2.")
        checks.above(self, 0, "decoder_scale", fix="The authors have 0.1.")

    def with_tokenizer(self, method: MethodConfig, encoder: EncoderConfig) -> Self:
        """A copy that names the words of such a run; see ``types.MethodConfig``."""
        tokenizer = vq_autoencoder.Tokenizer.of_run("CAE", method, encoder)
        return dataclasses.replace(self, tokenizer=tokenizer)

    def build(self, encoder: nn.Module, *, axis_name: str | None) -> Method:
        """Binds the hyper-parameters; see ``types.Method``.

        Raises:
            ValueError: an encoder without patches; no tokenizer, or one of other patches; an image
                that is not a multiple of the patches; or a mask that hides none of them or all.
        """
        del axis_name  # nothing here depends on other devices
        vits.check_encoder("CAE", encoder, can="encode visible patches alone")
        size, patch_size = self.augment.size, encoder.config.patch_size
        tokenizer = vq_autoencoder.network_for("CAE", self.tokenizer, patch_size)
        grid = patches.patch_grid(size, size, patch_size, caller="CAE")
        num_hidden = vits.count_hidden("CAE", grid, self.mask_ratio)
        regressor = self._regressor(encoder, tokenizer.num_words)

        def view(key: Array, example: Example) -> Views:
            augment_key, mask_key = jax.random.split(key)
            image = self.augment(augment_key, example["image"])
            hide = block_masking.blocks(mask_key, grid, num_hidden, min_patches=self.min_block)
            order = jnp.argsort(hide).astype(jnp.int32)  # stable: both parts ascend
            return {"image": image, "keep": order[:-num_hidden], "hidden": order[-num_hidden:]}

        def encode(params: PyTree, images: Array, keep: Array) -> Array:
            return encoder.apply({"params": params}, images, keep=keep).tokens  # type: ignore[union-attr]

        def init(key: Array, views: Views) -> tuple[PyTree, PyTree]:
            encoder_key, regressor_key, tokenizer_key = jax.random.split(key, 3)
            images, keep, hidden = (views[name] for name in ("image", "keep", "hidden"))
            params, state = functional.init(encoder, encoder_key, images, keep=keep)
            visible = encode(params, images, keep)
            of_regressor, _ = functional.init(
                regressor, regressor_key, visible, keep, hidden, grid=grid
            )
            # Of its run when this one begins: what is drawn here has its shapes.
            words, _ = tokenizer.init(tokenizer_key, images)
            return (
                {"encoder": params, "regressor": of_regressor},
                {"encoder": state, "tokenizer": words},
            )

        def predict(params: PyTree, views: Views) -> tuple[Array, Array]:
            """Tokens [B, A, D] of hidden patches, and scores [B, A, M] of their words."""
            images, keep, hidden = (views[name] for name in ("image", "keep", "hidden"))
            visible = encode(params["encoder"], images, keep)
            variables = {"params": params["regressor"]}
            return regressor.apply(variables, visible, keep, hidden, grid=grid)  # type: ignore[return-value]

        def loss(params, state, views, key, clock):
            del key, clock
            images, hidden = views["image"], views["hidden"]
            latent, scores = predict(params, views)
            target = jax.lax.stop_gradient(encode(params["encoder"], images, hidden))
            _, words, _ = tokenizer.encode(state["tokenizer"], images)
            words = jnp.take_along_axis(words, hidden, axis=1)
            values, metrics = language.values_and_metrics(scores, words)
            alignment = losses.masked_mse(latent, target, jnp.ones(hidden.shape))
            metrics["alignment_loss"] = jax.lax.stop_gradient(alignment.mean())
            return values + self.alignment_weight * alignment, (state, metrics)

        def show(params: PyTree, state: PyTree, views: Views) -> list[Picture]:
            """The views, what is seen of them, and hidden patches as their named words look."""
            _, scores = predict(params, views)
            put = jax.vmap(lambda words, at, named: words.at[at].set(named))
            blank = jnp.zeros((len(scores), grid[0] * grid[1]), jnp.int32)
            words = put(blank, views["hidden"], scores.argmax(axis=-1).astype(jnp.int32))
            where = vits.where_of(views["hidden"], blank.shape[1])
            return tokenizer.show(state["tokenizer"], views["image"], where, words)

        return assembly.assemble(view, init, loss, size=size, show=show)

    def _regressor(self, encoder: nn.Module, num_words: int) -> nn.Module:
        config = encoder.config
        return latent_regressor.LatentRegressor(
            out_dim=num_words,
            num_heads=self.decoder_heads,
            depth=self.regressor_depth,
            decoder_depth=self.decoder_depth,
            layer_scale=self.decoder_scale,
            dtype=config.dtype,
            kernels=initialization.INITIALIZATIONS[config.initialization].blocks,
        )
