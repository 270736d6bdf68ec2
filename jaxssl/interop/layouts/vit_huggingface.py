"""ViTs of Hugging Face: ViTModel, with the weights of DINO and others, ViTMAE, and I-JEPA.

The names are those of published files; ``transformers`` from version 5 on has others in memory and
reads and writes these.

Source: transformers, models/vit, vit_mae and ijepa, conversion_mapping.py.
"""

import functools

from jaxssl.interop import vits
from jaxssl.interop.layout import Layout
from jaxssl.models import ViTConfig

_ATTENTION = "attention.attention"
NAMES = vits.Names(
    patches="embeddings.patch_embeddings.projection",
    block="encoder.layer.{}",
    norm1="layernorm_before",
    qkv=(f"{_ATTENTION}.query", f"{_ATTENTION}.key", f"{_ATTENTION}.value"),
    proj="attention.output.dense",
    scale1=None,
    norm2="layernorm_after",
    mlp=("intermediate.dense", "output.dense"),
    gated=None,
    scale2=None,
    norm="layernorm",
    class_token="embeddings.cls_token",
    position="embeddings.position_embeddings",
)

LAYOUTS = (
    Layout(
        name="ViT of Hugging Face",
        kind=ViTConfig,
        programs=("hf",),
        anchor="encoder.layer.0.layernorm_before.weight",
        trunk=r"(encoder|layernorm|embeddings)\.(?!mask_token)",
        guess=functools.partial(vits.guess, names=NAMES, norm_epsilon=1e-12),
        ties=functools.partial(vits.list_ties, names=NAMES),
    ),
)
