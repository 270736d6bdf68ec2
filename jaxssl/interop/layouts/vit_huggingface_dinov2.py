"""ViTs of DINOv2 as Hugging Face has them, with and without registers.

Source: transformers, models/dinov2 and dinov2_with_registers.
"""

import functools

from jaxssl.interop import vits
from jaxssl.interop.layout import Layout
from jaxssl.interop.layouts import vit_huggingface
from jaxssl.models import ViTConfig

NAMES = vit_huggingface.NAMES._replace(
    norm1="norm1",
    scale1="layer_scale1.lambda1",
    norm2="norm2",
    mlp=("mlp.fc1", "mlp.fc2"),
    gated=(("mlp.weights_in",), "mlp.weights_out"),
    scale2="layer_scale2.lambda1",
    registers="embeddings.register_tokens",
)

LAYOUTS = (
    Layout(
        name="DINOv2 of Hugging Face",
        kind=ViTConfig,
        programs=("hf",),
        anchor="encoder.layer.0.layer_scale1.lambda1",
        trunk=r"(encoder|layernorm|embeddings)\.(?!mask_token)",
        guess=functools.partial(vits.guess, names=NAMES),
        ties=functools.partial(vits.list_ties, names=NAMES),
        antialias=lambda config: config.num_registers > 0,
    ),
)
