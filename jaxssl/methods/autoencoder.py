"""Autoencoder: from a few numbers, what was the image?"""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxssl import losses
from jaxssl.augment import policies
from jaxssl.methods.shared import assembly, functional
from jaxssl.models import conv_decoder
from jaxssl.types import Array, Example, Method, Picture, PyTree, Views


@dataclasses.dataclass(frozen=True)
class Autoencoder:
    """Autoencoder with a linear bottleneck and a convolutional decoder.

    loss = mean over pixels and channels of (decoder(W encoder(x).pooled + b) - x)^2, x in [0, 1]:
    the variance of the pixels is what predicting the mean colour costs. Nothing but the bottleneck
    keeps it from copying; features that are good for more are what the denoising one is for.

    The papers stack layers of fully connected networks; here the encoder is any of this package,
    read through its pooled features, and everything is trained at once.

    Attributes:
        augment: crop and flip; the whole view is reconstructed.
        bottleneck_dim: numbers an image is squeezed into, 30 in the paper's largest network for
            digits and faces.
        decoder_width: channels of the decoder at full resolution, doubled at each coarser one.

    Source: Hinton and Salakhutdinov, Reducing the Dimensionality of Data with Neural Networks,
        Science 313, 2006.
    """

    augment: policies.CropFlip = policies.CropFlip(size=224, crop_scale=(0.2, 1.0))
    bottleneck_dim: int = 30
    decoder_width: int = 16

    def build(self, encoder: nn.Module, *, axis_name: str | None) -> Method:
        """Binds the hyper-parameters; see ``types.Method``."""
        network_of = functools.partial(self._network, encoder, axis_name)

        def view(key: Array, example: Example) -> Views:
            augment_key, corruption_key = jax.random.split(key)
            return self._views(corruption_key, self.augment(augment_key, example["image"]))

        def init(key: Array, views: Views) -> tuple[PyTree, PyTree]:
            return network_of(views).init(key, _encoder_input(views))

        def loss(params, state, views, key, clock):
            del key, clock
            prediction, state = network_of(views).apply(params, state, _encoder_input(views))
            image = views["image"]
            values = losses.weighted_mse(prediction, image, jnp.ones(image.shape[:3]))
            return values, (state, {})

        def show(params: PyTree, state: PyTree, views: Views) -> list[Picture]:
            """The views, what the encoder sees of them if that differs, and reconstructions."""
            prediction = network_of(views).predict(params, state, _encoder_input(views))
            pictures = [("view", views["image"])]
            if "corrupted" in views:
                pictures.append(("what the encoder sees", jnp.clip(views["corrupted"], 0, 1)))
            return [*pictures, ("reconstruction", jnp.clip(prediction, 0, 1))]

        return assembly.assemble(view, init, loss, size=self.augment.size, show=show)

    def _views(self, key: Array, image: Array) -> Views:
        """The views made of an augmented image; "corrupted" among them is what is encoded."""
        del key
        return {"image": image}

    def _network(
        self, encoder: nn.Module, axis_name: str | None, views: Views
    ) -> functional.WithHead:
        decoder = conv_decoder.ConvDecoder(
            size=self.augment.size,
            channels=views["image"].shape[-1],
            width=self.decoder_width,
            bottleneck_dim=self.bottleneck_dim,
            dtype=encoder.config.dtype,
            axis_name=axis_name,
        )
        return functional.WithHead(encoder, decoder, name="decoder")


def _encoder_input(views: Views) -> Array:
    return views.get("corrupted", views["image"])
