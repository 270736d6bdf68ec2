"""Vision Transformers: all positions, class token, registers, factors of branches, SwiGLU."""

import jax
import numpy as np
from einops import rearrange

from jaxssl.interop import operators
from jaxssl.interop.graph import Drawing, Graph, Outputs
from jaxssl.models import ViTConfig, rotary, sincos_positions

_TO_THE_END = np.iinfo(np.int64).max  # how ONNX says it of a slice


def _draw(graph: Graph, config: ViTConfig, images: str, size: int) -> Outputs:
    x = operators.standardise(graph, images, config.mean, config.std)
    x = _embed(graph, x, config.patch_size)
    side = size // config.patch_size
    if config.position != "rope":
        table = _positions(graph, config, side)
        x = graph.apply("Add", x, graph.constant("positions", table))
    extra = _extra_tokens(graph, config)
    num_extra = extra.shape[1]
    if num_extra:
        x = graph.apply("Concat", _repeated(graph, extra, like=x), x, axis=1)
    order = _Order(graph, config, side, num_extra)
    for index in range(config.dimensions.depth):
        x = _block(graph, x, f"block_{index}", config, order)
    x = operators.layer_norm(graph, x, "norm", epsilon=config.norm_epsilon)
    tokens = x
    if num_extra:
        bounds = map(graph.integers, (num_extra, _TO_THE_END, 1))
        tokens = graph.apply("Slice", x, *bounds)
    if config.pool == "mean":
        return Outputs(operators.mean_of(graph, tokens), tokens)
    first = graph.constant("first", np.int64(0))
    return Outputs(graph.apply("Gather", x, first, axis=1), tokens)


def _embed(graph: Graph, images: str, patch_size: int) -> str:
    """Patches as tokens, by a convolution whose windows do not overlap."""
    path = "params/patch_embedding"
    kernel = graph.leaves[f"{path}/kernel"]
    form = "(row column channel) d -> d channel row column"
    kernel = rearrange(kernel, form, row=patch_size, column=patch_size)
    sides = [patch_size] * 2
    x = graph.apply(
        "Conv",
        images,
        graph.constant(f"{path}/kernel", kernel),
        graph.leaf(f"{path}/bias"),
        kernel_shape=sides,
        strides=sides,
    )
    return operators.tokens_of(graph, x)


def _positions(graph: Graph, config: ViTConfig, side: int) -> np.ndarray:
    """Position of every patch, float32 [1, N, D]."""
    width = config.dimensions.width
    if config.position == "sincos":
        return sincos_positions(side, side, width, reference=config.position_grid)[None]
    table = graph.leaves["params/position"]
    if table.shape[:2] != (side, side):
        table = np.asarray(jax.image.resize(table, (side, side, width), "bilinear"))
    return table.reshape(1, -1, width)


def _extra_tokens(graph: Graph, config: ViTConfig) -> np.ndarray:
    """Class and register tokens, float32 [1, 0 or more, D]."""
    leaves = graph.leaves
    tokens = [np.zeros((1, 0, config.dimensions.width), np.float32)]
    if config.pool == "class":
        position = leaves.get("params/class_position", np.float32(0))
        tokens.append(leaves["params/class_token"] + position)
    if config.num_registers:
        tokens.append(leaves["params/registers"])
    return np.concatenate(tokens, axis=1)


def _repeated(graph: Graph, tokens: np.ndarray, *, like: str) -> str:
    """Tokens [1, M, D], once for each example of other tokens."""
    batch = graph.apply("Shape", like, start=0, end=1)
    shape = graph.apply("Concat", batch, graph.integers(*tokens.shape[1:]), axis=0)
    return graph.apply("Expand", graph.constant("extra_tokens", tokens), shape)


class _Order:
    """What attention knows of its tokens beside their features; see ``transformer.Order``.

    Attributes:
        turns: cosines and sines by which queries and keys are turned, names of constants
            [1, 1, N, d]; None: they are not.
        mask: 0 where a query sees a key and -inf else, a constant [1, 1, N, N]; None: all is seen.
    """

    def __init__(self, graph: Graph, config: ViTConfig, side: int, num_extra: int):
        self.turns = self.mask = None
        width, _, num_heads = config.dimensions
        if config.position == "rope":
            angles = rotary.patch_angles(side, side, width // num_heads)
            by = rotary.rotation(angles[None], num_extra)
            self.turns = tuple(
                graph.constant(name, np.tile(np.asarray(each)[:, None], 2))
                for name, each in by._asdict().items()
            )
        if config.causal:
            # The first patch is seen by all, and with it whatever goes along.
            count = num_extra + side**2
            is_seen = np.tri(count, dtype=bool) | (np.arange(count) <= num_extra)
            self.mask = graph.constant("mask", np.where(is_seen, 0, -np.inf).astype(np.float32))


def _block(graph: Graph, x: str, name: str, config: ViTConfig, order: _Order) -> str:
    """x + attention(norm(x)), then x + mlp(norm(x))."""
    for index, branch in ((1, _attention), (2, _mlp)):
        y = operators.layer_norm(graph, x, f"{name}/norm{index}", epsilon=config.norm_epsilon)
        y = branch(graph, y, name, config, order)
        if config.layer_scale is not None:
            y = graph.apply("Mul", y, graph.leaf(f"params/{name}/layer_scale{index}"))
        x = graph.apply("Add", x, y)
    return x


def _attention(graph: Graph, x: str, name: str, config: ViTConfig, order: _Order) -> str:
    width, _, num_heads = config.dimensions
    qkv = operators.linear(graph, x, f"{name}/attention/qkv")
    heads = graph.integers(0, 0, num_heads, width // num_heads)
    q, k, v = (
        graph.apply("Transpose", graph.apply("Reshape", each, heads), perm=[0, 2, 1, 3])
        for each in graph.split("Split", qkv, count=3, axis=-1)
    )  # [B, heads, N, d]
    if order.turns is not None:
        q, k = (_turned(graph, each, *order.turns) for each in (q, k))
    scale = np.float32((width // num_heads) ** -0.5)
    q = graph.apply("Mul", q, graph.constant("scale", scale))
    scores = graph.apply("MatMul", q, graph.apply("Transpose", k, perm=[0, 1, 3, 2]))
    if order.mask is not None:
        scores = graph.apply("Add", scores, order.mask)
    mixed = graph.apply("MatMul", graph.apply("Softmax", scores, axis=-1), v)
    mixed = graph.apply("Transpose", mixed, perm=[0, 2, 1, 3])
    mixed = graph.apply("Reshape", mixed, graph.integers(0, 0, width))
    return operators.linear(graph, mixed, f"{name}/attention/proj")


def _turned(graph: Graph, x: str, cos: str, sin: str) -> str:
    """Feature i turned with feature i + d / 2: x cos + (-second, first) sin."""
    first, second = graph.split("Split", x, count=2, axis=-1)
    across = graph.apply("Concat", graph.apply("Neg", second), first, axis=-1)
    parts = graph.apply("Mul", x, cos), graph.apply("Mul", across, sin)
    return graph.apply("Add", *parts)


def _mlp(graph: Graph, x: str, name: str, config: ViTConfig, order: _Order) -> str:
    del order
    x = operators.linear(graph, x, f"{name}/mlp_in")
    if config.mlp == "swiglu":
        gate, value = graph.split("Split", x, count=2, axis=-1)
        gate = graph.apply("Mul", gate, graph.apply("Sigmoid", gate))
        x = graph.apply("Mul", gate, value)
    else:
        x = operators.gelu(graph, x)
    return operators.linear(graph, x, f"{name}/mlp_out")


DRAWING = Drawing(ViTConfig, _draw)
