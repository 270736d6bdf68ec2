"""ConvNeXts. Their stream is [B, H, W, D], turned round for convolutions alone."""

from jaxssl.interop import operators
from jaxssl.interop.graph import Drawing, Graph, Outputs
from jaxssl.models import ConvNeXtConfig
from jaxssl.models.layers import LAYER_NORM_EPSILON


def _draw(graph: Graph, config: ConvNeXtConfig, images: str, size: int) -> Outputs:
    del size
    x = operators.standardise(graph, images, config.mean, config.std)
    x = operators.convolution(graph, x, "stem_conv", stride=config.stem_patch)
    x = _norm(graph, _channels_last(graph, x), "stem_norm")
    for stage, depth in enumerate(config.dimensions.depths, start=1):
        if stage > 1:
            x = _norm(graph, x, f"stage{stage}_downsample_norm")
            x = _convolved(graph, x, f"stage{stage}_downsample_conv", stride=2)
        for block in range(1, depth + 1):
            x = _block(graph, x, f"stage{stage}_block{block}")
    tokens = operators.tokens_of(graph, _channels_first(graph, x))
    pooled = _norm(graph, operators.mean_of(graph, tokens), "norm")
    return Outputs(pooled, tokens)


def _block(graph: Graph, x: str, name: str) -> str:
    """x + scale · mlp(norm(depthwise(x)))."""
    width = len(graph.leaves[f"params/{name}/layer_scale"])
    y = _convolved(graph, x, f"{name}/depthwise", padding=3, groups=width)
    y = operators.linear(graph, _norm(graph, y, f"{name}/norm"), f"{name}/mlp_in")
    y = operators.linear(graph, operators.gelu(graph, y), f"{name}/mlp_out")
    y = graph.apply("Mul", y, graph.leaf(f"params/{name}/layer_scale"))
    return graph.apply("Add", x, y)


def _norm(graph: Graph, x: str, name: str) -> str:
    return operators.layer_norm(graph, x, name, epsilon=LAYER_NORM_EPSILON)


def _convolved(graph: Graph, x: str, name: str, **form: int) -> str:
    """A convolution of a map whose channels are last."""
    x = operators.convolution(graph, _channels_first(graph, x), name, **form)
    return _channels_last(graph, x)


def _channels_first(graph: Graph, x: str) -> str:
    return graph.apply("Transpose", x, perm=[0, 3, 1, 2])


def _channels_last(graph: Graph, x: str) -> str:
    return graph.apply("Transpose", x, perm=[0, 2, 3, 1])


DRAWING = Drawing(ConvNeXtConfig, _draw)
