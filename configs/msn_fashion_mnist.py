"""MSN on Fashion-MNIST, with a small ViT.

Command: jaxssl pretrain msn_fashion_mnist --out runs/msn
On an accelerator, the full-size encoder: add --encoder.size S
Source: Assran et al. 2022 (arXiv 2204.07141): temperatures, balancing, mask ratio, AdamW and its
weight decay are the authors'.
Views and encoder as in dino_vit_fashion_mnist, with a quarter of the prototypes.
"""

import dataclasses

from jaxssl.methods.msn import MSN
from jaxssl.recipes import dino_vit_fashion_mnist
from jaxssl.runs.recipe import Recipe


def get_config() -> Recipe:
    """The recipe."""
    dino = dino_vit_fashion_mnist.get_config()
    method = MSN(
        augment=dino.method.augment,
        num_prototypes=256,
        target_momentum=dino.method.teacher_momentum,
        projector_width=dino.method.projector_width,
        projector_dim=dino.method.projector_dim,
    )
    return dataclasses.replace(dino, method=method)
