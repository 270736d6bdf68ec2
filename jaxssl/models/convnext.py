"""ConvNeXt encoder."""

import dataclasses
from typing import Literal, NamedTuple

import flax.linen as nn
import jax.numpy as jnp

from jaxssl import checks, types
from jaxssl.models import activations, convolution, layers, products
from jaxssl.types import Array


class Dimensions(NamedTuple):
    """What a size name stands for, of each of the four stages."""

    depths: tuple[int, int, int, int]
    dims: tuple[int, int, int, int]


SIZES = {
    "Atto": Dimensions((2, 2, 6, 2), (40, 80, 160, 320)),
    "Femto": Dimensions((2, 2, 6, 2), (48, 96, 192, 384)),
    "Pico": Dimensions((2, 2, 6, 2), (64, 128, 256, 512)),
    "Nano": Dimensions((2, 2, 8, 2), (80, 160, 320, 640)),
    "T": Dimensions((3, 3, 9, 3), (96, 192, 384, 768)),
    "S": Dimensions((3, 3, 27, 3), (96, 192, 384, 768)),
    "B": Dimensions((3, 3, 27, 3), (128, 256, 512, 1024)),
    "L": Dimensions((3, 3, 27, 3), (192, 384, 768, 1536)),
    "XL": Dimensions((3, 3, 27, 3), (256, 512, 1024, 2048)),
}


@dataclasses.dataclass(frozen=True)
class ConvNeXtConfig:
    """Hyper-parameters of a ConvNeXt; plain fields that survive JSON.

    There is no stochastic depth: its masks would have to follow the global position of an example
    to stay the same on any number of devices.

    Attributes:
        size: "T", "S", "B", "L" or "XL" as published, or "Atto", "Femto", "Pico" or "Nano", the
            smaller ones of the timm library, with the same layers throughout.
        depths: blocks in each of the four stages; None takes the size's.
        dims: channels of each of the four stages; None takes the size's.
        stem_patch: side and stride of the patches that the stem cuts, pixels; 2 or 1 for images of
            about 30 pixels. The last map is 8 times as coarse, and images must have a cell in it.
        layer_scale_init: what the learned scale of every block's branch starts at, above 0.
        dtype: compute dtype; parameters, LayerNorm and the residual stream stay float32.
        color_space: what the network sees of the images it is given, which are sRGB throughout:
            "rgb", the images as they are; "lightness", L of Lab; "ab"; or "lab". L also of grey
            images, the others of 3 channels only.
        mean: subtracted after that, one value or one per channel of the colour space, in units of
            [0, 1] for "rgb" and in Lab units for the others, as (50.0,).
        std: divides after that, one value or one per channel.
    """

    size: Literal["Atto", "Femto", "Pico", "Nano", "T", "S", "B", "L", "XL"] = "T"
    depths: tuple[int, int, int, int] | None = None
    dims: tuple[int, int, int, int] | None = None
    stem_patch: int = 4
    layer_scale_init: float = 1e-6
    dtype: Literal["float32", "bfloat16"] = "float32"
    color_space: Literal["rgb", "lightness", "ab", "lab"] = "rgb"
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def __post_init__(self):
        checks.choice(self, SIZES, "size")
        checks.choice(self, layers.DTYPES, "dtype")
        checks.choice(self, layers.COLOR_SPACES, "color_space")
        for name, values in self.dimensions._asdict().items():
            if len(values) != 4 or min(values) < 1:
                raise ValueError(
                    f"ConvNeXtConfig: {name} must be 4 numbers of at least 1, one per stage; got "
                    f"{values}."
                )
        checks.at_least(self, 1, "stem_patch")
        checks.above(self, 0, "layer_scale_init", fix="The paper starts at 1e-6.")

    @property
    def dimensions(self) -> Dimensions:
        """Blocks and channels of the stages: the size's, unless a field overrides them."""
        override = (self.depths, self.dims)
        return Dimensions(*(o if o is not None else s for o, s in zip(override, SIZES[self.size])))

    def build(self, *, axis_name: str | None = None) -> "ConvNeXt":
        """The linen module; ``axis_name`` changes nothing, there are no batch statistics."""
        return ConvNeXt(self, axis_name)


class ConvNeXt(nn.Module):
    """ConvNeXt encoder: images to Features.

    The stem cuts patches and normalises them, three times the map is normalised and halved by a 2x2
    convolution of stride 2, and the mean of the last map is normalised once more. Convolutions of a
    stride leave out what is over at the lower and right border, as the official code does. Kernels
    start from a normal distribution of standard deviation 0.02, biases from zero: the official
    truncation is at ±2, a hundred standard deviations, and cuts nothing off.

    On CPUs depthwise convolutions are slow for their few operations: more than half of a step.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> encoder = ConvNeXtConfig(depths=(1, 1, 1, 1), dims=(4, 8, 8, 16), stem_patch=2).build()
        >>> images = jnp.zeros((2, 32, 32, 3), jnp.uint8)
        >>> variables = jax.jit(encoder.init)(jax.random.key(0), images)
        >>> jax.jit(encoder.apply)(variables, images).tokens.shape
        (2, 4, 16)

    Attributes:
        config: hyper-parameters.
        axis_name: unused; every encoder has it.

    Source: Liu et al., A ConvNet for the 2020s, 2022, arXiv:2201.03545, sec. 2 and 3, figure 4 and
        table 9; layer scale: Touvron et al., Going Deeper with Image Transformers, 2021,
        arXiv:2103.17239, sec. 2. Atto to Nano: Wightman, PyTorch Image Models (timm), 2022.
    """

    config: ConvNeXtConfig
    axis_name: str | None = None

    @nn.compact
    def __call__(self, images: Array, train: bool = False) -> types.Features:
        """Encodes images.

        Args:
            images: [B, H, W, C], uint8 or floating in [0, 1], any number of channels; H and W at
                least 8 times the stem's patch.
            train: no effect; every module takes it.

        Returns:
            Features in float32: pooled [B, D], the mean of tokens after a LayerNorm; tokens
            [B, N, D], the cells of the last feature map in raster order, without it; maps, the
            feature map after each of the four stages, [B, H_stage, W_stage, D_stage]; stages, the
            mean of each.

        Raises:
            ValueError: ``images`` is not of rank 4, or too small.
            TypeError: ``images`` is neither uint8 nor floating.
        """
        del train
        config = self.config
        _check_inputs(images, config.stem_patch)
        depths, dims = config.dimensions
        dtype = config.dtype

        x = layers.standardise(images, config.mean, config.std, config.color_space)
        x = _patch_conv(x, dims[0], config.stem_patch, dtype=dtype, name="stem_conv")
        x = layers.layer_norm(x, dtype="float32", name="stem_norm")
        maps = []
        for stage, (depth, width) in enumerate(zip(depths, dims), start=1):
            if stage > 1:
                x = layers.layer_norm(x, dtype=dtype, name=f"stage{stage}_downsample_norm")
                x = _patch_conv(x, width, 2, dtype=dtype, name=f"stage{stage}_downsample_conv")
                x = x.astype(jnp.float32)
            for block in range(1, depth + 1):
                name = f"stage{stage}_block{block}"
                x = ConvNeXtBlock(config.layer_scale_init, dtype, name=name)(x)
            maps.append(x)
        stages = tuple(each.mean(axis=(1, 2)) for each in maps)
        pooled = layers.layer_norm(stages[-1], dtype="float32", name="norm")
        tokens = x.reshape(x.shape[0], -1, x.shape[-1])
        return types.Features(pooled, tokens, stages, tuple(maps))


class ConvNeXtBlock(nn.Module):
    """x + scale · mlp(norm(depthwise(x))), the convolution 7x7 and padded, the scale per channel.

    The hidden layer of the mlp is 4 times as wide, with exact (erf) GELU. The residual stream stays
    float32.

    Attributes:
        layer_scale_init: what the scale starts at.
        dtype: compute dtype of convolution and matrix products.

    Source: Liu et al., A ConvNet for the 2020s, 2022, arXiv:2201.03545, figure 4.
    """

    layer_scale_init: float
    dtype: str

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Maps float32 [B, H, W, D] to float32 [B, H, W, D]."""
        width = x.shape[-1]
        depthwise = convolution.Conv(
            width,
            (7, 7),
            padding=[(3, 3)] * 2,
            feature_group_count=width,
            dtype=jnp.dtype(self.dtype),
            kernel_init=nn.initializers.normal(0.02),
            name="depthwise",
        )
        y = layers.layer_norm(depthwise(x), dtype=self.dtype, name="norm")
        y = _linear(y, 4 * width, dtype=self.dtype, name="mlp_in")
        y = activations.gelu(y)
        y = _linear(y, width, dtype=self.dtype, name="mlp_out")
        init = nn.initializers.constant(self.layer_scale_init)
        scale = self.param("layer_scale", init, (width,))
        return x + scale[None, None, None] * y.astype(jnp.float32)


def _linear(x: Array, features: int, *, dtype: str, name: str) -> Array:
    init = nn.initializers.normal(0.02)
    return products.Dense(features, dtype=dtype, kernel_init=init, name=name)(x)


def _patch_conv(x: Array, features: int, size: int, *, dtype: str, name: str) -> Array:
    """Convolution whose windows do not overlap, a remainder at the border left out."""
    conv = convolution.Conv(
        features,
        (size, size),
        strides=(size, size),
        padding="VALID",
        dtype=jnp.dtype(dtype),
        kernel_init=nn.initializers.normal(0.02),
        name=name,
    )
    return conv(x)


def _check_inputs(images: Array, stem_patch: int) -> None:
    if images.ndim != 4:
        raise ValueError(
            f"ConvNeXt: images must be [B, H, W, C]; got shape {images.shape}. Add a batch axis?"
        )
    height, width = images.shape[1:3]
    least = 8 * stem_patch
    if min(height, width) < least:
        raise ValueError(
            f"ConvNeXt: images must be at least {least} pixels high and wide with stem_patch "
            f"{stem_patch}; got {height}x{width}. Use a smaller stem_patch."
        )
