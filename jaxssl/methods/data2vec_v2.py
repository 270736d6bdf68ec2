"""data2vec 2.0: what is hidden by many masks at once, described as the whole image is."""

import dataclasses
import math

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxssl import checks, losses, schedules
from jaxssl.augment import policies
from jaxssl.methods.shared import assembly, ema, functional, vits
from jaxssl.models import grid_decoder, patches
from jaxssl.pretext import block_masking
from jaxssl.types import (
    Array,
    Clock,
    Embeddings,
    Example,
    Features,
    Method,
    Picture,
    PyTree,
    Views,
)


@dataclasses.dataclass(frozen=True)
class Data2VecV2:
    """data2vec 2.0 on images: one teacher's pass over an image serves M masks of it.

    The student encodes what each mask keeps, a few square blocks; a convolutional decoder over the
    grid, with noise where patches are hidden, describes those. The teacher, which follows by an
    exponential moving average, sees the whole image once. With h_l its tokens after block l, before
    any norm, IN each channel of an image standardised over its patches, and LN the layer
    normalisation without factors:

        y = LN(mean over the last K blocks of IN(h_l))
        loss = sqrt(D) [mean over hidden patches, masks and values of (prediction - y)^2
                        + class_weight · mean over masks and values of (pooled - mean of y)^2]

    Pooled are the student's features of what a mask keeps: its class token, or the mean of its
    patches. Evaluation reads the student. ``embed`` gives the average of y over all patches: where
    features depend on nothing, or on the position alone, it is the same for all images.

    It differs from the official code in its blocks, which normalise before a branch (there after
    it) and are averaged with their residual (there the output of the MLP); in the weight of the
    class token, there summed over the images and masks of a device, so that its 0.01 is 2.56 of
    these at 16 images and 16 masks; and in masks of exact size. What the optimizer adds in the
    official run: AdamW with betas 0.9 and 0.95, a weight decay of 0.05 and a gradient clipped at a
    norm of 4.

    Attributes:
        augment: crop and flip, as for MAE.
        num_masks: M of an image.
        mask_ratio: fraction of patches that a mask hides.
        mask_adjust: fraction of patches by which the blocks aim above what is kept.
        block_side: of a kept square, patches.
        num_layers: K.
        class_weight: of the pooled features.
        teacher_momentum: at the start.
        final_momentum: from ``momentum_rise`` on, to which it rises along a line.
        momentum_rise: a fraction of the run.
        noise: standard deviation of what the decoder is given at hidden patches.
        decoder_width: channels of the decoder.
        decoder_depth: convolutions of the decoder.
        decoder_groups: parts of its channels that do not see each other.

    Source: Baevski et al., Efficient Self-supervised Learning with Contextualized Target
        Representations for Vision, Speech and Language, 2022, arXiv:2212.07525, section 3; numbers
        from examples/data2vec/config/v2/base_images_only_task.yaml of
        github.com/facebookresearch/fairseq, the loss from data2vec2.py and model_criterion.py.
    """

    augment: policies.CropFlip = policies.mae()
    num_masks: int = 16
    mask_ratio: float = 0.8
    mask_adjust: float = 0.07
    block_side: int = 3
    num_layers: int = 10
    class_weight: float = 0.01
    teacher_momentum: float = 0.9998
    final_momentum: float = 0.99999
    momentum_rise: float = 0.27
    noise: float = 0.01
    decoder_width: int = 768
    decoder_depth: int = 6
    decoder_groups: int = 16

    def __post_init__(self):
        checks.in_range(self, 0, 1, "teacher_momentum", "final_momentum", fix=ema.PUBLISHED)
        checks.in_range(self, 0, 1, "momentum_rise")
        checks.at_least(self, 0, "class_weight", "noise")
        checks.at_least(self, 1, "num_masks", "num_layers", fix="The authors have 16 and 10.")

    def build(self, encoder: nn.Module, *, axis_name: str | None) -> Method:
        """Binds the hyper-parameters; see ``types.Method``.

        Raises:
            ValueError: an encoder without patches, or with fewer blocks than are averaged; an image
                that is not a multiple of the patches; a mask that hides none of them or all; or a
                width that the decoder's groups do not divide.
        """
        del axis_name  # nothing here depends on other devices
        vits.check_encoder("Data2VecV2", encoder, can="encode what a mask keeps")
        config, size = encoder.config, self.augment.size
        checks.in_range(
            "Data2VecV2", 1, config.dimensions.depth, num_layers=self.num_layers,
            fix="The last of them are averaged, of as many blocks as the encoder has.",
        )  # fmt: skip
        grid = patches.patch_grid(size, size, config.patch_size, caller="Data2VecV2")
        num_patches, width = grid[0] * grid[1], config.dimensions.width
        decoder = grid_decoder.GridDecoder(
            width, self.decoder_width, self.decoder_depth, groups=self.decoder_groups,
            dtype=config.dtype,
        )  # fmt: skip

        def view(key: Array, example: Example) -> Views:
            augment_key, mask_key, noise_key = jax.random.split(key, 3)

            def draw(key: Array) -> Array:
                keep, _ = block_masking.inverse_blocks(
                    key, grid, self.mask_ratio, side=self.block_side, adjust=self.mask_adjust
                )
                return keep

            keep = jax.vmap(draw)(jax.random.split(mask_key, self.num_masks))
            image = self.augment(augment_key, example["image"])
            # A key in place of the noise itself, which would be a hundred times the image.
            seeds = jax.random.bits(noise_key, (self.num_masks, 2))
            return {"image": image, "keep": keep, "noise": seeds}

        def init(key: Array, views: Views) -> tuple[PyTree, PyTree]:
            encoder_key, decoder_key = jax.random.split(key)
            params, state = functional.init(encoder, encoder_key, views["image"])
            tokens = jnp.zeros((1, num_patches, width))
            decoder_params, _ = functional.init(decoder, decoder_key, tokens, grid=grid)
            params = {"encoder": params, "decoder": decoder_params}
            state = {"encoder": state}
            return params, state | {"target": ema.start(params, state, ("encoder",))}

        def teach(state: PyTree, images: Array) -> Array:
            """y of all patches [B, N, D]."""
            features = encoder.apply(functional.encoder_variables(**state["target"]), images)
            return jax.lax.stop_gradient(self._contextualise(features))  # type: ignore[arg-type]

        def encode(params: PyTree, images: Array, keep: Array, seeds: Array):
            """Of one mask of each image [B, K]: pooled features [B, D], tokens [B, N, D]."""
            features = encoder.apply({"params": params["encoder"]}, images, keep=keep)

            def spread(tokens: Array, keep: Array, seed: Array) -> Array:
                key = jax.random.wrap_key_data(seed, impl="threefry2x32")
                drawn = self.noise * jax.random.normal(key, (num_patches, width))
                return drawn.at[keep].set(tokens)

            return features.pooled, jax.vmap(spread)(features.tokens, keep, seeds)  # type: ignore[union-attr]

        def loss(params, state, views, key, clock):
            del key, clock
            images, target = views["image"], teach(state, views["image"])
            encode_masks = jax.vmap(encode, (None, None, 1, 1), out_axes=1)
            pooled, tokens = encode_masks(params, images, views["keep"], views["noise"])
            # As one batch in which the masks of an image follow each other: vmap's rule for
            # convolutions would put the images of a mask together, and divide over no devices.
            rows = tokens.reshape(-1, *tokens.shape[2:])
            prediction = decoder.apply({"params": params["decoder"]}, rows, grid=grid)

            def price(pooled: Array, prediction: Array, keep: Array) -> Array:
                hidden = ~vits.where_of(keep, num_patches)
                whole = jnp.square(pooled - target.mean(axis=1)).mean(axis=1)
                return losses.masked_mse(prediction, target, hidden) + self.class_weight * whole

            values = jax.vmap(price, in_axes=1)(
                pooled,
                prediction.reshape(tokens.shape),  # type: ignore[union-attr]
                views["keep"],
            )  # [M, B]
            return math.sqrt(width) * values.mean(axis=0), (state, {})

        def advance(params: PyTree, state: PyTree, clock: Clock) -> PyTree:
            momentum = schedules.warmup(
                self.teacher_momentum, self.final_momentum, clock.progress, self.momentum_rise
            )
            return state | {"target": ema.follow(state["target"], params, momentum)}

        def embed(params: PyTree, state: PyTree, views: Views) -> Embeddings:
            del params
            return Embeddings(teach(state, views["image"]).mean(axis=1))

        def show(params: PyTree, state: PyTree, views: Views) -> list[Picture]:
            """The view, and what the first mask keeps of it."""
            del params, state
            hidden = ~vits.where_of(views["keep"][:, 0], num_patches)
            return vits.show_hidden(views["image"], hidden, config.patch_size)

        return assembly.assemble(
            view, init, loss, size=size, advance=advance, embed=embed, show=show
        )

    def _contextualise(self, features: Features) -> Array:
        """y of all patches, float32 [B, N, D]."""
        last = features.maps[-self.num_layers :]
        tokens = [map_.reshape(map_.shape[0], -1, map_.shape[-1]) for map_ in last]
        standardised = [vits.layer_normalize(x.swapaxes(1, 2)).swapaxes(1, 2) for x in tokens]
        average = sum(standardised) / len(standardised)
        return vits.layer_normalize(average)  # type: ignore[arg-type]  # of one map at least
