"""Vision Transformer encoder."""

import dataclasses
from collections.abc import Mapping
from typing import Literal, NamedTuple, get_args

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxssl import checks, types
from jaxssl.models import (
    attention_maps,
    initialization,
    layers,
    patches,
    rotary,
    transformer,
    vit_inputs,
)
from jaxssl.types import Array


class Dimensions(NamedTuple):
    """What a size name stands for."""

    width: int
    depth: int
    num_heads: int


SIZES = {
    "Nano": Dimensions(128, 4, 4),
    "Ti": Dimensions(192, 12, 3),
    "S": Dimensions(384, 12, 6),
    "B": Dimensions(768, 12, 12),
    "L": Dimensions(1024, 24, 16),
    "H": Dimensions(1280, 32, 16),
}


@dataclasses.dataclass(frozen=True)
class ViTConfig:
    """Hyper-parameters of a ViT; plain fields that survive JSON.

    Stochastic depth is not among them: its masks follow the examples, so the methods that use it
    draw them (``DINO.drop_path``).

    Attributes:
        size: "Ti", "S", "B", "L" or "H" as published (width 192, 384, 768, 1024, 1280), or "Nano",
            jaxssl's own size for work on CPUs: width 128, depth 4, 4 heads.
        width: features D of a token; None takes the size's.
        depth: number of blocks; None takes the size's.
        num_heads: attention heads, must divide the width; None takes the size's.
        patch_size: side of a square patch, pixels; must divide the image's sides.
        pool: what Features.pooled is, after the final norm: "class", a learned token that goes
            along, or "mean" of the patch tokens; with "mean" there is no class token at all.
        position: "sincos", the fixed table of MAE (width must be a multiple of 4); "learned", a
            grid made for the image size of ``init`` and resized bilinearly for any other; or
            "rope", nothing added, but queries and keys turned by where they are, in every block
            (DINOv3; width over heads must be a multiple of 4).
        position_grid: rows and columns of patches of a square image in whose coordinates "sincos"
            places those of any other size, so that a small crop spans the whole range, as DINO's
            resized table does: image size over patch size of the global crops. None: each size has
            coordinates of its own, from 0 in steps of 1.
        initialization: "mae", Xavier-uniform kernels, queries, keys and values as one; "moco_v3",
            each of them with a bound of its own, and a class token with standard deviation 1e-6;
            "dino", normal kernels with standard deviation 0.02, and a patch embedding as PyTorch's
            convolutions begin. MoCo v3's ViT-S has ``num_heads=12``.
        num_registers: learned tokens without position that go along and are dropped at the end.
        layer_scale: what the learned factors begin with that multiply every feature of every
            residual branch (CaiT); the published ones: 0.1 of BEiT-B, 1e-4 of data2vec's ViT-B,
            1e-5 of DINOv2. None: there are none.
        mlp: "gelu", or "swiglu", as DINOv2's largest; see ``transformer.Block``.
        causal: a patch sees itself and those before it, in raster order, unless a ``prefix`` says
            otherwise; pooled by "mean", and not for methods that encode visible patches alone.
        norm_epsilon: of every LayerNorm: 1e-6 of MAE and of nearly all weights that are published,
            1e-5 of DINOv3.
        library_attention: attention by ``jax.nn.dot_product_attention``, the same up to rounding.
        scan_layers: run the blocks as one scan, parameters with a leading layer axis: shorter
            tracing and few leaves; ``stack_layers`` and ``unstack_layers`` convert.
        remat: what of each block the backward pass computes anew instead of keeping it: "none";
            "dots", all but what products with weights give, hardly any more work; "block", all of
            it, least memory and about a third more work.
        dtype: compute dtype; parameters, softmax and the residual stream stay float32.
        color_space: what the network sees of the images it is given, which are sRGB throughout:
            "rgb", the images as they are; "lightness", L of Lab; "ab"; or "lab". L also of grey
            images, the others of 3 channels only.
        mean: subtracted after that, one value or one per channel of the colour space, in units of
            [0, 1] for "rgb" and in Lab units for the others, as (50.0,).
        std: divides after that, one value or one per channel.
    """

    size: Literal["Nano", "Ti", "S", "B", "L", "H"] = "B"
    width: int | None = None
    depth: int | None = None
    num_heads: int | None = None
    patch_size: int = 16
    pool: Literal["class", "mean"] = "class"
    position: Literal["sincos", "learned", "rope"] = "sincos"
    position_grid: int | None = None
    initialization: Literal["mae", "moco_v3", "dino"] = "mae"
    num_registers: int = 0
    layer_scale: float | None = None
    mlp: Literal["gelu", "swiglu"] = "gelu"
    causal: bool = False
    norm_epsilon: float = layers.LAYER_NORM_EPSILON
    library_attention: bool = False
    scan_layers: bool = False
    remat: transformer.Remat = "none"
    dtype: Literal["float32", "bfloat16"] = "float32"
    color_space: Literal["rgb", "lightness", "ab", "lab"] = "rgb"
    mean: tuple[float, ...] = (0.0,)
    std: tuple[float, ...] = (1.0,)

    def __post_init__(self):
        checks.choice(self, SIZES, "size")
        checks.choice(self, ("class", "mean"), "pool")
        checks.choice(self, ("sincos", "learned", "rope"), "position")
        checks.choice(self, ("gelu", "swiglu"), "mlp")
        checks.choice(self, initialization.INITIALIZATIONS, "initialization")
        checks.choice(self, get_args(transformer.Remat), "remat")
        checks.choice(self, layers.DTYPES, "dtype")
        checks.choice(self, layers.COLOR_SPACES, "color_space")
        width, depth, num_heads = self.dimensions
        checks.at_least(self, 1, width=width, depth=depth, num_heads=num_heads)
        checks.at_least(self, 1, "patch_size", "position_grid")
        checks.at_least(self, 0, "num_registers")
        checks.above(self, 0, "layer_scale", fix="Leave it out for branches without factors.")
        checks.above(self, 0, "norm_epsilon")
        if self.position_grid is not None and self.position != "sincos":
            raise ValueError(
                f"ViTConfig: position_grid must be None with position {self.position!r}, which "
                f"spans crops of any size anyway; got {self.position_grid}."
            )
        if self.causal and self.pool == "class":
            raise ValueError(
                "ViTConfig: pool must be 'mean' with causal attention, in which a class token sees "
                "nothing; got 'class'. Set --encoder.pool mean."
            )
        if width % num_heads:
            raise ValueError(
                f"ViTConfig: width must be a multiple of num_heads; got width {width}, "
                f"num_heads {num_heads}."
            )
        if self.position == "sincos" and width % 4:
            raise ValueError(
                f"ViTConfig: width must be a multiple of 4 with position 'sincos'; got {width}. "
                "Use position 'learned'?"
            )
        if self.position == "rope" and width // num_heads % 4:
            raise ValueError(
                "ViTConfig: width over num_heads must be a multiple of 4 with position 'rope'; got "
                f"{width // num_heads}. Use other num_heads, or position 'learned'?"
            )

    @property
    def dimensions(self) -> Dimensions:
        """Width, depth and heads: the size's, unless a field overrides them."""
        override = (self.width, self.depth, self.num_heads)
        return Dimensions(*(o if o is not None else s for o, s in zip(override, SIZES[self.size])))

    @classmethod
    def upgrade(cls, fields: dict) -> dict:
        """Today's fields of a record whose ``remat`` was true or false."""
        return transformer.upgrade_remat(fields)

    def build(self, *, axis_name: str | None = None) -> "ViT":
        """The linen module; ``axis_name`` changes nothing, a ViT has no batch statistics."""
        return ViT(self, axis_name)


class ViT(nn.Module):
    """Vision Transformer encoder: images to Features.

    Patches are cut by a reshape and embedded by one matrix product, which with ``keep`` covers only
    the kept ones. Deviations from the original: the initialisation, by default MAE's
    (Xavier-uniform linears, zero biases, tokens with standard deviation 0.02), LayerNorm epsilon
    1e-6, exact GELU.

    Example:
        >>> import jax, jax.numpy as jnp
        >>> encoder = ViTConfig(size="Nano", depth=1, patch_size=8).build()
        >>> images = jnp.zeros((2, 32, 32, 3), jnp.uint8)
        >>> variables = jax.jit(encoder.init)(jax.random.key(0), images)
        >>> jax.jit(encoder.apply)(variables, images).tokens.shape
        (2, 16, 128)

    Attributes:
        config: hyper-parameters.
        axis_name: unused; every encoder has it.

    Source: Dosovitskiy et al., An Image Is Worth 16x16 Words, 2020, arXiv:2010.11929; He et al.,
        Masked Autoencoders Are Scalable Vision Learners, 2021, arXiv:2111.06377; registers:
        Darcet et al., Vision Transformers Need Registers, 2023, arXiv:2309.16588.
    """

    config: ViTConfig
    axis_name: str | None = None

    @nn.compact
    def __call__(
        self,
        images: Array,
        train: bool = False,
        keep: Array | None = None,
        branch_scale: Array | None = None,
        hide: Array | None = None,
        mask_token: Array | None = None,
        prefix: Array | None = None,
    ) -> types.Features:
        """Encodes images, or only some of their patches, or with some of them hidden.

        Args:
            images: [B, H, W, C], uint8 or floating in [0, 1], any number of channels.
            train: no effect; every module takes it.
            keep: int32 [B, K], raster indices in [0, N) of the patches to encode, or None for all.
            branch_scale: float32 [depth, 2, B], what ``drop_path.branch_scale`` makes, or None.
            hide: bool [B, N], the patches whose embedding is replaced by ``mask_token`` before it
                gets its position, or None; not together with ``keep``.
            mask_token: float32 [D], with ``hide`` and only with it. It is a parameter of who hides,
                not of the encoder, whose tree stays the same.
            prefix: int32 [B], how many patches, the first in raster order, every token sees; beside
                those a patch sees itself and the ones before it. None: every token sees all, or,
                with ``causal``, the prefix is the first patch alone. Class token and registers are
                seen by all and see nothing behind the prefix. Not together with ``keep``.

        Returns:
            Features in float32: pooled [B, D]; tokens [B, N, D], or [B, K, D] in the order of
            ``keep``; stages, pooled in the same way before the final norm, [B, D] after each block;
            maps, the patch tokens they are pooled from, [B, h, w, D], or [B, K, D] with ``keep``;
            class_tokens, with pool "class", [B, D] after each block, after the final norm (DINO's
            get_intermediate_layers).

        Raises:
            ValueError: shapes that do not fit the patch size or each other.
            TypeError: images neither uint8 nor floating, or ``keep`` not of integers.
        """
        del train
        config = self.config
        width, depth, num_heads = config.dimensions
        grid = vit_inputs.check(images, keep, config.patch_size)
        vit_inputs.check_hidden(hide, mask_token, keep, (images.shape[0], grid[0] * grid[1]), width)
        vit_inputs.check_prefix(prefix, keep, images.shape[0], causal=config.causal)
        if config.causal and prefix is None:
            prefix = jnp.ones(1, jnp.int32)
        begin = initialization.INITIALIZATIONS[config.initialization]

        rows = patches.patchify(images, config.patch_size)  # [B, N, P], raw
        positions = self._positions(grid)  # [N, D], or angles [N, d / 2]
        if keep is None:
            positions = positions[None]
        else:
            rows = patches.gather_rows(rows, keep)
            positions = positions[keep]
        by_channel = rows.reshape(*rows.shape[:2], -1, images.shape[-1])
        pixels = layers.standardise(by_channel, config.mean, config.std, config.color_space)
        rows = pixels.reshape(*rows.shape[:2], -1)
        x = layers.linear(
            rows,
            width,
            dtype=config.dtype,
            name="patch_embedding",
            kernel_init=begin.patch_kernel,
            bias_init=begin.patch_bias(rows.shape[-1]),
        )
        x = x.astype(jnp.float32)
        if hide is not None:
            assert mask_token is not None  # checked with ``hide``
            x = jnp.where(hide[:, :, None], mask_token[None, None], x)
        if config.position != "rope":
            x = x + positions

        extra = self._extra_tokens()
        num_extra = extra.shape[1]
        x = jnp.concatenate([jnp.broadcast_to(extra, (x.shape[0], num_extra, width)), x], axis=1)
        order = transformer.NO_ORDER
        if config.position == "rope":
            order = order._replace(rotation=rotary.rotation(positions, num_extra))
        if prefix is not None:
            mask = transformer.prefix_mask(x.shape[1], num_extra + prefix)
            order = order._replace(mask=mask)

        def pool(tokens: Array) -> Array:
            return tokens[:, 0] if config.pool == "class" else tokens[:, num_extra:].mean(axis=1)

        def summary(tokens: Array) -> tuple[Array, Array]:
            map_ = tokens[:, num_extra:]
            return pool(tokens), map_ if keep is not None else map_.reshape(-1, *grid, width)

        stack = transformer.Stack(
            depth, num_heads, config.dtype, config.scan_layers, config.remat, begin.blocks,
            layer_scale=config.layer_scale, swiglu=config.mlp == "swiglu",
            library=config.library_attention, norm_epsilon=config.norm_epsilon,
        )  # fmt: skip
        x, kept = transformer.apply_blocks(
            x, stack, summary=summary, branch_scale=branch_scale, order=order
        )
        norm = nn.LayerNorm(epsilon=config.norm_epsilon, name="norm")
        x = norm(x)
        stages, maps = zip(*kept, strict=True)
        class_tokens = tuple(map(norm, stages)) if config.pool == "class" else ()
        return types.Features(pool(x), x[:, num_extra:], stages, maps, class_tokens)

    @nn.nowrap
    def attention_maps(self, variables: Mapping, images: Array, *, block: int = -1) -> Array:
        """How much what is pooled attends to each patch, float32 [B, heads, h, w]."""
        return attention_maps.attention_maps(self.config, variables, images, block=block)

    def _positions(self, grid: tuple[int, int]) -> Array:
        """Position of every patch, float32 [N, D]; with "rope", its angles, [N, d / 2]."""
        width, _, num_heads = self.config.dimensions
        if self.config.position == "rope":
            return jnp.asarray(rotary.patch_angles(*grid, width // num_heads))
        if self.config.position == "sincos":
            reference = self.config.position_grid
            return jnp.asarray(patches.sincos_positions(*grid, width, reference=reference))
        # The stored grid wins over the image's, so that other image sizes can be read.
        stored: Array | None = self.get_variable("params", "position")
        shape = (*grid, width) if stored is None else stored.shape
        table = self.param("position", nn.initializers.normal(0.02), shape)
        if shape[:2] != grid:
            table = jax.image.resize(table, (*grid, width), "bilinear")
        return table.reshape(-1, width)

    def _extra_tokens(self) -> Array:
        """Class and register tokens, float32 [1, 0 or more, D]."""
        width = self.config.dimensions.width
        init = nn.initializers.normal(0.02)
        tokens = [jnp.zeros((1, 0, width), jnp.float32)]
        if self.config.pool == "class":
            begin = initialization.INITIALIZATIONS[self.config.initialization]
            class_init = nn.initializers.normal(begin.class_token_std)
            class_token = self.param("class_token", class_init, (1, 1, width))
            if self.config.position == "learned":
                class_token = class_token + self.param("class_position", init, (1, 1, width))
            tokens.append(class_token)
        if self.config.num_registers:
            tokens.append(self.param("registers", init, (1, self.config.num_registers, width)))
        return jnp.concatenate(tokens, axis=1)
