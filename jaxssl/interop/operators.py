"""The layers that encoders share, as ONNX has them; each adds to a graph what ``models`` computes.

Maps are [B, D, H, W] and tokens [B, N, D], float32. ``name`` is the path of a layer below "params".
Operators are those of ONNX 1.12 (operator set 17), which has LayerNorm but not yet GELU.
"""

from collections.abc import Sequence

import numpy as np

from jaxssl.interop.graph import Graph

BATCH_NORM_EPSILON = 1e-5  # of layers.batch_norm


def standardise(graph: Graph, images: str, mean: Sequence[float], std: Sequence[float]) -> str:
    """(images - mean) / std, one value or one for each channel."""
    for operator, name, values in (("Sub", "mean", mean), ("Div", "std", std)):
        column = np.asarray(values, np.float32).reshape(1, -1, 1, 1)
        images = graph.apply(operator, images, graph.constant(name, column))
    return images


def convolution(
    graph: Graph, x: str, name: str, *, stride: int = 1, padding: int = 0, groups: int = 1
) -> str:
    """A convolution of square windows, with a bias where there is one."""
    path = f"params/{name}"
    kernel = graph.leaves[f"{path}/kernel"]  # [h, w, in, out]
    inputs = [x, graph.constant(f"{path}/kernel", kernel.transpose(3, 2, 0, 1))]
    if f"{path}/bias" in graph.leaves:
        inputs.append(graph.leaf(f"{path}/bias"))
    return graph.apply(
        "Conv",
        *inputs,
        kernel_shape=list(kernel.shape[:2]),
        strides=[stride] * 2,
        pads=[padding] * 4,
        group=groups,
    )


def batch_norm(graph: Graph, x: str, name: str) -> str:
    """BatchNorm of a map by its running statistics."""
    paths = (f"params/{name}/scale", f"params/{name}/bias")
    statistics = (f"batch_stats/{name}/mean", f"batch_stats/{name}/var")
    constants = map(graph.leaf, (*paths, *statistics))
    return graph.apply("BatchNormalization", x, *constants, epsilon=BATCH_NORM_EPSILON)


def layer_norm(graph: Graph, x: str, name: str, *, epsilon: float) -> str:
    """LayerNorm over the last axis."""
    constants = (graph.leaf(f"params/{name}/{part}") for part in ("scale", "bias"))
    return graph.apply("LayerNormalization", x, *constants, axis=-1, epsilon=epsilon)


def linear(graph: Graph, x: str, name: str) -> str:
    """A linear map of the last axis."""
    product = graph.apply("MatMul", x, graph.leaf(f"params/{name}/kernel"))
    return graph.apply("Add", product, graph.leaf(f"params/{name}/bias"))


def gelu(graph: Graph, x: str) -> str:
    """Exact GELU, x (1 + erf(x / √2)) / 2."""
    scaled = graph.apply("Mul", x, graph.constant("sqrt_half", np.float32(np.sqrt(0.5))))
    risen = graph.apply("Add", graph.apply("Erf", scaled), graph.constant("one", np.float32(1)))
    half = graph.apply("Mul", x, graph.constant("half", np.float32(0.5)))
    return graph.apply("Mul", half, risen)


def tokens_of(graph: Graph, x: str) -> str:
    """The cells of a map [B, D, H, W] in raster order, [B, N, D]."""
    flat = graph.apply("Reshape", x, graph.integers(0, 0, -1))
    return graph.apply("Transpose", flat, perm=[0, 2, 1])


def mean_of(graph: Graph, tokens: str) -> str:
    """The mean of tokens, [B, D]."""
    return graph.apply("ReduceMean", tokens, axes=[1], keepdims=0)
