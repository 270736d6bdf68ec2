"""ConvNeXts of timm; the smallest of them have their hidden layers as convolutions 1x1.

Source: timm, models/convnext.py.
"""

import functools
import re
from collections.abc import Callable, Iterator
from typing import Any

from jaxssl import inputs
from jaxssl.interop import ties
from jaxssl.interop.layout import Guess, Layout, Tensors
from jaxssl.interop.ties import Tie
from jaxssl.models import ConvNeXtConfig
from jaxssl.models.convnext import SIZES, Dimensions


def _guess(tensors: Tensors) -> Guess:
    depths: Any = ()
    dims: Any = ()
    for stage in range(4):
        pattern = rf"stages\.{stage}\.blocks\.\d+\.conv_dw\.weight"
        blocks = [name for name in tensors if re.fullmatch(pattern, name)]
        depths += (len(blocks),)
        dims += (len(tensors[blocks[0]]),)
    found = Dimensions(depths, dims)
    name = next((name for name, known in SIZES.items() if known == found), None)
    size = found._asdict() if name is None else {"size": name}
    _, channels, stem_patch, _ = tensors["stem.0.weight"].shape
    return Guess(ConvNeXtConfig(**size, stem_patch=stem_patch), None, channels)


def _ties(
    config: ConvNeXtConfig, fed: inputs.Inputs, *, hidden: Callable[[str, str], Iterator[Tie]]
) -> Iterator[Tie]:
    del fed
    if config.stem_patch == 2:
        raise ValueError(
            "ConvNeXt: stem_patch must not be 2 for timm, whose ConvNeXts then halve the first map "
            "too; got 2. Export to safetensors or stablehlo."
        )
    yield from ties.convolution("stem_conv", "stem.0")
    yield from ties.norm("stem_norm", "stem.1")
    for stage, depth in enumerate(config.dimensions.depths):
        ours, theirs = f"stage{stage + 1}", f"stages.{stage}"
        if stage > 0:
            yield from ties.norm(f"{ours}_downsample_norm", f"{theirs}.downsample.0")
            yield from ties.convolution(f"{ours}_downsample_conv", f"{theirs}.downsample.1")
        for block in range(depth):
            mine, other = f"{ours}_block{block + 1}", f"{theirs}.blocks.{block}"
            yield from ties.convolution(f"{mine}/depthwise", f"{other}.conv_dw")
            yield from ties.norm(f"{mine}/norm", f"{other}.norm")
            yield from hidden(f"{mine}/mlp_in", f"{other}.mlp.fc1")
            yield from hidden(f"{mine}/mlp_out", f"{other}.mlp.fc2")
            yield ties.same(f"params/{mine}/layer_scale", f"{other}.gamma")
    yield from ties.norm("norm", "head.norm")


def _layout(name: str, hidden: Callable[[str, str], Iterator[Tie]]) -> Layout:
    return Layout(
        name=name,
        kind=ConvNeXtConfig,
        programs=("timm",),
        anchor="stages.0.blocks.0.conv_dw.weight",
        trunk=r"(stem|stages)\.",
        guess=_guess,
        ties=functools.partial(_ties, hidden=hidden),
    )


LAYOUTS = (
    _layout("ConvNeXt of timm", ties.linear),
    _layout("ConvNeXt of timm with conv_mlp", ties.pointwise),
)
