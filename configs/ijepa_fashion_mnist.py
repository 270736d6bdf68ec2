"""I-JEPA on Fashion-MNIST with a small ViT.

Command: jaxssl pretrain ijepa_fashion_mnist --out runs/ijepa
On an accelerator, the full-size encoder: add --encoder.size S
Source: Assran et al. 2023 (arXiv 2301.08243): blocks, crop, weight decay and the line of the
target's momentum are the authors'; predictor and momentum are scaled to 16 patches of 7 x 7
pixels, of which a target block is two or three, and four epochs; batches and encoder of
mae_fashion_mnist with the authors' beginning. An eighth of the learning rate of the others: at four
times as much the features keep three directions.
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
            target_momentum=0.996,
            predictor_width=64,
            predictor_depth=2,
            predictor_heads=4,
        ),
        encoder=dataclasses.replace(shared.VIT_PATCHES, initialization="dino"),
        data=shared.DATA,
        optimizer=dataclasses.replace(
            shared.OPTIMIZER_MASKED,
            base_learning_rate=5e-4,
            weight_decay=0.04,
            final_weight_decay=0.4,
        ),
        training=shared.TRAINING_MASKED,
        run=shared.RUN_MASKED,
    )
