"""MoCo v3 on Fashion-MNIST with a ResNet.

Command: jaxssl pretrain moco_v3_fashion_mnist --out runs/moco_v3
On an accelerator, the full-size encoder: add --encoder.width-multiplier 1
Result: see the table in docs/results.md.
Source: Chen et al. 2021 (arXiv 2104.02057). Changed for clothes that are centred, and for
minutes of CPU: crops, encoder and optimizer of simclr_fashion_mnist, so that methods compare at
equal steps; neither blur nor solarisation; the temperature of the paper's ViT; a momentum encoder
that follows faster, since it has 468 steps to do so.
"""

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
        ),
        encoder=shared.RESNET,
        data=shared.DATA,
        optimizer=shared.OPTIMIZER,
        training=shared.TRAINING,
        run=shared.RUN,
    )
