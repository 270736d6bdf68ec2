"""Layers that the encoders, the decoder and the heads share.

Precision, everywhere in ``models``: parameters, normalisation statistics, softmax and the residual
stream of a transformer are float32; matrix products and convolutions run in ``dtype``, which is
"float32" or "bfloat16" (what automatic mixed precision does elsewhere). Outputs are float32.

The functions that take ``name`` create a submodule of the linen module that calls them.
"""

from collections.abc import Callable, Mapping

import einops
import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxssl import colorspace
from jaxssl.models import activations, initialization, products
from jaxssl.types import Array, PyTree

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


def layer_norm(x: Array, *, dtype: str, name: str) -> Array:
    """LayerNorm over the last axis with epsilon 1e-6, computed in float32, returned in ``dtype``.

    Source: Ba et al., Layer Normalization, 2016, arXiv:1607.06450; epsilon as in MAE.
    """
    norm = nn.LayerNorm(epsilon=LAYER_NORM_EPSILON, name=name)
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


def doubled(x: Array) -> Array:
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


class Attention(nn.Module):
    """Multi-head self-attention; queries, keys and values come from one fused linear map.

    Attributes:
        num_heads: heads; must divide the width.
        dtype: compute dtype; the softmax is float32 whatever it is.
        kernels: how the kernels begin.

    Source: Vaswani et al., Attention Is All You Need, 2017, arXiv:1706.03762, eq. 1.
    """

    num_heads: int
    dtype: str = "float32"
    kernels: initialization.BlockKernels = initialization.XAVIER_BLOCKS

    @nn.compact
    def __call__(self, x: Array) -> Array:
        """Maps [B, N, D] to [B, N, D]; every token sees every other."""
        width = x.shape[-1]
        qkv = linear(x, 3 * width, dtype=self.dtype, name="qkv", kernel_init=self.kernels.qkv)
        # Split before the heads are: the gradient is then one concatenation, not three padded sums.
        q, k, v = (
            einops.rearrange(each, "b n (h d) -> b n h d", h=self.num_heads)
            for each in jnp.split(qkv, 3, axis=-1)
        )
        scores = jnp.einsum("bqhd,bkhd->bhqk", q, k, preferred_element_type=jnp.float32)
        weights = nn.softmax(scores * (width // self.num_heads) ** -0.5).astype(self.dtype)
        mixed = jnp.einsum("bhqk,bkhd->bqhd", weights, v)
        return linear(
            mixed.reshape(x.shape),
            width,
            dtype=self.dtype,
            name="proj",
            kernel_init=self.kernels.linear,
        )


class Block(nn.Module):
    """Pre-norm transformer block: x + attention(norm(x)), then x + mlp(norm(x)).

    The hidden layer is 4 times as wide, with exact (erf) GELU. The residual stream stays float32.

    Attributes:
        num_heads: heads; must divide the width.
        dtype: compute dtype of the matrix products.
        kernels: how the kernels begin.

    Source: Dosovitskiy et al., An Image Is Worth 16x16 Words, 2020, arXiv:2010.11929, eq. 2 and 3.
    """

    num_heads: int
    dtype: str = "float32"
    kernels: initialization.BlockKernels = initialization.XAVIER_BLOCKS

    @nn.compact
    def __call__(self, x: Array, scale: Array | None = None) -> Array:
        """Maps float32 [B, N, D] to float32 [B, N, D]; ``scale`` [2, B] multiplies the branches."""

        def scaled(branch: Array, index: int) -> Array:
            branch = branch.astype(jnp.float32)
            return branch if scale is None else branch * scale[index][:, None, None]

        def mlp_linear(y: Array, features: int, name: str) -> Array:
            kernel_init = self.kernels.linear
            return linear(y, features, dtype=self.dtype, name=name, kernel_init=kernel_init)

        y = layer_norm(x, dtype=self.dtype, name="norm1")
        y = Attention(self.num_heads, self.dtype, self.kernels, name="attention")(y)
        x = x + scaled(y, 0)
        y = layer_norm(x, dtype=self.dtype, name="norm2")
        y = mlp_linear(y, 4 * x.shape[-1], "mlp_in")
        y = activations.gelu(y)
        y = mlp_linear(y, x.shape[-1], "mlp_out")
        return x + scaled(y, 1)


def apply_blocks(
    x: Array,
    *,
    depth: int,
    num_heads: int,
    dtype: str,
    scan_layers: bool,
    remat: bool,
    summary: Callable[[Array], PyTree] | None = None,
    kernels: initialization.BlockKernels = initialization.XAVIER_BLOCKS,
    branch_scale: Array | None = None,
) -> tuple[Array, tuple[PyTree, ...]]:
    """Runs ``depth`` blocks as submodules of the calling linen module.

    Args:
        x: float32 [B, N, D].
        depth: number of blocks.
        num_heads: heads in each.
        dtype: compute dtype.
        scan_layers: one block in a scan, parameters under "blocks" with a leading layer axis,
            instead of "block_0", "block_1" …
        remat: recompute each block's activations in the backward pass.
        summary: what to keep of the tokens [B, N, D] after each block; None: nothing.
        kernels: how the kernels of each block begin.
        branch_scale: float32 [depth, 2, B], what the two branches of each block are multiplied by,
            as ``drop_path.branch_scale`` makes it; None: nothing.

    Returns:
        float32 [B, N, D] after the last block, and the summary after each block.
    """
    # Inside a scan nothing can be merged across iterations, so the barrier would only cost.
    block_class = nn.remat(Block, prevent_cse=not scan_layers) if remat else Block
    if not scan_layers:
        stages = []
        for index in range(depth):
            block = block_class(num_heads, dtype, kernels, name=f"block_{index}")
            x = block(x, None if branch_scale is None else branch_scale[index])
            if summary is not None:
                stages.append(summary(x))
        return x, tuple(stages)

    def body(block: nn.Module, x: Array, scale: Array | None) -> tuple[Array, PyTree]:
        x = block(x, scale)
        return x, None if summary is None else summary(x)

    scan = nn.scan(body, variable_axes={"params": 0}, split_rngs={"params": True}, length=depth)
    x, stages = scan(block_class(num_heads, dtype, kernels, name="blocks"), x, branch_scale)
    if summary is None:
        return x, ()
    return x, tuple(jax.tree.map(lambda leaf, i=index: leaf[i], stages) for index in range(depth))


def stack_layers(params: Mapping[str, PyTree]) -> dict[str, PyTree]:
    """Turns the parameters of "block_0", "block_1" … into the layout of ``scan_layers=True``.

    Args:
        params: parameters of one module (a ViT or a decoder) built with ``scan_layers=False``.

    Returns:
        The same parameters, the blocks' under "blocks" with a leading layer axis.

    Raises:
        ValueError: there is no "block_0".
    """
    depth = sum(name.startswith("block_") for name in params)
    if not depth:
        raise ValueError(
            f"stack_layers: params must have block_0, block_1 …; got {', '.join(params)}. "
            "Pass the parameters of the ViT itself, unstacked."
        )
    blocks = [params[f"block_{index}"] for index in range(depth)]
    rest = {name: tree for name, tree in params.items() if not name.startswith("block_")}
    return rest | {"blocks": jax.tree.map(lambda *leaves: jnp.stack(leaves), *blocks)}


def unstack_layers(params: Mapping[str, PyTree]) -> dict[str, PyTree]:
    """Turns the parameters of ``scan_layers=True`` into "block_0", "block_1" …

    Args:
        params: parameters of one module (a ViT or a decoder) built with ``scan_layers=True``.

    Returns:
        The same parameters, one subtree per block.

    Raises:
        ValueError: there is no "blocks".
    """
    if "blocks" not in params:
        raise ValueError(
            f"unstack_layers: params must have blocks; got {', '.join(params)}. "
            "Pass the parameters of the ViT itself, stacked."
        )
    rest = {name: tree for name, tree in params.items() if name != "blocks"}
    depth = jax.tree.leaves(params["blocks"])[0].shape[0]
    for index in range(depth):
        rest[f"block_{index}"] = jax.tree.map(lambda leaf, i=index: leaf[i], params["blocks"])
    return rest
