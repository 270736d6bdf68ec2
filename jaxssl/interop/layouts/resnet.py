"""ResNets of torchvision and timm, which name them alike; so do MoCo, SwAV, DINO, VICReg.

Their bottleneck has its stride in the 3x3 convolution, as here (v1.5).

Source: torchvision, models/resnet.py; timm, models/resnet.py.
"""

import collections
import re
from collections.abc import Iterator
from typing import Any

from jaxssl import inputs
from jaxssl.interop import ties
from jaxssl.interop.layout import Guess, Layout, Tensors
from jaxssl.interop.ties import Tie
from jaxssl.models import ResNetConfig
from jaxssl.models.resnet import DEPTHS


def _guess(tensors: Tensors) -> Guess:
    found = (re.fullmatch(r"layer(\d)\.\d+\.conv1\.weight", name) for name in tensors)
    counted = collections.Counter(match[1] for match in found if match)
    blocks = tuple(counted[stage] for stage in "1234")
    is_bottleneck = "layer1.0.conv3.weight" in tensors
    depth = find_depth(blocks, is_bottleneck)
    return Guess(ResNetConfig(depth), None, tensors["conv1.weight"].shape[1])


def find_depth(blocks: tuple[int, ...], is_bottleneck: bool) -> Any:
    """The depth of a ResNet whose four stages have so many blocks.

    Raises:
        ValueError: jaxssl has none such.
    """
    for depth, kind in DEPTHS.items():
        if kind == (blocks, is_bottleneck):
            return depth
    raise ValueError(
        f"ResNet: depth must be one of {', '.join(map(str, DEPTHS))}; got stages of "
        f"{', '.join(map(str, blocks))} blocks{' with bottlenecks' * is_bottleneck}."
    )


def check(config: ResNetConfig) -> None:
    """Refuses a ResNet that the libraries of PyTorch have no network for.

    Raises:
        ValueError: another stem, width or number of stages than ImageNet's.
    """
    if config.stem != "imagenet" or config.num_stages != 4 or config.width_multiplier != 1:
        raise ValueError(
            'ResNet: stem must be "imagenet", num_stages 4 and width_multiplier 1 for torchvision, '
            f'timm and Hugging Face, which have no others; got "{config.stem}", '
            f"{config.num_stages} and {config.width_multiplier:g}. Export to safetensors or "
            "stablehlo."
        )


def _ties(config: ResNetConfig, fed: inputs.Inputs) -> Iterator[Tie]:
    del fed
    check(config)
    blocks, is_bottleneck = DEPTHS[config.depth]
    yield from ties.convolution("stem_conv", "conv1", bias=False)
    yield from ties.batch_norm("stem_norm", "bn1")
    for stage, count in enumerate(blocks, start=1):
        for block in range(count):
            ours, theirs = f"stage{stage}_block{block + 1}", f"layer{stage}.{block}"
            for index in range(1, 4 if is_bottleneck else 3):
                conv = f"{ours}/conv{index}"
                yield from ties.convolution(conv, f"{theirs}.conv{index}", bias=False)
                yield from ties.batch_norm(f"{ours}/norm{index}", f"{theirs}.bn{index}")
            if block == 0 and (is_bottleneck or stage > 1):
                shortcut = f"{theirs}.downsample"
                yield from ties.convolution(f"{ours}/shortcut_conv", f"{shortcut}.0", bias=False)
                yield from ties.batch_norm(f"{ours}/shortcut_norm", f"{shortcut}.1")


LAYOUTS = (
    Layout(
        name="ResNet of torchvision and timm",
        kind=ResNetConfig,
        programs=("torchvision", "timm"),
        anchor="layer1.0.bn1.running_mean",
        trunk=r"(conv1|bn1|layer\d+)\.",
        guess=_guess,
        ties=_ties,
    ),
)
