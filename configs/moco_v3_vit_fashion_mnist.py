"""MoCo v3 on Fashion-MNIST with a small ViT.

Command: jaxssl pretrain moco_v3_vit_fashion_mnist --out runs/moco_v3_vit
On an accelerator, the full-size encoder: add --encoder.size S --encoder.num-heads 12
Result: see the table in docs/results.md.
Source: Chen et al. 2021 (arXiv 2104.02057): temperature, class token, initialisation, fixed
sine-cosine positions and the frozen patch embedding are the paper's. Changed for clothes that are
centred, and for minutes of CPU: the ViT of mae_fashion_mnist with 16 patches of 7 x 7 pixels, for
one epoch; crops of simclr_fashion_mnist, neither blur nor solarisation; a momentum encoder that
follows faster, since it has 234 steps to do so.
"""

import dataclasses

from jaxssl.augment import policies
from jaxssl.methods.moco_v3 import MoCoV3
from jaxssl.recipes import _fashion_mnist as shared
from jaxssl.runs.recipe import Recipe


def get_config() -> Recipe:
    """The recipe."""
    return Recipe(
        method=MoCoV3(
            augment=policies.moco_v3(
                size=28, crop_scale=(0.4, 1.0), blur_prob=0.0, solarize_prob=0.0
            ),
            temperature=0.2,
            target_momentum=0.97,
            projector_width=512,
            projector_dim=128,
            predictor_width=512,
            freeze_patch_embedding=True,
        ),
        encoder=dataclasses.replace(shared.VIT, initialization="moco_v3"),
        data=shared.DATA,
        optimizer=shared.OPTIMIZER,
        training=dataclasses.replace(shared.TRAINING, epochs=1),
        run=shared.RUN,
    )
