"""Context encoder: from what surrounds a hole, what was in it?"""

import dataclasses
import functools
from collections.abc import Callable
from typing import Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxssl import checks, jsonable, losses
from jaxssl.augment import policies
from jaxssl.methods.shared import assembly, functional
from jaxssl.models import conv_decoder, discriminator
from jaxssl.pretext import holes
from jaxssl.types import Array, Example, Method, Picture, PyTree, Views

MASKS = ("region", "blocks", "central")


@dataclasses.dataclass(frozen=True)
class ContextEncoder:
    """Inpainting: part of the image is painted over, and predicted from the rest.

    loss = (1 - a) · squared error in the hole + a · adversarial, a = ``adversarial_weight``, on
    pixels scaled to [-1, 1] as in the official code. With a above 0 a discriminator is trained
    beside the network: its own loss is added, and stopped gradients see to it that the network's
    parameters get no gradient from that loss, nor the discriminator's from the network's. One
    optimizer updates both at one learning rate (the official code has two, the discriminator's a
    tenth of the other).

    What is predicted, and what the discriminator sees of it and of the original: with a central
    mask the central square, otherwise the whole image; it never sees the context that was given, by
    whose edges it could tell. In the official random-region code pixels outside the hole count
    in the error too; the paper leaves them out, as is done here.

    The paper reads the last feature map of an AlexNet through a channel-wise linear layer; here the
    decoder reads the pooled features through a dense bottleneck with BatchNorm and leaky ReLU, and
    ends in tanh, as in the official inpainting code, so that every encoder fits. That code's
    encoder ends in a 4x4 map where ours has been pooled, and its decoder has transposed
    convolutions (``models.ConvDecoder`` says why not).

    Attributes:
        augment: crop and flip. By default 128 pixels of an image of 350.
        mask: "region", random shapes, which the paper uses for features; "blocks", several random
            squares, about as good in the paper; "central", one square in the middle, for
            inpainting.
        overlap: width of the rim of the central square that is seen and yet predicted, pixels;
            7 of 128 in the paper, 4 in the official code.
        rim_weight: what a pixel of that rim weighs.
        color: of the hole, one value or one per channel, in [0, 1]: the data's mean colour.
        bottleneck_dim: features of the dense layer between encoder and decoder.
        decoder_width: channels of the decoder at full resolution, doubled at each coarser one.
        adversarial_weight: a; 0 for features, as in the paper, 0.001 for inpainting.
        discriminator_width: channels of the discriminator's first convolution.
        activated: BatchNorm and leaky ReLU after the bottleneck and tanh of the prediction; False
            leaves both linear, as runs before this field have it.

    Source: Pathak et al., Context Encoders: Feature Learning by Inpainting, 2016, arXiv:1604.07379,
        eq. 1 to 3, sec. 3.3 and 4; crops, decoder and scales from train.lua, train_random.lua and
        data/donkey_folder.lua of github.com/pathak22/context-encoder.
    """

    augment: policies.CropFlip = policies.CropFlip.fixed_scale(128, image_size=350)
    mask: Literal["region", "blocks", "central"] = "region"
    overlap: int = 7
    rim_weight: float = 10.0
    color: tuple[float, ...] = holes.MEAN_COLOR
    bottleneck_dim: int = 4000
    decoder_width: int = 16
    adversarial_weight: float = 0.0
    discriminator_width: int = 64
    activated: bool = jsonable.added(True, before=False)

    def __post_init__(self):
        checks.choice(self, MASKS, "mask")
        checks.in_range(
            self,
            0,
            1,
            "adversarial_weight",
            open_right=True,
            fix="The paper has 0 for features, 0.001 for inpainting.",
        )

    def build(self, encoder: nn.Module, *, axis_name: str | None) -> Method:
        """Binds the hyper-parameters; see ``types.Method``."""
        size = self.augment.size
        network_of = functools.partial(self._network, encoder, axis_name)
        critic = discriminator.Discriminator(
            self.discriminator_width, dtype=encoder.config.dtype, axis_name=axis_name
        )

        def view(key: Array, example: Example) -> Views:
            augment_key, mask_key = jax.random.split(key)
            image = self.augment(augment_key, example["image"])
            if self.mask == "central":
                hidden = holes.central_hole(size, overlap=self.overlap)
            elif self.mask == "blocks":
                hidden = holes.random_blocks(mask_key, size)
            else:
                hidden = holes.random_region(mask_key, size)
            return {"image": image, "hidden": hidden}

        def init(key: Array, views: Views) -> tuple[PyTree, PyTree]:
            network_key, critic_key = jax.random.split(key)
            params, state = network_of(views).init(network_key, self._encoder_input(views))
            if self.adversarial_weight:
                added, added_state = functional.init(critic, critic_key, self._target(views))
                params = params | {"discriminator": added}
                state = state | {"discriminator": added_state}
            return params, state

        def loss(params, state, views, key, clock):
            del key, clock
            target = self._target(views)
            prediction, new_state = network_of(views).apply(
                params, state, self._encoder_input(views)
            )
            error = losses.weighted_mse(prediction, target, self._weights(views))
            if not self.adversarial_weight:
                return error, (new_state, {})
            generator, discriminating, critic_state = _adversarial(
                critic, params["discriminator"], state["discriminator"], target, prediction
            )
            weight = self.adversarial_weight
            values = (1 - weight) * error + weight * generator + discriminating
            metrics = {
                "error": error.mean(),
                "generator": generator.mean(),
                "discriminator": discriminating.mean(),
            }
            return values, (new_state | {"discriminator": critic_state}, metrics)

        return assembly.assemble(
            view,
            init,
            loss,
            size=self.augment.size,
            show=functools.partial(self._show, network_of),
        )

    def _show(
        self,
        network_of: Callable[[Views], functional.WithHead],
        params: PyTree,
        state: PyTree,
        views: Views,
    ) -> list[Picture]:
        """The views, what the encoder sees of them, and the holes filled as predicted.

        Returns:
            Titles and images float32 [B, H, W, C] in [0, 1]; visible pixels of the last are the
            view's own, bit for bit.
        """
        images, seen, region = views["image"], self._encoder_input(views), self._region()
        prediction = network_of(views).predict(params, state, seen)
        predicted = jnp.clip((prediction + 1) / 2, 0, 1)
        whole = images.at[:, region, region].set(predicted)
        return [
            ("view", images),
            ("what the encoder sees", seen),
            ("filled in", jnp.where(views["hidden"][..., None], whole, images)),
        ]

    def _region(self) -> slice:
        """Rows, and columns, that the decoder predicts."""
        size = self.augment.size
        return holes.central_square(size) if self.mask == "central" else slice(0, size)

    def _network(
        self, encoder: nn.Module, axis_name: str | None, views: Views
    ) -> functional.WithHead:
        region = self._region()
        decoder = conv_decoder.ConvDecoder(
            size=region.stop - region.start,
            channels=views["image"].shape[-1],
            width=self.decoder_width,
            bottleneck_dim=self.bottleneck_dim,
            activated=self.activated,
            bounded=self.activated,
            dtype=encoder.config.dtype,
            axis_name=axis_name,
        )
        return functional.WithHead(encoder, decoder, name="decoder")

    def _encoder_input(self, views: Views) -> Array:
        return holes.fill(views["image"], views["hidden"], self.color)

    def _target(self, views: Views) -> Array:
        """Pixels that are to be predicted, in [-1, 1]."""
        region = self._region()
        return 2 * views["image"][:, region, region] - 1

    def _weights(self, views: Views) -> Array:
        """float32 [B, S, S], what each predicted pixel weighs."""
        if self.mask != "central":
            return views["hidden"].astype(jnp.float32)
        region = self._region()
        weights = holes.central_weights(
            self.augment.size, overlap=self.overlap, rim_weight=self.rim_weight
        )[region, region]
        return jnp.broadcast_to(weights[None], (len(views["image"]), *weights.shape))


def _adversarial(
    critic: nn.Module, params: PyTree, state: PyTree, real: Array, fake: Array
) -> tuple[Array, Array, PyTree]:
    """Losses of generator and discriminator, [B] each, and the discriminator's new state.

    The first has a gradient for ``fake`` alone, the second for ``params`` alone. Real and predicted
    images go through the discriminator as two batches, each with its own batch statistics.
    """
    real_logits, state = functional.apply(critic, params, state, real)
    fake_logits, state = functional.apply(critic, params, state, jax.lax.stop_gradient(fake))
    fooled_logits, _ = functional.apply(critic, jax.lax.stop_gradient(params), state, fake)
    generator = losses.gan_generator(fooled_logits)
    return generator, losses.gan_discriminator(real_logits, fake_logits), state
