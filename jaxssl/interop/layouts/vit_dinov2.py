"""ViTs of DINOv2 as its authors publish them: layer scale, registers, SwiGLU for ViT-g.

Source: facebookresearch/dinov2, models/vision_transformer.py and layers/swiglu_ffn.py.
"""

import functools

from jaxssl.interop import vits
from jaxssl.interop.layout import Layout
from jaxssl.interop.layouts import vit_timm
from jaxssl.models import ViTConfig

NAMES = vit_timm.NAMES._replace(registers="register_tokens", gated=(("mlp.w12",), "mlp.w3"))

LAYOUTS = (
    Layout(
        name="ViT of DINOv2",
        kind=ViTConfig,
        programs=(),
        anchor="blocks.0.attn.qkv.weight",
        trunk=vit_timm.TRUNK,
        guess=functools.partial(vits.guess, names=NAMES),
        ties=functools.partial(vits.list_ties, names=NAMES),
        antialias=lambda config: config.num_registers > 0,
    ),
)
