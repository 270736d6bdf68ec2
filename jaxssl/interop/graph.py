"""A computation as ONNX has it: operators in order, and the constants that they read.

It is plain data, so that the files in ``graphs/`` draw an encoder without the package onnx, with
which ``onnx_file`` writes it.
"""

from collections.abc import Callable, Mapping
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import ArrayLike


class Node(NamedTuple):
    """One operator.

    Attributes:
        operator: its name in ONNX, "MatMul".
        inputs: names of what it reads.
        outputs: names of what it gives.
        attributes: of the operator.
    """

    operator: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]


class Graph:
    """Grows by an operator a call. What passes between operators is called by its name, a text.

    Attributes:
        leaves: of an encoder, by their paths, "params/norm/scale".
        nodes: the operators so far, each behind those that it reads.
        constants: what they read beside each other's outputs, by name.
    """

    def __init__(self, leaves: Mapping[str, np.ndarray]):
        self.leaves = leaves
        self.nodes: list[Node] = []
        self.constants: dict[str, np.ndarray] = {}

    def constant(self, name: str, value: ArrayLike) -> str:
        """A constant of this name, which it has from now on."""
        self.constants[name] = np.asarray(value, order="C")
        return name

    def integers(self, *values: int) -> str:
        """A constant of integers: a shape, axes, where to begin."""
        name = f"integers_{'_'.join(map(str, values))}".replace("-", "minus_")
        return self.constant(name, np.array(values, np.int64))

    def leaf(self, path: str) -> str:
        """A leaf as it stands."""
        return self.constant(path, self.leaves[path])

    def apply(self, operator: str, *inputs: str, **attributes: object) -> str:
        """The output of an operator that has one."""
        (output,) = self.split(operator, *inputs, count=1, **attributes)
        return output

    def split(
        self, operator: str, *inputs: str, count: int, **attributes: object
    ) -> tuple[str, ...]:
        """The outputs of an operator that has several."""
        number = len(self.nodes)
        outputs = tuple(f"{operator}_{number}_{index}" for index in range(count))
        self.nodes.append(Node(operator, inputs, outputs, attributes))
        return outputs

    def name(self, value: str, output: str) -> None:
        """Calls a value by another name, as an output of the whole."""
        self.nodes.append(Node("Identity", (value,), (output,), {}))


class Outputs(NamedTuple):
    """Names of the features in a graph: pooled [B, D] and tokens [B, N, D]."""

    pooled: str
    tokens: str


class Drawing(NamedTuple):
    """How a kind of encoder is drawn.

    Attributes:
        kind: the class of its config.
        draw: (graph, config, images, size) to the features; adds to the graph what the encoder
            computes of images [B, C, size, size].
    """

    kind: type
    draw: Callable[[Graph, Any, str, int], Outputs]
