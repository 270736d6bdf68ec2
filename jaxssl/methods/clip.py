"""CLIP: which text of the batch belongs to an image, and which image to a text?"""

import dataclasses
import math
from typing import Any

import flax.linen as nn
import jax.numpy as jnp

from jaxssl import checks, losses
from jaxssl.augment import policies
from jaxssl.methods.shared import towers
from jaxssl.types import Method, PyTree


@dataclasses.dataclass(frozen=True)
class CLIP:
    """Contrastive learning of images and the texts that come with them.

        value_i = ( info_nce(image_i, text_i) + info_nce(text_i, image_i) ) / 2

    with all other pairs of the global batch as negatives, and a temperature T that is learned:
    log T is a parameter, which no step takes below log ``min_temperature``. Differs from the paper:
    texts are those of the data, none is drawn from several; a ResNet pools by the mean, not by
    attention; the official text transformer begins with smaller kernels in deeper networks.

    Attributes:
        augment: the view of an image; the paper: a random square crop of nearly all of it.
        temperature: T at first.
        min_temperature: lowest T; the paper: logits are scaled by 100 at most.
        block_size: rows of a tile of the similarity matrix; 0 computes it whole.

    Source: Radford et al., Learning Transferable Visual Models From Natural Language Supervision,
        2021, arXiv:2103.00020, sec. 2.3 to 2.5 and figure 3; area of the crop and the bound after
        each step from open_clip.
    """

    augment: policies.CropFlip = policies.CropFlip(
        224, crop_scale=(0.9, 1.0), flip_prob=0.0, interpolation="cubic"
    )
    temperature: float = 0.07
    min_temperature: float = 0.01
    block_size: int = 0

    def __post_init__(self):
        checks.above(self, 0, "min_temperature")
        fix = "It begins where it may go on, at min_temperature or above."
        checks.at_least(self, self.min_temperature, "temperature", fix=fix)
        checks.at_least(self, 0, "block_size")

    def build(self, encoder: nn.Module, *, axis_name: str | None) -> Method:
        """Binds the hyper-parameters; see ``types.Method``.

        Raises:
            ValueError: an encoder that is no Dual.
        """

        def price(images, texts, learned):
            temperature = jnp.exp(learned["log_temperature"])
            options: dict[str, Any] = {
                "temperature": temperature,
                "block_size": self.block_size or None,
                "axis_name": axis_name,
            }
            values = losses.info_nce(images, texts, **options)
            values += losses.info_nce(texts, images, **options)
            return values / 2, {"temperature": temperature}

        def project(params: PyTree) -> PyTree:
            learned = params[towers.LEARNED]
            bounded = jnp.maximum(learned["log_temperature"], math.log(self.min_temperature))
            return params | {towers.LEARNED: learned | {"log_temperature": bounded}}

        numbers = {"log_temperature": math.log(self.temperature)}
        return towers.assemble(
            encoder, self.augment, numbers, price, method="CLIP", project=project
        )
