"""Discriminator: is an image real, or the prediction of a decoder?"""

from typing import Literal

import flax.linen as nn
import jax.numpy as jnp

from jaxssl import checks
from jaxssl.models import convolution, layers
from jaxssl.types import Array

LARGEST_GRID = 4  # cells on a side that the last linear layer reads


class Discriminator(nn.Module):
    """4x4 convolutions of stride 2 until at most 4 x 4 cells are left, then one logit.

    Channels double from one convolution to the next, up to 8 times ``width``; BatchNorm follows
    every convolution but the first, and leaky ReLU of slope 0.2 every one. The published network
    has a 4x4 convolution where this one has a linear layer over all cells: the same map.

    Attributes:
        width: channels of the first convolution.
        dtype: compute dtype; the logit is float32.
        axis_name: device axis over which BatchNorm is synchronised, or None.

    Source: Radford et al., Unsupervised Representation Learning with Deep Convolutional Generative
        Adversarial Networks, 2015, arXiv:1511.06434, sec. 3.
    """

    width: int = 64
    dtype: Literal["float32", "bfloat16"] = "float32"
    axis_name: str | None = None

    @nn.compact
    def __call__(self, images: Array, train: bool = False) -> Array:
        """Judges images.

        Args:
            images: [B, H, W, C], floating, centred at 0, as in [-1, 1].
            train: normalise by the global batch and update ``batch_stats``, which must be mutable.

        Returns:
            float32 [B], the log-odds that an image is real.

        Raises:
            ValueError: ``width`` below 1, an unknown dtype, or images that are not of rank 4.
        """
        checks.choice(self, layers.DTYPES, "dtype")
        checks.at_least(self, 1, "width")
        if images.ndim != 4:
            raise ValueError(
                f"Discriminator: images must be [B, H, W, C]; got shape {images.shape}. "
                "Add a batch axis?"
            )
        dtype = jnp.dtype(self.dtype)
        x, layer = images, 0
        while max(x.shape[1:3]) > LARGEST_GRID:
            layer += 1
            x = convolution.Conv(
                self.width * min(8, 2 ** (layer - 1)),
                (4, 4),
                strides=(2, 2),
                padding=((1, 1), (1, 1)),
                use_bias=layer == 1,
                dtype=dtype,
                name=f"conv{layer}",
            )(x)
            if layer > 1:
                x = layers.batch_norm(
                    x,
                    train=train,
                    axis_name=self.axis_name,
                    dtype=self.dtype,
                    name=f"norm{layer}",
                )
            x = nn.leaky_relu(x, 0.2)
        logits = layers.linear(x.reshape(x.shape[0], -1), 1, dtype=self.dtype, name="logit")
        return logits[:, 0].astype(jnp.float32)
