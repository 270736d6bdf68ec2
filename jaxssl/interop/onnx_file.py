"""An encoder as an ONNX file, for any number of images; the files in ``graphs/`` draw it.

Its "images" are float32 [B, C, S, S] in [0, 1], channels first as is usual there, its outputs
"pooled" [B, D] and "tokens" [B, N, D]. Mean and deviation are in the computation.
"""

import importlib
import importlib.util
import json

import jax
import numpy as np

from jaxssl import checkpoints, inputs, named
from jaxssl.interop import graphs, layout, outgoing
from jaxssl.interop.graph import Drawing, Graph

FILE = "encoder.onnx"
USAGE = f'onnxruntime.InferenceSession("{{out}}/{FILE}").run(["pooled"], {{{{"images": images}}}})'
OPERATOR_SET, FORMAT = 17, 8  # of 2022: LayerNorm is in it, and old programs read it
MAX_BYTES = 2**31 - 2**20  # of a file of protobuf, without what is no weight


def check(encoder: checkpoints.RestoredEncoder) -> tuple[int, int]:
    """Side and channels of the images that an encoder is fed.

    Raises:
        ValueError: as ``outgoing.of_encoder``; or more weights than such a file holds.
        ImportError: no package onnx.
    """
    outgoing.of_encoder(encoder)
    if importlib.util.find_spec("onnx") is None:
        raise ImportError(
            "export: --to onnx needs the package onnx, which writes the file and runs it once; got "
            'none. pip install "jaxssl[onnx]", or pip install onnx.'
        )
    num_bytes = sum(4 * leaf.size for leaf in layout.flat(encoder.variables).values())
    if num_bytes > MAX_BYTES:
        raise ValueError(
            "export: weights must be below 2 GiB for an ONNX file; got "
            f"{num_bytes / 2**30:.2f} GiB. Export to safetensors or stablehlo."
        )
    return inputs.square_side(encoder.inputs)


def features(encoder: checkpoints.RestoredEncoder, images: np.ndarray) -> dict[str, np.ndarray]:
    """What the file must give: the encoder's own features, in float32 throughout."""
    return outgoing.of_encoder(encoder).features(images)


def serialise(encoder: checkpoints.RestoredEncoder) -> bytes:
    """The file; what images go through before is in its metadata, as JSON."""
    import onnx

    size, channels = inputs.square_side(encoder.inputs)
    graph = draw(encoder)
    (image,) = inputs.shapes(inputs.of_image(size, channels)).values()
    made = jax.eval_shape(encoder, image)
    shapes = {name: ["batch", *getattr(made, name).shape[1:]] for name in ("pooled", "tokens")}
    described = {"images": ["batch", channels, size, size], **shapes}
    ends = {
        name: onnx.helper.make_tensor_value_info(name, onnx.TensorProto.FLOAT, shape)
        for name, shape in described.items()
    }
    drawn = onnx.helper.make_graph(
        [
            onnx.helper.make_node(node.operator, node.inputs, node.outputs, **node.attributes)
            for node in graph.nodes
        ],
        named.short(encoder.module.config),
        [ends.pop("images")],
        list(ends.values()),
        [onnx.numpy_helper.from_array(each, name) for name, each in graph.constants.items()],
    )
    operators = [onnx.helper.make_opsetid("", OPERATOR_SET)]
    model = onnx.helper.make_model(
        drawn, opset_imports=operators, ir_version=FORMAT, producer_name="jaxssl"
    )
    said = outgoing.preprocessing_within(encoder)
    onnx.helper.set_model_props(model, {name: json.dumps(value) for name, value in said.items()})
    onnx.checker.check_model(model, full_check=True)
    return model.SerializeToString()


def draw(encoder: checkpoints.RestoredEncoder) -> Graph:
    """The graph of an encoder, from "images" to "pooled" and "tokens"."""
    leaving = outgoing.of_encoder(encoder)
    graph = Graph(layout.flat(leaving.variables))
    drawing = all_drawings()[type(leaving.config)]
    size, _ = inputs.square_side(encoder.inputs)
    outputs = drawing.draw(graph, leaving.config, "images", size)
    for name, value in outputs._asdict().items():
        graph.name(value, name)
    return graph


def call(file: bytes, images: np.ndarray) -> dict[str, np.ndarray]:
    """Features of images [B, H, W, C] by a file, B at least 2: of the first, and of the others.

    By the definition of ONNX itself in NumPy, which the package has.
    """
    import onnx.reference

    model = onnx.reference.ReferenceEvaluator(onnx.load_from_string(file))
    channels_first = images.transpose(0, 3, 1, 2)
    made = [
        model.run(["pooled", "tokens"], {"images": batch})
        for batch in (channels_first[:1], channels_first[1:])
    ]
    pooled, tokens = (np.concatenate(parts) for parts in zip(*made))
    return {"pooled": pooled, "tokens": tokens}


def all_drawings() -> dict[type, Drawing]:
    """Every drawing by its kind of encoder; a new file in ``graphs/`` is found by walking."""
    found = (module.DRAWING for module in named.modules_of(graphs.__name__))
    return {drawing.kind: drawing for drawing in found}
