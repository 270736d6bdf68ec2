"""Denoising autoencoder: what was the image before it was corrupted?"""

import dataclasses
import math
from typing import Literal

import flax.linen as nn

from jaxssl import checks, jsonable
from jaxssl.methods import autoencoder
from jaxssl.methods.shared import functional
from jaxssl.pretext import corruption
from jaxssl.types import Array, Views


@dataclasses.dataclass(frozen=True)
class DenoisingAutoencoder(autoencoder.Autoencoder):
    """An autoencoder that sees a corrupted view and reconstructs the clean one.

    loss = mean over pixels and channels of (decoder(encoder(corrupted x)) - x)^2, x in [0, 1], over
    corrupted and intact pixels alike (the paper's emphasis on the corrupted ones is not taken up).
    As copying does not help, the code need not be narrow. The corruption is drawn anew at every
    visit of an image; evaluation encodes clean images.

    The papers' code is a sigmoid of a linear map; here it is BatchNorm and leaky ReLU of one, as in
    the official context encoder: without, the bottleneck would be one linear map before another,
    of no effect unless it is narrower than the encoder's features.

    Attributes:
        augment: crop and flip; the whole view is reconstructed.
        bottleneck_dim: numbers between encoder and decoder.
        decoder_width: channels of the decoder at full resolution, doubled at each coarser one.
        corruption: "gaussian", "masking" or "salt_and_pepper"; see ``pretext.corruption``.
        level: standard deviation of Gaussian noise in units of [0, 1], or the fraction of values
            that are masked or set to an extreme; 0.1 to 0.5 in the papers.
        activated: BatchNorm and leaky ReLU after the bottleneck; False leaves it linear, as runs
            before this field have it.

    Source: Vincent et al., Stacked Denoising Autoencoders, JMLR 11, 2010, section 3; first in
        Extracting and Composing Robust Features with Denoising Autoencoders, ICML 2008.
    """

    bottleneck_dim: int = 1000
    corruption: Literal["gaussian", "masking", "salt_and_pepper"] = "masking"
    level: float = 0.25
    activated: bool = jsonable.added(True, before=False)

    def __post_init__(self):
        checks.choice(self, corruption.CORRUPTIONS, "corruption")
        most = math.inf if self.corruption == "gaussian" else 1  # a fraction of values
        checks.in_range(self, 0, most, "level", fix="Usual levels are 0.1 to 0.5.")

    def _views(self, key: Array, image: Array) -> Views:
        corrupt = corruption.CORRUPTIONS[self.corruption]
        return {"image": image, "corrupted": corrupt(key, image, self.level)}

    def _network(
        self, encoder: nn.Module, axis_name: str | None, views: Views
    ) -> functional.WithHead:
        network = super()._network(encoder, axis_name, views)
        return dataclasses.replace(network, head=network.head.clone(activated=self.activated))
