"""I-JEPA on Fashion-MNIST with a small ViT.

Command: jaxssl pretrain ijepa_fashion_mnist --out runs/ijepa
On an accelerator, the full-size encoder: add --encoder.size S
Source: Assran et al. 2023 (arXiv 2301.08243): blocks, crop, weight decay and the line of the
target's momentum are the authors'; predictor and momentum are scaled to 49 patches of 4 x 4 pixels
and one epoch; encoder of mae_fashion_mnist with the authors' beginning.
"""

import dataclasses

from jaxssl.methods.ijepa import IJEPA
from jaxssl.recipes import _fashion_mnist as shared
from jaxssl.runs.recipe import Recipe


def get_config() -> Recipe:
    """The recipe."""
    return Recipe(
        method=IJEPA(
            augment=dataclasses.replace(IJEPA().augment, size=28),
            target_momentum=0.99,
            predictor_width=64,
            predictor_depth=2,
            predictor_heads=4,
        ),
        encoder=dataclasses.replace(shared.VIT, patch_size=4, pool="mean", initialization="dino"),
        data=shared.DATA,
        optimizer=dataclasses.replace(shared.OPTIMIZER, weight_decay=0.04, final_weight_decay=0.4),
        training=dataclasses.replace(shared.TRAINING, epochs=1),
        run=shared.RUN,
    )
