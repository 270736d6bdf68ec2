"""ResNets of Hugging Face.

Source: transformers, models/resnet/modeling_resnet.py.
"""

import re
from collections.abc import Iterator

from jaxssl import inputs
from jaxssl.interop import ties
from jaxssl.interop.layout import Guess, Layout, Tensors
from jaxssl.interop.layouts import resnet
from jaxssl.interop.ties import Tie
from jaxssl.models import ResNetConfig
from jaxssl.models.resnet import DEPTHS


def _guess(tensors: Tensors) -> Guess:
    pattern = r"encoder\.stages\.(\d)\.layers\.\d+\.layer\.0\.convolution\.weight"
    found = [match[1] for name in tensors if (match := re.fullmatch(pattern, name))]
    is_bottleneck = "encoder.stages.0.layers.0.layer.2.convolution.weight" in tensors
    depth = resnet.find_depth(tuple(found.count(stage) for stage in "0123"), is_bottleneck)
    channels = tensors["embedder.embedder.convolution.weight"].shape[1]
    return Guess(ResNetConfig(depth), None, channels)


def _ties(config: ResNetConfig, fed: inputs.Inputs) -> Iterator[Tie]:
    del fed
    resnet.check(config)
    blocks, is_bottleneck = DEPTHS[config.depth]
    yield from _pair("stem_conv", "stem_norm", "embedder.embedder")
    for stage, count in enumerate(blocks):
        for block in range(count):
            ours, theirs = (
                f"stage{stage + 1}_block{block + 1}",
                f"encoder.stages.{stage}.layers.{block}",
            )
            for index in range(3 if is_bottleneck else 2):
                names = f"{ours}/conv{index + 1}", f"{ours}/norm{index + 1}"
                yield from _pair(*names, f"{theirs}.layer.{index}")
            if block == 0 and (is_bottleneck or stage > 0):
                names = f"{ours}/shortcut_conv", f"{ours}/shortcut_norm"
                yield from _pair(*names, f"{theirs}.shortcut")


def _pair(conv: str, norm: str, name: str) -> Iterator[Tie]:
    """A convolution and the normalisation behind it."""
    yield from ties.convolution(conv, f"{name}.convolution", bias=False)
    yield from ties.batch_norm(norm, f"{name}.normalization")


LAYOUTS = (
    Layout(
        name="ResNet of Hugging Face",
        kind=ResNetConfig,
        programs=("hf",),
        anchor="encoder.stages.0.layers.0.layer.0.normalization.running_mean",
        trunk=r"(encoder|embedder)\.",
        guess=_guess,
        ties=_ties,
    ),
)
