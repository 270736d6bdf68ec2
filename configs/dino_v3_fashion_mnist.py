"""DINOv3 on Fashion-MNIST, with a small ViT.

Command: jaxssl pretrain dino_v3_fashion_mnist --out runs/dino_v3
On an accelerator, the full-size encoder: add --encoder.size S
Source: Siméoni et al. 2025 (arXiv 2508.10104): rotary positions, a momentum that stays, and patches
held to an earlier teacher's, here from the middle of the run on.
Everything else as in dino_v2_fashion_mnist.
"""

import dataclasses

from jaxssl.methods.dino_v3 import DINOv3
from jaxssl.recipes import dino_v2_fashion_mnist
from jaxssl.runs.recipe import Recipe


def get_config() -> Recipe:
    """The recipe."""
    dino = dino_v2_fashion_mnist.get_config()
    same = {
        field.name: getattr(dino.method, field.name) for field in dataclasses.fields(dino.method)
    }
    method = DINOv3(
        **same | {"final_momentum": dino.method.teacher_momentum}, gram_epoch=0.5, gram_every=0.2
    )
    encoder = dataclasses.replace(dino.encoder, position="rope", position_grid=None)
    return dataclasses.replace(dino, method=method, encoder=encoder)
