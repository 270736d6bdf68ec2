"""BEiT: the words of patches that are hidden, out of a vocabulary learnt before."""

import dataclasses
from typing import Self

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxssl import checks
from jaxssl.augment import policies
from jaxssl.methods import vq_autoencoder
from jaxssl.methods.shared import assembly, language, vits
from jaxssl.models import patches
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
class BEiT:
    """BERT pre-training of image transformers: hidden patches are named by a tokenizer's words.

    Blocks of patches are replaced by a learned token; the encoder sees the whole sequence, and a
    linear layer scores the M words of a tokenizer for each patch. The tokenizer sees the whole
    view, is frozen, and is another run's, a VQAutoencoder (``--tokenizer RUN``):

        loss = mean over hidden patches of  -log softmax(W token_n + b) at word_n(view)

    Metrics: ``accuracy``, of naming hidden patches, and ``bits_per_token``, the loss in bits.

    It differs from the official code in the tokenizer (there the convolutional one of DALL-E, of
    8192 words, which sees the crop at half the size; here it has the encoder's patches), in the
    encoder, a ViT with absolute positions (there with relative ones) without stochastic depth
    (there 0.1), in hiding an exact number of patches, 0.4 as in the paper (there 75 of 196,
    ``pretext.block_masking.blocks``), and in the order of colour jitter and crop. What the
    optimizer adds in the official run: AdamW, a weight decay of 0.05, a gradient clipped at 3.

    Attributes:
        augment: crop, flip and jitter of brightness, contrast and saturation.
        mask_ratio: fraction of patches that are hidden, rounded to a whole number: 78 of 196.
        min_block: area of the smallest block, patches.
        tokenizer: whose words are named; ``with_tokenizer`` sets it.

    Source: Bao et al., BEiT: BERT Pre-Training of Image Transformers, 2021, arXiv:2106.08254,
        section 2, eq. 2; run_beit_pretraining.py of github.com/microsoft/unilm, to which
        ``layer_scale=0.1`` of the encoder belongs.
    """

    augment: policies.View = policies.View(
        224,
        jitter=(0.4, 0.4, 0.4, 0.0),
        jitter_prob=1.0,
        grayscale_prob=0.0,
        blur_prob=0.0,
        interpolation="cubic",
    )
    mask_ratio: float = 0.4
    min_block: int = 16
    tokenizer: vq_autoencoder.Tokenizer | None = None

    def __post_init__(self):
        checks.at_least(self, 1, "min_block", fix="The authors have 16.")

    def with_tokenizer(self, method: MethodConfig, encoder: EncoderConfig) -> Self:
        """A copy that names the words of such a run; see ``types.MethodConfig``."""
        tokenizer = vq_autoencoder.Tokenizer.of_run("BEiT", method, encoder)
        return dataclasses.replace(self, tokenizer=tokenizer)

    def build(self, encoder: nn.Module, *, axis_name: str | None) -> Method:
        """Binds the hyper-parameters; see ``types.Method``.

        Raises:
            ValueError: an encoder without patches; no tokenizer, or one of other patches; an image
                that is not a multiple of the patches; or a mask that hides none of them or all.
        """
        del axis_name  # nothing here depends on other devices
        vits.check_encoder("BEiT", encoder, can="have patches hidden")
        size, patch_size = self.augment.size, encoder.config.patch_size
        tokenizer = vq_autoencoder.network_for("BEiT", self.tokenizer, patch_size)
        grid = patches.patch_grid(size, size, patch_size, caller="BEiT")
        num_hidden = vits.count_hidden("BEiT", grid, self.mask_ratio)
        network = vits.WithHidden(encoder, vits.linear_head(encoder, tokenizer.num_words))

        def view(key: Array, example: Example) -> Views:
            augment_key, mask_key = jax.random.split(key)
            image = self.augment(augment_key, example["image"])
            hide = block_masking.blocks(mask_key, grid, num_hidden, min_patches=self.min_block)
            return {"image": image, "hide": hide}

        def init(key: Array, views: Views) -> tuple[PyTree, PyTree]:
            network_key, tokenizer_key = jax.random.split(key)
            params, state = network.init(network_key, views["image"])
            # Of its run when this one begins: what is drawn here has its shapes.
            return params, state | {"tokenizer": tokenizer.init(tokenizer_key, views["image"])[0]}

        def score(params: PyTree, state: PyTree, views: Views) -> tuple[Array, PyTree]:
            """Scores of the words of every patch, [B, N, M], and the new state."""
            scores, new_state = network.apply(params, state, views["image"], views["hide"])
            return scores, state | new_state

        def loss(params, state, views, key, clock):
            del key, clock
            scores, new_state = score(params, state, views)
            _, words, _ = tokenizer.encode(state["tokenizer"], views["image"])
            hidden = views["hide"].astype(jnp.float32)
            values, metrics = language.values_and_metrics(scores, words, hidden)
            return values, (new_state, metrics)

        def show(params: PyTree, state: PyTree, views: Views) -> list[Picture]:
            """The views, what is seen of them, and hidden patches as their named words look."""
            scores, _ = score(params, state, views)
            words = scores.argmax(axis=-1)
            return tokenizer.show(state["tokenizer"], views["image"], views["hide"], words)

        return assembly.assemble(view, init, loss, size=size, show=show)
