"""Layers that the encoders, the decoder and the heads share; ``transformer`` is made of them.

Precision, everywhere in ``models``: parameters, normalisation statistics, softmax and the residual
stream of a transformer are float32; matrix products and convolutions run in ``dtype``, which is
"float32" or "bfloat16" (what automatic mixed precision does elsewhere). Outputs are float32.

The functions that take ``name`` create a submodule of the linen module that calls them.
"""

import flax.linen as nn
import jax.numpy as jnp

from jaxssl import colorspace
from jaxssl.models import initialization, products
from jaxssl.types import Array

DTYPES = ("float32", "bfloat16")
COLOR_SPACES = ("rgb", "lightness", "ab", "lab")
LAYER_NORM_EPSILON = 1e-6  # MAE's


def standardise(
    images: Array, mean: tuple[float, ...], std: tuple[float, ...], color_space: str = "rgb"
) -> Array:
    """Brings images to float32 and a colour space, subtracts ``mean`` and divides by ``std``.

    Args:
        images: [..., C]; uint8 in [0, 255], which is divided by 255, or floating in [0, 1].
        mean: one value, or one per channel of the colour space, in its units.
        std: one value, or one per channel of the colour space, in its units.
        color_space: "rgb", the images as they are, any C, in units of [0, 1]; "lightness", "ab" or
            "lab", 1, 2 or 3 channels in Lab units, from sRGB images of C = 3 ("lightness" from grey
            ones too).

    Returns:
        float32, [..., C] or with the channels of the colour space.

    Raises:
        TypeError: ``images`` is neither uint8 nor floating.
        ValueError: the colour space cannot be had from C channels, or ``mean`` or ``std`` has
            neither 1 value nor one per channel.
    """
    if images.dtype == jnp.uint8:
        images = images.astype(jnp.float32) / 255.0
    elif not jnp.issubdtype(images.dtype, jnp.floating):
        raise TypeError(
            f"standardise: images must be uint8 or floating; got {images.dtype}. "
            "Convert them to uint8 in [0, 255]."
        )
    images = _in_color_space(images.astype(jnp.float32), color_space)
    num_channels = images.shape[-1]
    for name, values in (("mean", mean), ("std", std)):
        if len(values) not in (1, num_channels):
            raise ValueError(
                f"standardise: {name} must have 1 value or one per channel; got {len(values)} "
                f"values for {num_channels} channels."
            )
    shape = (1,) * (images.ndim - 1) + (-1,)
    centred = images - jnp.asarray(mean, jnp.float32).reshape(shape)
    return centred / jnp.asarray(std, jnp.float32).reshape(shape)


def _in_color_space(images: Array, color_space: str) -> Array:
    num_channels = images.shape[-1]
    if color_space == "rgb":
        return images
    if color_space == "lightness" and num_channels in (1, 3):
        return colorspace.lightness(images)
    if num_channels != 3:
        raise ValueError(
            f"standardise: images must have 3 channels for color_space {color_space!r}; got "
            f"{num_channels} channels. Use color images, or color_space 'rgb'."
        )
    lab = colorspace.rgb_to_lab(images)
    return lab[..., 1:] if color_space == "ab" else lab


def layer_norm(x: Array, *, dtype: str, name: str, epsilon: float = LAYER_NORM_EPSILON) -> Array:
    """LayerNorm over the last axis, computed in float32, returned in ``dtype``.

    Source: Ba et al., Layer Normalization, 2016, arXiv:1607.06450; epsilon as in MAE.
    """
    norm = nn.LayerNorm(epsilon=epsilon, name=name)
    return norm(x.astype(jnp.float32)).astype(dtype)


def batch_norm(
    x: Array,
    *,
    train: bool,
    axis_name: str | None,
    dtype: str,
    name: str,
    affine: bool = True,
    center: bool = True,
    scale_init: nn.initializers.Initializer = nn.initializers.ones,
) -> Array:
    """BatchNorm over all axes but the last, over the global batch, computed in float32.

    While training, mean and variance are those of the G examples of all devices along
    ``axis_name``, and the running averages move by one tenth (momentum 0.9 as flax counts it, 0.1
    as PyTorch does). The running variance is the biased one, where PyTorch keeps the unbiased.

    Args:
        x: [B, ..., D], floating.
        train: normalise by the batch and update ``batch_stats``; otherwise use ``batch_stats``.
        axis_name: device axis to synchronise over, or None.
        dtype: dtype of the result.
        name: name of the submodule.
        affine: whether to learn scale and bias.
        center: whether to learn the bias, where ``affine``.
        scale_init: initial scale.

    Returns:
        Same shape as ``x``, in ``dtype``.

    Source: Ioffe and Szegedy, Batch Normalization, 2015, arXiv:1502.03167; epsilon 1e-5.
    """
    norm = nn.BatchNorm(
        use_running_average=not train,
        momentum=0.9,
        epsilon=1e-5,
        use_scale=affine,
        use_bias=affine and center,
        scale_init=scale_init,
        axis_name=axis_name,
        name=name,
    )
    return norm(x.astype(jnp.float32)).astype(dtype)


def double(x: Array) -> Array:
    """Repeats every cell of a map [B, H, W, D] 2 x 2, giving [B, 2H, 2W, D].

    By broadcasting: the gradient of ``jnp.repeat`` is a scatter, which is slow everywhere.
    """
    batch, rows, columns, features = x.shape
    x = jnp.broadcast_to(x[:, :, None, :, None], (batch, rows, 2, columns, 2, features))
    return x.reshape(batch, 2 * rows, 2 * columns, features)


def linear(
    x: Array,
    features: int,
    *,
    dtype: str,
    name: str,
    kernel_init: nn.initializers.Initializer = initialization.XAVIER,
    bias_init: nn.initializers.Initializer = nn.initializers.zeros,
) -> Array:
    """Linear map, by default with Xavier-uniform kernel and zero bias as MAE's linears."""
    dense = products.Dense(
        features, dtype=dtype, kernel_init=kernel_init, bias_init=bias_init, name=name
    )
    return dense(x)
