"""Decoders: from an encoder's tokens back to pixels."""

from typing import Literal

import flax.linen as nn
import jax.numpy as jnp

from jaxssl import checks
from jaxssl.models import layers, patches, transformer
from jaxssl.types import Array


class MAEDecoder(nn.Module):
    """The light decoder of a masked autoencoder; predicts the masked patches only.

    The visible tokens are mapped to the decoder's width; a learned mask token stands at every
    masked position; each gets the sine-cosine position of its own index, so that nothing is put
    back into raster order: attention does not see the order of its tokens. The published code
    unshuffles and predicts all patches, of which the loss then drops the visible ones: the same
    values for more work.

    Attributes:
        patch_values: P, values in one patch.
        width: features of a decoder token, a multiple of ``num_heads`` and of 4.
        depth: number of blocks.
        num_heads: heads in each block.
        scan_layers: run the blocks as one scan, parameters with a leading layer axis.
        remat: recompute each block in the backward pass.
        dtype: compute dtype; the prediction is float32.

    Source: He et al., Masked Autoencoders Are Scalable Vision Learners, 2021, arXiv:2111.06377,
        sec. 3.
    """

    patch_values: int
    width: int = 512
    depth: int = 8
    num_heads: int = 16
    scan_layers: bool = False
    remat: bool = False
    dtype: Literal["float32", "bfloat16"] = "float32"

    @nn.compact
    def __call__(
        self,
        visible: Array,
        keep: Array,
        masked: Array,
        *,
        grid: tuple[int, int],
        class_token: Array | None = None,
        train: bool = False,
    ) -> Array:
        """Predicts the values of the masked patches.

        Args:
            visible: [B, K, D], the encoder's tokens of the kept patches.
            keep: int32 [B, K], raster index of each visible token, in [0, N).
            masked: int32 [B, N − K], raster index of each patch to predict.
            grid: (rows, columns) of patches, rows · columns = N.
            class_token: [B, D], the encoder's class token, which the decoder may read; or None.
            train: no effect; every module takes it.

        Returns:
            float32 [B, N − K, P], in the order of ``masked``.

        Raises:
            ValueError: widths or shapes that do not fit.
        """
        del train
        self._check(visible, keep, masked, grid)
        table = jnp.asarray(patches.sincos_positions(*grid, self.width))  # [N, width]
        num_masked = masked.shape[1]

        mask_token = self.param("mask_token", nn.initializers.normal(0.02), (1, 1, self.width))
        tokens = visible
        if class_token is not None:
            tokens = jnp.concatenate([class_token[:, None], visible], axis=1)
        x = layers.linear(tokens, self.width, dtype=self.dtype, name="embedding")
        x = x.astype(jnp.float32)
        num_class = x.shape[1] - keep.shape[1]
        x = jnp.concatenate(
            [x[:, :num_class], x[:, num_class:] + table[keep], mask_token + table[masked]], axis=1
        )
        stack = transformer.Stack(
            self.depth, self.num_heads, self.dtype, self.scan_layers, self.remat
        )
        x, _ = transformer.apply_blocks(x, stack)
        x = layers.layer_norm(x[:, -num_masked:], dtype=self.dtype, name="norm")
        x = layers.linear(x, self.patch_values, dtype=self.dtype, name="prediction")
        return x.astype(jnp.float32)

    def _check(self, visible: Array, keep: Array, masked: Array, grid: tuple[int, int]) -> None:
        checks.choice(self, layers.DTYPES, "dtype")
        checks.at_least(self, 1, "depth", "num_heads")
        if self.width % self.num_heads:
            raise ValueError(
                f"MAEDecoder: width must be a multiple of num_heads; got width {self.width}, "
                f"num_heads {self.num_heads}."
            )
        if visible.shape[:2] != keep.shape:
            raise ValueError(
                "MAEDecoder: keep must hold one index per visible token; got keep "
                f"{keep.shape}, visible {visible.shape}."
            )
        num_patches = grid[0] * grid[1]
        if masked.ndim != 2 or masked.shape[0] != keep.shape[0] or not masked.shape[1]:
            raise ValueError(
                f"MAEDecoder: masked must be [B, N - K] with B = {keep.shape[0]} and at least one "
                f"patch; got shape {masked.shape}."
            )
        if keep.shape[1] + masked.shape[1] != num_patches:
            raise ValueError(
                f"MAEDecoder: kept and masked patches must add up to the grid's {num_patches}; "
                f"got {keep.shape[1]} + {masked.shape[1]}, grid {grid[0]}x{grid[1]}."
            )
