"""DINOv2 on Fashion-MNIST, with a small ViT.

Command: jaxssl pretrain dino_v2_fashion_mnist --out runs/dino_v2
On an accelerator, the full-size encoder: add --encoder.size S
Source: Oquab et al. 2023 (arXiv 2304.07193): masks, balancing, temperatures, KoLeo, AdamW and its
weight decay are the authors'.
Views, prototypes and encoder as in ibot_fashion_mnist, with four registers and the factors of its
branches; each layer's gradient is clipped at a norm of 3, there encoder's and heads'.
"""

import dataclasses

from jaxssl.methods.dino_v2 import DINOv2
from jaxssl.recipes import ibot_fashion_mnist
from jaxssl.runs.recipe import Recipe


def get_config() -> Recipe:
    """The recipe."""
    ibot = ibot_fashion_mnist.get_config()
    same = (
        "augment", "num_prototypes", "teacher_temperature", "warmup_epochs", "teacher_momentum",
        "freeze_epochs", "projector_width", "projector_dim",
    )  # fmt: skip
    method = DINOv2(
        patch_prototypes=ibot.method.num_prototypes,
        patch_projector_dim=ibot.method.projector_dim,
        **{name: getattr(ibot.method, name) for name in same},
    )
    return dataclasses.replace(
        ibot,
        method=method,
        encoder=dataclasses.replace(ibot.encoder, num_registers=4, layer_scale=1e-5),
        optimizer=dataclasses.replace(ibot.optimizer, final_weight_decay=0.2),
    )
