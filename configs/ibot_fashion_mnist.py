"""iBOT on Fashion-MNIST, with a small ViT.

Command: jaxssl pretrain ibot_fashion_mnist --out runs/ibot
On an accelerator, the full-size encoder: add --encoder.size S
Source: Zhou et al. 2021 (arXiv 2111.07832): masks, centres, temperatures, AdamW and its weight
decay are the paper's, the clipping of each layer's gradient the authors'.
Everything else, views and encoder among it, as in dino_vit_fashion_mnist, with two local views.
"""

import dataclasses

from jaxssl.methods.ibot import IBOT
from jaxssl.recipes import dino_vit_fashion_mnist
from jaxssl.runs.recipe import Recipe


def get_config() -> Recipe:
    """The recipe."""
    dino = dino_vit_fashion_mnist.get_config()
    same = (
        "num_prototypes", "teacher_temperature", "warmup_epochs", "teacher_momentum",
        "freeze_epochs", "projector_width", "projector_dim",
    )  # fmt: skip
    method = IBOT(
        augment=dataclasses.replace(dino.method.augment, num_local=2),
        patch_temperature=0.04,
        **{name: getattr(dino.method, name) for name in same},
    )
    return dataclasses.replace(dino, method=method)
