"""Context networks over a grid of patches: what has been seen from the top row down to here."""

from typing import Literal

import flax.linen as nn
import jax.numpy as jnp

from jaxssl import checks
from jaxssl.models import convolution, layers, products
from jaxssl.types import Array


class GridContext(nn.Module):
    """A stack of masked residual convolutions in the manner of PixelCNN: rows below stay unseen.

    x <- x + out(relu(down(across(relu(in(x)))))), and relu(x) after the last block

    with 1x1 convolutions ``in`` and ``out``, ``across`` over 3 columns of one row, and ``down``
    over a row and the one above it. The context at row r is a function of rows 0 ... r, the whole
    of row r included, and reaches ``depth`` rows up. The published network is that of CPC v2, which
    predicts whole rows and so needs no mask inside a row.

    Attributes:
        width: features inside a block.
        depth: number of blocks.
        dtype: compute dtype; the residual stream and the result stay float32.

    Source: Henaff et al., Data-Efficient Image Recognition with Contrastive Predictive Coding,
        2019, arXiv:1905.09272, appendix; van den Oord et al., Conditional Image Generation with
        PixelCNN Decoders, 2016, arXiv:1606.05328.
    """

    width: int = 256
    depth: int = 5
    dtype: Literal["float32", "bfloat16"] = "float32"

    @nn.compact
    def __call__(self, latents: Array, train: bool = False) -> Array:
        """Maps latents [B, R, S, D], R rows of S patches, to contexts float32 of the same shape.

        Args:
            latents: [B, R, S, D], floating.
            train: no effect; every module takes it.

        Raises:
            ValueError: width or depth below 1, or an unknown dtype.
        """
        del train
        checks.choice(self, layers.DTYPES, "dtype")
        checks.at_least(self, 1, "width", "depth")
        x = latents.astype(jnp.float32)
        for index in range(self.depth):
            y = self._conv(x, self.width, (1, 1), f"block{index}_in")
            y = self._conv(nn.relu(y), self.width, (1, 3), f"block{index}_across")
            y = self._conv(y, self.width, (2, 1), f"block{index}_down")
            y = self._conv(nn.relu(y), x.shape[-1], (1, 1), f"block{index}_out")
            x = x + y.astype(jnp.float32)
        return nn.relu(x)

    def _conv(self, x: Array, features: int, size: tuple[int, int], name: str) -> Array:
        height, width = size
        return convolution.Conv(
            features,
            size,
            # All of the vertical padding is above: this is the mask.
            padding=((height - 1, 0), (width // 2, width // 2)),
            dtype=jnp.dtype(self.dtype),
            name=name,
        )(x)


class GridPredictor(nn.Module):
    """Contexts of a grid of latents, and from them the latents some rows below.

    prediction_k = scale · W_k context(z) at every position, for each of ``num_offsets`` k, against
    the targets V z. A direction other than the first looks at the grid turned by quarter turns,
    with a context network and matrices of its own.

    Attributes:
        num_offsets: how many numbers of rows ahead are predicted, each with its own matrix W_k.
        num_directions: 1, from the top down, or 4, from every side.
        target_dim: features of the targets V z; 0: the latents themselves.
        layer_norm: normalise each latent before all else.
        scale: factor on the predictions, and so the inverse of a temperature.
        width: features inside a block of the context network.
        depth: blocks of the context network.
        dtype: compute dtype.

    Source: van den Oord et al., Representation Learning with Contrastive Predictive Coding, 2018,
        arXiv:1807.03748, sec. 2.2 and 3.3; Henaff et al., 2019, arXiv:1905.09272 (directions,
        target_dim, layer_norm and scale).
    """

    num_offsets: int
    num_directions: Literal[1, 4] = 1
    target_dim: int = 0
    layer_norm: bool = False
    scale: float = 1.0
    width: int = 256
    depth: int = 5
    dtype: Literal["float32", "bfloat16"] = "float32"

    @nn.compact
    def __call__(self, latents: Array, train: bool = False) -> tuple[Array, Array]:
        """Predicts from all positions.

        Args:
            latents: z, [B, R, R, D], floating, a square grid.
            train: no effect; every module takes it.

        Returns:
            Predictions [directions, offsets, B, R, R, D'] and targets [directions, B, R, R, D'],
            float32, D' = target_dim or D. In direction d both are turned by d quarter turns
            counter-clockwise, so that "below" is always a larger row.
        """
        del train
        if self.layer_norm:
            latents = layers.layer_norm(latents, dtype="float32", name="norm")
        target = latents
        if self.target_dim:
            target = self._linear(latents, self.target_dim, "target")
        predictions, targets = [], []
        for direction in range(self.num_directions):
            context = GridContext(self.width, self.depth, self.dtype, name=f"context{direction}")
            seen = context(jnp.rot90(latents, direction, axes=(1, 2)))
            features = self.num_offsets * target.shape[-1]
            predicted = self._linear(seen, features, f"prediction{direction}") * self.scale
            predicted = predicted.reshape(*seen.shape[:3], self.num_offsets, -1)
            predictions.append(jnp.moveaxis(predicted, 3, 0))
            targets.append(jnp.rot90(target, direction, axes=(1, 2)))
        return jnp.stack(predictions), jnp.stack(targets)

    def _linear(self, x: Array, features: int, name: str) -> Array:
        dense = products.Dense(features, use_bias=False, dtype=self.dtype, name=name)
        return dense(x).astype(jnp.float32)
