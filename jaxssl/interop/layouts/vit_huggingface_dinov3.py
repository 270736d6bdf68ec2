"""ViTs of DINOv3 as Hugging Face has them: rotary positions, keys without a bias.

With one where jaxssl has trained it (``key_bias`` of its config).

Source: transformers, models/dinov3_vit.
"""

import functools

from jaxssl.interop import vits
from jaxssl.interop.layout import Layout
from jaxssl.interop.layouts import vit_huggingface_dinov2
from jaxssl.models import ViTConfig

NAMES = vit_huggingface_dinov2.NAMES._replace(
    patches="embeddings.patch_embeddings",
    block="layer.{}",
    qkv=("attention.q_proj", "attention.k_proj", "attention.v_proj"),
    unbiased=("attention.k_proj",),
    proj="attention.o_proj",
    mlp=("mlp.up_proj", "mlp.down_proj"),
    gated=(("mlp.gate_proj", "mlp.up_proj"), "mlp.down_proj"),
    norm="norm",
    position=None,
)

WITH_KEY_BIAS = NAMES._replace(unbiased=())


def _layout(name: str, names: vits.Names) -> Layout:
    return Layout(
        name=name,
        kind=ViTConfig,
        programs=("hf",),
        anchor="layer.0.attention.k_proj.weight",
        trunk=r"(layer|norm|embeddings)\.(?!mask_token)",
        guess=functools.partial(vits.guess, names=names, norm_epsilon=1e-5),
        ties=functools.partial(vits.list_ties, names=names),
    )


LAYOUTS = (
    _layout("DINOv3 of Hugging Face", NAMES),
    _layout("DINOv3 of Hugging Face with key bias", WITH_KEY_BIAS),
)
