"""SigLIP: does this text belong to this image, yes or no, for every pair of the batch?"""

import dataclasses
import math

import flax.linen as nn
import jax.numpy as jnp

from jaxssl import checks, losses
from jaxssl.augment import policies
from jaxssl.methods.shared import towers
from jaxssl.types import Method


@dataclasses.dataclass(frozen=True)
class SigLIP:
    """Images and texts told to belong together or not, each pair by itself.

        value_i = sum_j -log sigmoid( z_ij (image_i . text_j / T + b) ),  z_ij = 1 if i = j, else -1

    over all texts of the global batch, of unit vectors. Temperature and bias are learned: log T,
    without a bound, and b. They begin at 0.1 and -10, so that the many pairs that do not belong
    together cost little at first. Differs from the paper: the text transformer is causal and pools
    the token that ends the text, so that padding changes nothing (official: it sees the padding);
    images pool as their encoder does (official: attention pooling).

    Attributes:
        augment: the view of an image; official: resized alone.
        temperature: T at first.
        bias: b at first.
        block_size: images priced at a time, texts going round the devices; 0: all at once.

    Source: Zhai et al., Sigmoid Loss for Language Image Pre-Training, 2023, arXiv:2303.15343, sec.
        3.2 and algorithm 1; big_vision, configs/proj/image_text.
    """

    augment: policies.CropFlip = policies.CropFlip(
        224, crop_scale=(1.0, 1.0), crop_ratio=(1.0, 1.0), flip_prob=0.0
    )
    temperature: float = 0.1
    bias: float = -10.0
    block_size: int = 0

    def __post_init__(self):
        checks.above(self, 0, "temperature")
        checks.at_least(self, 0, "block_size")

    def build(self, encoder: nn.Module, *, axis_name: str | None) -> Method:
        """Binds the hyper-parameters; see ``types.Method``.

        Raises:
            ValueError: an encoder that is no Dual.
        """

        def price(images, texts, learned):
            temperature, bias = jnp.exp(learned["log_temperature"]), learned["bias"]
            values = losses.siglip(
                images,
                texts,
                temperature=temperature,
                bias=bias,
                block_size=self.block_size or None,
                axis_name=axis_name,
            )
            return values, {"temperature": temperature, "bias": bias}

        numbers = {"log_temperature": math.log(self.temperature), "bias": self.bias}
        return towers.assemble(encoder, self.augment, numbers, price, method="SigLIP")
