"""Heads: what stands between an encoder's pooled features and a loss."""

from typing import Literal

import flax.linen as nn
import jax.numpy as jnp

from jaxssl import checks
from jaxssl.models import activations, layers, products
from jaxssl.types import Array


class MLP(nn.Module):
    """Linear layers, with BatchNorm and an activation between them.

    One width is a linear classifier; two or three are the projectors and predictors of the
    contrastive and distillation methods: SimCLR ``MLP((2048, 128), batch_norm_last=True,
    last_center=False)``, BYOL ``MLP((4096, 256), last_bias=False)``, MoCo v3's projector
    ``MLP((4096, 256), batch_norm_last=True, last_affine=False)``.

    Attributes:
        widths: output features of each layer; the last is the output's.
        batch_norm: BatchNorm after every layer but the last.
        batch_norm_last: BatchNorm after the last layer.
        last_affine: whether that last BatchNorm learns scale and bias.
        last_center: whether it learns the bias, where it learns the scale.
        hidden_bias: bias in every layer but the last; None: where no BatchNorm follows, which would
            take it out again.
        last_bias: bias in the last layer; None: where no BatchNorm follows.
        activation: between layers; "gelu" is the exact one.
        kernel_init: initialiser of the matrices; biases begin at 0.
        dtype: compute dtype; the result is float32.
        axis_name: device axis over which BatchNorm is synchronised, or None.

    Source: Chen et al., SimCLR, 2020, arXiv:2002.05709, sec. 2.1; Grill et al., Bootstrap Your Own
        Latent, 2020, arXiv:2006.07733, sec. 3.3.
    """

    widths: tuple[int, ...]
    batch_norm: bool = True
    batch_norm_last: bool = False
    last_affine: bool = True
    last_center: bool = True
    hidden_bias: bool | None = None
    last_bias: bool | None = None
    activation: Literal["relu", "gelu"] = "relu"
    kernel_init: nn.initializers.Initializer = nn.initializers.lecun_normal()
    dtype: Literal["float32", "bfloat16"] = "float32"
    axis_name: str | None = None

    @nn.compact
    def __call__(self, x: Array, train: bool = False) -> Array:
        """Applies the head.

        Args:
            x: [B, D], or [B, ..., D] without BatchNorm, floating.
            train: normalise by the global batch and update ``batch_stats``, which must be mutable.

        Returns:
            float32 [B, widths[-1]], or [B, ..., widths[-1]].

        Raises:
            ValueError: ``widths`` is empty, or a choice is unknown.
        """
        checks.choice(self, ("relu", "gelu"), "activation")
        checks.choice(self, layers.DTYPES, "dtype")
        if not self.widths:
            raise ValueError("MLP: widths must name at least one layer; got ().")
        for index, width in enumerate(self.widths, start=1):
            is_last = index == len(self.widths)
            normalise = self.batch_norm_last if is_last else self.batch_norm
            bias = self.last_bias if is_last else self.hidden_bias
            x = products.Dense(
                width,
                use_bias=not normalise if bias is None else bias,
                kernel_init=self.kernel_init,
                dtype=self.dtype,
                name=f"layer{index}",
            )(x)
            if normalise:
                x = layers.batch_norm(
                    x,
                    train=train,
                    axis_name=self.axis_name,
                    dtype=self.dtype,
                    name=f"norm{index}",
                    affine=self.last_affine or not is_last,
                    center=self.last_center or not is_last,
                )
            if not is_last:
                x = nn.relu(x) if self.activation == "relu" else activations.gelu(x)
        return x.astype(jnp.float32)
