"""A light transformer that says of patches what it can, from the tokens of others."""

from typing import Literal

import flax.linen as nn
import jax.numpy as jnp

from jaxssl import checks
from jaxssl.models import initialization, layers, patches, transformer
from jaxssl.types import Array


class MaskedPredictor(nn.Module):
    """The decoder of MAE, and the predictor of I-JEPA: what it is not asked for is not computed.

    The visible tokens are mapped to the predictor's width; a learned mask token stands at every
    position that is asked for; each gets the sine-cosine position of its own index, so that nothing
    is put back into raster order: attention does not see the order of its tokens. MAE's published
    code unshuffles and predicts all patches, of which the loss then drops the visible ones: the
    same values for more work.

    Attributes:
        out_dim: P, values predicted of a patch.
        width: features of a token, a multiple of ``num_heads`` and of 4.
        depth: number of blocks.
        num_heads: heads in each block.
        scan_layers: run the blocks as one scan, parameters with a leading layer axis.
        remat: what of each block the backward pass computes anew; see ``ViTConfig``.
        dtype: compute dtype; the prediction is float32.
        kernels: how the kernels begin.

    Source: He et al., Masked Autoencoders Are Scalable Vision Learners, 2021, arXiv:2111.06377,
        sec. 3; Assran et al., Self-Supervised Learning from Images with a Joint-Embedding
        Predictive Architecture, 2023, arXiv:2301.08243, sec. 3.
    """

    out_dim: int
    width: int = 512
    depth: int = 8
    num_heads: int = 16
    scan_layers: bool = False
    remat: transformer.Remat = "none"
    dtype: Literal["float32", "bfloat16"] = "float32"
    kernels: initialization.BlockKernels = initialization.XAVIER_BLOCKS

    @nn.compact
    def __call__(
        self,
        visible: Array,
        keep: Array,
        asked: Array,
        *,
        grid: tuple[int, int],
        class_token: Array | None = None,
        train: bool = False,
    ) -> Array:
        """Predicts values of the patches that are asked for.

        Args:
            visible: [B, K, D], the encoder's tokens of the kept patches.
            keep: int32 [B, K], raster index of each visible token, in [0, N).
            asked: int32 [B, A], raster index of each patch to predict.
            grid: (rows, columns) of patches, rows · columns = N.
            class_token: [B, D], the encoder's class token, which may be read; or None.
            train: no effect; every module takes it.

        Returns:
            float32 [B, A, P], in the order of ``asked``.

        Raises:
            ValueError: widths or shapes that do not fit.
        """
        del train
        self._check(visible, keep, asked)
        table = jnp.asarray(patches.sincos_positions(*grid, self.width))  # [N, width]
        num_asked = asked.shape[1]

        def linear(x: Array, features: int, name: str) -> Array:
            kernel_init = self.kernels.linear
            return layers.linear(x, features, dtype=self.dtype, name=name, kernel_init=kernel_init)

        mask_token = self.param("mask_token", nn.initializers.normal(0.02), (1, 1, self.width))
        tokens = visible
        if class_token is not None:
            tokens = jnp.concatenate([class_token[:, None], visible], axis=1)
        x = linear(tokens, self.width, "embedding").astype(jnp.float32)
        num_class = x.shape[1] - keep.shape[1]
        x = jnp.concatenate(
            [x[:, :num_class], x[:, num_class:] + table[keep], mask_token + table[asked]], axis=1
        )
        stack = transformer.Stack(
            self.depth, self.num_heads, self.dtype, self.scan_layers, self.remat, self.kernels
        )
        x, _ = transformer.apply_blocks(x, stack)
        x = layers.layer_norm(x[:, -num_asked:], dtype=self.dtype, name="norm")
        return linear(x, self.out_dim, "prediction").astype(jnp.float32)

    def _check(self, visible: Array, keep: Array, asked: Array) -> None:
        checks.choice(self, layers.DTYPES, "dtype")
        checks.at_least(self, 1, "depth", "num_heads")
        if self.width % self.num_heads:
            raise ValueError(
                f"MaskedPredictor: width must be a multiple of num_heads; got width {self.width}, "
                f"num_heads {self.num_heads}."
            )
        if visible.shape[:2] != keep.shape:
            raise ValueError(
                "MaskedPredictor: keep must hold one index per visible token; got keep "
                f"{keep.shape}, visible {visible.shape}."
            )
        if asked.ndim != 2 or asked.shape[0] != keep.shape[0] or not asked.shape[1]:
            raise ValueError(
                f"MaskedPredictor: asked must be [B, A] with B = {keep.shape[0]} and at least one "
                f"patch; got shape {asked.shape}."
            )
