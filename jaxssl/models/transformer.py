"""The blocks of a transformer: attention, blocks, and stacks of them in a loop or a scan."""

from collections.abc import Callable, Mapping
from typing import Any, Literal, NamedTuple

import einops
import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxssl.models import activations, attention, initialization, layers, rotary
from jaxssl.types import Array, PyTree

Remat = Literal["none", "block", "dots"]
# What the backward pass finds of a block beside its input, by ``Remat``: None is nothing. Products
# of tokens with each other, attention's, have batch dimensions: they are large, and made anew.
_SAVES = {"block": None, "dots": jax.checkpoint_policies.dots_with_no_batch_dims_saveable}


class Order(NamedTuple):
    """What attention knows of its tokens beside their features, the same in every block.

    Attributes:
        mask: bool [B or 1, N, N], which key, last, a query sees; None: every one.
        rotation: of queries and keys; None: none.
    """

    mask: Array | None = None
    rotation: rotary.Rotation | None = None


NO_ORDER = Order()


def prefix_mask(num_tokens: int, num_seen: Array) -> Array:
    """Which token a token sees: the first ones, and of the others itself and those before it.

    Args:
        num_tokens: N.
        num_seen: int32 [B], how many of the first are seen by all; 0 or 1: causal attention.

    Returns:
        bool [B, N, N], query by key, for ``Order.mask``.

    Source: Raffel et al., Exploring the Limits of Transfer Learning with a Unified Text-to-Text
        Transformer, 2019, arXiv:1910.10683, section 3.2.1 ("causal with prefix").
    """
    is_seen = jnp.arange(num_tokens)[None, None] < num_seen[:, None, None]
    return is_seen | jnp.tri(num_tokens, dtype=bool)[None]


class Attention(nn.Module):
    """Multi-head self-attention; queries, keys and values come from one fused linear map.

    Attributes:
        num_heads: heads; must divide the width.
        dtype: compute dtype; the softmax is float32 whatever it is.
        kernels: how the kernels begin.
        causal: a token sees itself and those before it, not every other.
        library: weights and average by ``jax.nn.dot_product_attention``, the same up to rounding.

    Source: Vaswani et al., Attention Is All You Need, 2017, arXiv:1706.03762, eq. 1.
    """

    num_heads: int
    dtype: str = "float32"
    kernels: initialization.BlockKernels = initialization.XAVIER_BLOCKS
    causal: bool = False
    library: bool = False

    @nn.compact
    def __call__(self, x: Array, order: Order = NO_ORDER) -> Array:
        """Maps [B, N, D] to [B, N, D]."""
        width = x.shape[-1]
        qkv = layers.linear(
            x, 3 * width, dtype=self.dtype, name="qkv", kernel_init=self.kernels.qkv
        )
        # Split before the heads are: the gradient is then one concatenation, not three padded sums.
        q, k, v = (
            einops.rearrange(each, "b n (h d) -> b n h d", h=self.num_heads)
            for each in jnp.split(qkv, 3, axis=-1)
        )
        if order.rotation is not None:
            q, k = (rotary.rotate(each, order.rotation) for each in (q, k))
        mask = None if order.mask is None else order.mask[:, None]
        if self.library:
            mixed = attention.by_library(q, k, v, mask=mask, causal=self.causal)
        else:
            weights = attention.weigh(q, k, mask=mask, causal=self.causal)
            self.sow("intermediates", "weights", weights)  # nothing, unless somebody asks for them
            mixed = attention.average(weights, v)
        return layers.linear(
            mixed.reshape(x.shape),
            width,
            dtype=self.dtype,
            name="proj",
            kernel_init=self.kernels.linear,
        )


class Block(nn.Module):
    """Pre-norm transformer block: x + attention(norm(x)), then x + mlp(norm(x)).

    The hidden layer is 4 times as wide, with exact (erf) GELU; or, with ``swiglu``, two thirds of
    that, and each of its features a product, silu(first) · second: about as many parameters. The
    residual stream stays float32.

    Attributes:
        num_heads: heads; must divide the width.
        dtype: compute dtype of the matrix products.
        kernels: how the kernels begin.
        layer_scale: what the learned factors of each branch's features begin with; None: none.
        causal: see ``Attention``.
        swiglu: see above; the width is rounded up to a multiple of 8, as in DINOv2.
        library: see ``Attention``.
        norm_epsilon: of both LayerNorms, added to the variance.

    Source: Dosovitskiy et al., An Image Is Worth 16x16 Words, 2020, arXiv:2010.11929, eq. 2 and 3;
        factors: Touvron et al., Going Deeper with Image Transformers, 2021, arXiv:2103.17239;
        products: Shazeer, GLU Variants Improve Transformer, 2020, arXiv:2002.05202, eq. 6, and
        swiglu_ffn.py of facebookresearch/dinov2 (its biases kept).
    """

    num_heads: int
    dtype: str = "float32"
    kernels: initialization.BlockKernels = initialization.XAVIER_BLOCKS
    layer_scale: float | None = None
    causal: bool = False
    swiglu: bool = False
    library: bool = False
    norm_epsilon: float = layers.LAYER_NORM_EPSILON

    @nn.compact
    def __call__(self, x: Array, scale: Array | None = None, order: Order = NO_ORDER) -> Array:
        """Maps float32 [B, N, D] to float32 [B, N, D]; ``scale`` [2, B] multiplies the branches."""

        def scaled(branch: Array, index: int) -> Array:
            branch = branch.astype(jnp.float32)
            if self.layer_scale is not None:
                begin = nn.initializers.constant(self.layer_scale)
                factors = self.param(f"layer_scale{index + 1}", begin, x.shape[-1:])
                branch = branch * factors[None, None]
            return branch if scale is None else branch * scale[index][:, None, None]

        def mlp_linear(y: Array, features: int, name: str) -> Array:
            kernel_init = self.kernels.linear
            return layers.linear(y, features, dtype=self.dtype, name=name, kernel_init=kernel_init)

        def normalised(x: Array, name: str) -> Array:
            return layers.layer_norm(x, dtype=self.dtype, name=name, epsilon=self.norm_epsilon)

        y = normalised(x, "norm1")
        attend = Attention(
            self.num_heads, self.dtype, self.kernels, self.causal, self.library, name="attention"
        )
        y = attend(y, order)
        x = x + scaled(y, 0)
        y = normalised(x, "norm2")
        if self.swiglu:
            hidden = -(-(8 * x.shape[-1] // 3) // 8) * 8
            gate, value = jnp.split(mlp_linear(y, 2 * hidden, "mlp_in"), 2, axis=-1)
            y = nn.silu(gate) * value
        else:
            y = activations.gelu(mlp_linear(y, 4 * x.shape[-1], "mlp_in"))
        y = mlp_linear(y, x.shape[-1], "mlp_out")
        return x + scaled(y, 1)


class Stack(NamedTuple):
    """How many blocks of what kind.

    Attributes:
        depth: number of blocks.
        num_heads: heads in each.
        dtype: compute dtype.
        scan_layers: one block in a scan, parameters under "blocks" with a leading layer axis,
            instead of "block_0", "block_1" …
        remat: what of a block the backward pass computes anew; see ``ViTConfig``.
        kernels: how the kernels of each block begin.
        layer_scale: what the factors of each block's branches begin with; None: none.
        causal: see ``Attention``.
        swiglu: see ``Block``.
        library: see ``Attention``.
        norm_epsilon: see ``Block``.
    """

    depth: int
    num_heads: int
    dtype: str
    scan_layers: bool = False
    remat: Remat = "none"
    kernels: initialization.BlockKernels = initialization.XAVIER_BLOCKS
    layer_scale: float | None = None
    causal: bool = False
    swiglu: bool = False
    library: bool = False
    norm_epsilon: float = layers.LAYER_NORM_EPSILON


def apply_blocks(
    x: Array,
    stack: Stack,
    *,
    summary: Callable[[Array], PyTree] | None = None,
    branch_scale: Array | None = None,
    order: Order = NO_ORDER,
) -> tuple[Array, tuple[PyTree, ...]]:
    """Runs a stack of blocks as submodules of the calling linen module.

    Args:
        x: float32 [B, N, D].
        stack: the blocks.
        summary: what to keep of the tokens [B, N, D] after each block; None: nothing.
        branch_scale: float32 [depth, 2, B], what the two branches of each block are multiplied by,
            as ``drop_path.branch_scale`` makes it; None: nothing.
        order: what attention is told, in every block.

    Returns:
        float32 [B, N, D] after the last block, and the summary after each block.
    """
    kind: list[Any]  # the other fields, as a block takes them
    depth, num_heads, dtype, scan_layers, remat, *kind = stack
    block_class = Block
    if remat != "none":
        # Inside a scan nothing can be merged across iterations, so the barrier would only cost.
        block_class = nn.remat(Block, prevent_cse=not scan_layers, policy=_SAVES[remat])
    if not scan_layers:
        stages = []
        for index in range(depth):
            block = block_class(num_heads, dtype, *kind, name=f"block_{index}")
            x = block(x, None if branch_scale is None else branch_scale[index], order)
            if summary is not None:
                stages.append(summary(x))
        return x, tuple(stages)

    def body(block: nn.Module, x: Array, scale: Array | None, order: Order) -> tuple[Array, PyTree]:
        x = block(x, scale, order)
        return x, None if summary is None else summary(x)

    scan = nn.scan(
        body,
        variable_axes={"params": 0},
        split_rngs={"params": True},
        in_axes=(0, nn.broadcast),
        length=depth,
    )
    block = block_class(num_heads, dtype, *kind, name="blocks")
    x, stages = scan(block, x, branch_scale, order)
    if summary is None:
        return x, ()
    return x, tuple(jax.tree.map(lambda leaf, i=index: leaf[i], stages) for index in range(depth))


def upgrade_remat(fields: Mapping[str, object]) -> dict[str, object]:
    """Fields of a recorded config in which ``remat`` was true or false, in the words of today."""
    former = {True: "block", False: "none"}
    remat = fields.get("remat")
    return dict(fields) | ({"remat": former[remat]} if isinstance(remat, bool) else {})


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
