"""The head of a jigsaw: one small tower for each tile, then a classifier of them all."""

from typing import Literal

import flax.linen as nn

from jaxssl.models import heads
from jaxssl.types import Array


class Towers(nn.Module):
    """Maps the features of V tiles to one answer; what differs between places meets at the end.

        logits = W · concat over tiles of relu(batch_norm(U · tile)) + b

    All tiles share U and its BatchNorm, which counts each of them as an example.

    Attributes:
        width: features that a tile is reduced to.
        num_classes: K, logits.
        dtype: compute dtype; the result is float32.
        axis_name: device axis over which BatchNorm is synchronised, or None.

    Source: Noroozi and Favaro, Unsupervised Learning of Visual Representations by Solving Jigsaw
        Puzzles, 2016, arXiv:1603.09246, figure 3 (fc6, fc8); BatchNorm and a single layer on top as
        in VISSL.
    """

    width: int
    num_classes: int
    dtype: Literal["float32", "bfloat16"] = "float32"
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        """Applies the head.

        Args:
            x: [B, V, D], floating, the features of the V tiles of B puzzles.
            train: normalise by the global batch and update ``batch_stats``, which must be mutable.

        Returns:
            float32 [B, K].

        Raises:
            ValueError: ``x`` has another rank.
        """
        if x.ndim != 3:
            raise ValueError(
                f"Towers: features must be [B, V, D]; got shape {x.shape}. Give the tiles of a "
                "puzzle an axis of their own."
            )
        tower = heads.MLP(
            (self.width,),
            batch_norm_last=True,
            dtype=self.dtype,
            axis_name=self.axis_name,
            name="tower",
        )
        tiles = tower(x.reshape(-1, x.shape[-1]), train=train)
        together = nn.relu(tiles).reshape(x.shape[0], -1)
        logits = heads.MLP((self.num_classes,), dtype=self.dtype, name="classifier")
        return logits(together)
