"""Residual network encoder."""

import dataclasses
from typing import Literal

import flax.linen as nn
import jax.numpy as jnp

from jaxssl import checks, types
from jaxssl.models import convolution, layers, max_pool
from jaxssl.types import Array

# Blocks in each of the four stages, and whether they are bottlenecks.
DEPTHS = {
    10: ((1, 1, 1, 1), False),
    18: ((2, 2, 2, 2), False),
    34: ((3, 4, 6, 3), False),
    50: ((3, 4, 6, 3), True),
    101: ((3, 4, 23, 3), True),
    152: ((3, 8, 36, 3), True),
}

# Side, stride and padding of the stem's convolution.
STEMS = {"imagenet": (7, 2, 3), "small": (3, 1, 1), "patch": (4, 4, 0)}


@dataclasses.dataclass(frozen=True)
class ResNetConfig:
    """Hyper-parameters of a ResNet; plain fields that survive JSON.

    Attributes:
        depth: 10, 18 or 34 (two 3x3 convolutions a block), 50, 101 or 152 (bottlenecks v1.5: the
            stride is in the 3x3 convolution).
        width_multiplier: factor on the channels of every layer, as in SimCLR; 0.25 gives stages of
            16, 32, 64, 128 (times 4 after a bottleneck).
        stem: "imagenet", 7x7 stride 2 and a 3x3 max-pool of stride 2; "small", one 3x3 of stride 1,
            as SimCLR for CIFAR; or "patch", one 4x4 of stride 4 without padding, as ConvNeXt: as
            small a map as the ImageNet stem's, by one matrix product.
        num_stages: stages kept, 1 to 4, the first of them; small images need fewer, since each
            halves the map. CIFAR's ResNets have 3.
        zero_init_residual: start the last BatchNorm scale of every block at 0, so that each block
            starts as its shortcut.
        dtype: compute dtype; parameters and statistics stay float32.
        color_space: what the network sees of the images it is given, which are sRGB throughout:
            "rgb", the images as they are; "lightness", L of Lab; "ab"; or "lab". L also of grey
            images, the others of 3 channels only.
        mean: subtracted after that, one value or one per channel of the colour space, in units of
            [0, 1] for "rgb" and in Lab units for the others, as (50.0,).
        std: divides after that, one value or one per channel.
    """

    depth: Literal[10, 18, 34, 50, 101, 152] = 50
    width_multiplier: float = 1.0
    stem: Literal["imagenet", "small", "patch"] = "imagenet"
    num_stages: int = 4
    zero_init_residual: bool = True
    dtype: Literal["float32", "bfloat16"] = "float32"
    color_space: Literal["rgb", "lightness", "ab", "lab"] = "rgb"
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def __post_init__(self):
        checks.choice(self, DEPTHS, "depth")
        checks.choice(self, STEMS, "stem")
        checks.choice(self, (1, 2, 3, 4), "num_stages")
        checks.choice(self, layers.DTYPES, "dtype")
        checks.choice(self, layers.COLOR_SPACES, "color_space")
        if round(64 * self.width_multiplier) < 1:
            raise ValueError(
                "ResNetConfig: width_multiplier must leave at least 1 of 64 channels; got "
                f"{self.width_multiplier}."
            )

    def build(self, *, axis_name: str | None = None) -> "ResNet":
        """The linen module, its BatchNorm synchronised over ``axis_name``."""
        return ResNet(self, axis_name)


class ResNet(nn.Module):
    """Residual network encoder: images to Features.

    Convolutions are padded symmetrically, as in PyTorch, and start from He's normal initialisation
    over the fan-out.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> encoder = ResNetConfig(depth=18, width_multiplier=0.25, stem="small").build()
        >>> images = jnp.zeros((2, 32, 32, 3), jnp.uint8)
        >>> variables = jax.jit(encoder.init)(jax.random.key(0), images)
        >>> jax.jit(encoder.apply)(variables, images).pooled.shape
        (2, 128)

    Attributes:
        config: hyper-parameters.
        axis_name: device axis over which BatchNorm is synchronised, or None.

    Source: He et al., Deep Residual Learning for Image Recognition, 2015, arXiv:1512.03385, table
        1; zero scale: Goyal et al., Accurate, Large Minibatch SGD, 2017, arXiv:1706.02677, sec.
        5.1; small stem and width: Chen et al., SimCLR, 2020, arXiv:2002.05709, appendix B.9; patch
        stem: Liu et al., A ConvNet for the 2020s, 2022, arXiv:2201.03545, sec. 2.2; depth
        10: Chen et al., A Closer Look at Few-shot Classification, 2019, arXiv:1904.04232.
    """

    config: ResNetConfig
    axis_name: str | None = None

    @nn.compact
    def __call__(self, images: Array, train: bool = False) -> types.Features:
        """Encodes images.

        Args:
            images: [B, H, W, C], uint8 or floating in [0, 1], any number of channels.
            train: normalise by the global batch and update ``batch_stats``, which must be mutable.

        Returns:
            Features in float32: pooled [B, D], the mean of tokens; tokens [B, N, D], the cells of
            the last feature map in raster order; maps, the feature map after each stage,
            [B, H_stage, W_stage, D_stage]; stages, the mean of each.

        Raises:
            ValueError: ``images`` is not of rank 4, or not to be cut into patches.
            TypeError: ``images`` is neither uint8 nor floating.
        """
        config = self.config
        if images.ndim != 4:
            raise ValueError(
                f"ResNet: images must be [B, H, W, C]; got shape {images.shape}. Add a batch axis?"
            )
        num_blocks, bottleneck = DEPTHS[config.depth]
        channels = [round(64 * 2**stage * config.width_multiplier) for stage in range(4)]

        x = layers.standardise(images, config.mean, config.std, config.color_space)
        if config.stem == "patch":
            _check_tiles(images)
        size, stride, padding = STEMS[config.stem]
        x = _conv(
            x, channels[0], size, stride, padding=padding, dtype=config.dtype, name="stem_conv"
        )
        x = layers.batch_norm(
            x, train=train, axis_name=self.axis_name, dtype=config.dtype, name="stem_norm"
        )
        x = nn.relu(x)
        if config.stem == "imagenet":
            x = max_pool.max_pool(x, size=3, stride=2, padding=1)

        maps = []
        for stage in range(config.num_stages):
            for block in range(num_blocks[stage]):
                x = ResidualBlock(
                    channels[stage],
                    stride=2 if stage > 0 and block == 0 else 1,
                    bottleneck=bottleneck,
                    zero_init=config.zero_init_residual,
                    dtype=config.dtype,
                    axis_name=self.axis_name,
                    name=f"stage{stage + 1}_block{block + 1}",
                )(x, train)
            maps.append(x.astype(jnp.float32))
        stages = tuple(each.mean(axis=(1, 2)) for each in maps)
        tokens = maps[-1].reshape(x.shape[0], -1, x.shape[-1])
        return types.Features(stages[-1], tokens, stages, tuple(maps))


class ResidualBlock(nn.Module):
    """relu(shortcut(x) + convolutions(x)), every convolution followed by BatchNorm.

    Attributes:
        channels: channels of the 3x3 convolutions; a bottleneck gives out 4 times as many.
        stride: of the first 3x3 convolution and the shortcut.
        bottleneck: 1x1, 3x3, 1x1 instead of 3x3, 3x3.
        zero_init: whether the last BatchNorm's scale starts at 0.
        dtype: compute dtype.
        axis_name: device axis over which BatchNorm is synchronised, or None.
    """

    channels: int
    stride: int
    bottleneck: bool
    zero_init: bool
    dtype: str
    axis_name: str | None

    @nn.compact
    def __call__(self, x: Array, train: bool) -> Array:
        """Maps [B, H, W, C] to [B, H / stride, W / stride, channels or 4 · channels]."""
        # (features, kernel size, stride) of each convolution in turn.
        plan = [(self.channels, 3, self.stride), (self.channels, 3, 1)]
        if self.bottleneck:
            plan = [(self.channels, 1, 1), plan[0], (4 * self.channels, 1, 1)]
        last_scale = nn.initializers.zeros if self.zero_init else nn.initializers.ones

        y = x
        for index, (features, size, stride) in enumerate(plan, start=1):
            is_last = index == len(plan)
            y = _conv(y, features, size, stride, dtype=self.dtype, name=f"conv{index}")
            scale_init = last_scale if is_last else nn.initializers.ones
            y = self._norm(y, train, name=f"norm{index}", scale_init=scale_init)
            if not is_last:
                y = nn.relu(y)
        shortcut = x.astype(y.dtype)
        if x.shape != y.shape:
            shortcut = _conv(x, y.shape[-1], 1, self.stride, dtype=self.dtype, name="shortcut_conv")
            shortcut = self._norm(shortcut, train, name="shortcut_norm")
        return nn.relu(shortcut + y)

    def _norm(
        self,
        x: Array,
        train: bool,
        *,
        name: str,
        scale_init: nn.initializers.Initializer = nn.initializers.ones,
    ) -> Array:
        return layers.batch_norm(
            x,
            train=train,
            axis_name=self.axis_name,
            dtype=self.dtype,
            name=name,
            scale_init=scale_init,
        )


def _check_tiles(images: Array) -> None:
    """Raises a ValueError unless patches of the patch stem tile the images."""
    side = STEMS["patch"][0]
    if images.shape[1] % side or images.shape[2] % side:
        raise ValueError(
            f"ResNet: images must be multiples of {side} pixels high and wide with stem 'patch'; "
            f"got {images.shape[1]}x{images.shape[2]}. Resize them, or use another stem."
        )


def _conv(
    x: Array,
    features: int,
    size: int,
    stride: int,
    *,
    dtype: str,
    name: str,
    padding: int | None = None,
) -> Array:
    padding = size // 2 if padding is None else padding
    conv = convolution.Conv(
        features,
        (size, size),
        strides=(stride, stride),
        padding=[(padding, padding)] * 2,
        use_bias=False,
        dtype=jnp.dtype(dtype),
        kernel_init=nn.initializers.variance_scaling(2.0, "fan_out", "normal"),
        name=name,
    )
    return conv(x)
