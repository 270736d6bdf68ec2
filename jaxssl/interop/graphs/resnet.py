"""ResNets, with any stem."""

from jaxssl.interop import operators
from jaxssl.interop.graph import Drawing, Graph, Outputs
from jaxssl.models import ResNetConfig
from jaxssl.models.resnet import DEPTHS, STEMS


def _draw(graph: Graph, config: ResNetConfig, images: str, size: int) -> Outputs:
    del size
    blocks, is_bottleneck = DEPTHS[config.depth]
    _, stride, padding = STEMS[config.stem]
    x = operators.standardise(graph, images, config.mean, config.std)
    x = _normalised(graph, x, "stem_conv", "stem_norm", stride=stride, padding=padding)
    x = graph.apply("Relu", x)
    if config.stem == "imagenet":
        x = graph.apply("MaxPool", x, kernel_shape=[3, 3], strides=[2, 2], pads=[1] * 4)
    for stage, count in enumerate(blocks[: config.num_stages]):
        for block in range(count):
            stride = 2 if stage > 0 and block == 0 else 1
            name = f"stage{stage + 1}_block{block + 1}"
            x = _block(graph, x, name, stride=stride, is_bottleneck=is_bottleneck)
    tokens = operators.tokens_of(graph, x)
    return Outputs(pooled=operators.mean_of(graph, tokens), tokens=tokens)


def _block(graph: Graph, x: str, name: str, *, stride: int, is_bottleneck: bool) -> str:
    """relu(shortcut(x) + convolutions(x)); the first 3x3 convolution has the stride."""
    count, strided = (3, 2) if is_bottleneck else (2, 1)
    y = x
    for index in range(1, count + 1):
        path = f"{name}/conv{index}"
        side = graph.leaves[f"params/{path}/kernel"].shape[0]
        own = stride if index == strided else 1
        y = _normalised(graph, y, path, f"{name}/norm{index}", stride=own, padding=side // 2)
        if index < count:
            y = graph.apply("Relu", y)
    if f"params/{name}/shortcut_conv/kernel" in graph.leaves:
        x = _normalised(graph, x, f"{name}/shortcut_conv", f"{name}/shortcut_norm", stride=stride)
    return graph.apply("Relu", graph.apply("Add", x, y))


def _normalised(
    graph: Graph, x: str, conv: str, norm: str, *, stride: int, padding: int = 0
) -> str:
    """A convolution and its BatchNorm."""
    x = operators.convolution(graph, x, conv, stride=stride, padding=padding)
    return operators.batch_norm(graph, x, norm)


DRAWING = Drawing(ResNetConfig, _draw)
