"""AIM on Fashion-MNIST with a small ViT.

Command: jaxssl pretrain aim_fashion_mnist --out runs/aim
On an accelerator, the full-size encoder: add --encoder.size S
Source: El-Nouby et al. 2024 (arXiv 2401.08541): prefix, normalised targets, crop, AdamW betas and
weight decay are the paper's; the head is scaled to 16 patches of 7 x 7 pixels; batches,
epochs and encoder of mae_fashion_mnist.
"""

import dataclasses

from jaxssl.methods.aim import AIM
from jaxssl.recipes import _fashion_mnist as shared
from jaxssl.runs.recipe import Recipe


def get_config() -> Recipe:
    """The recipe."""
    return Recipe(
        method=AIM(
            augment=dataclasses.replace(AIM().augment, size=28), head_width=128, head_depth=2
        ),
        encoder=shared.VIT_PATCHES,
        data=shared.DATA,
        optimizer=dataclasses.replace(shared.OPTIMIZER_MASKED, beta2=0.95),
        training=shared.TRAINING_MASKED,
        run=shared.RUN_MASKED,
    )
