"""ViTs of timm, whose names are those of DINO, MAE, MoCo v3 and I-JEPA too.

Where there are registers, and in some others, the class token has no row in the table of positions
(timm's ``no_embed_class``). SwiGLU is timm's SwiGLUPacked, as in its ViT-g of DINOv2.

Source: timm, models/vision_transformer.py; facebookresearch/dino, mae, moco-v3 and ijepa,
vision_transformer.py or models_mae.py, vits.py.
"""

import functools

from jaxssl.interop import vits
from jaxssl.interop.layout import Layout
from jaxssl.models import ViTConfig

NAMES = vits.Names(
    patches="patch_embed.proj",
    block="blocks.{}",
    norm1="norm1",
    qkv=("attn.qkv",),
    proj="attn.proj",
    scale1="ls1.gamma",
    norm2="norm2",
    mlp=("mlp.fc1", "mlp.fc2"),
    gated=(("mlp.fc1",), "mlp.fc2"),
    scale2="ls2.gamma",
    norm="norm",
)
TRUNK = r"(patch_embed|blocks|norm|norm_pre)\.|cls_token|pos_embed|reg"
WITHOUT_ROW = NAMES._replace(registers="reg_token", class_row=False)


def _layout(name: str, names: vits.Names) -> Layout:
    return Layout(
        name=name,
        kind=ViTConfig,
        programs=("timm",),
        anchor="blocks.0.attn.qkv.weight",
        trunk=TRUNK,
        guess=functools.partial(vits.guess, names=names),
        ties=functools.partial(vits.list_ties, names=names),
        antialias=lambda config: True,
    )


LAYOUTS = (
    _layout("ViT of timm", NAMES),
    _layout("ViT of timm with registers", WITHOUT_ROW),
)
