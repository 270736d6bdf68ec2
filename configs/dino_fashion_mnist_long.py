"""DINO on Fashion-MNIST for a quarter of an hour, with a ResNet-10 of two stages.

Command: jaxssl pretrain dino_fashion_mnist_long --out runs/dino_long
On an accelerator, the full-size encoder: add --encoder.depth 18 --encoder.num-stages 4
Result: 90.4 % linear (best stage as a grid), 75.9 % with ten labels a class; 20 minutes of one CPU
core. Every row: docs/results.md.
Source: Caron et al. 2021 (arXiv 2104.14294). Changed as in dino_fashion_mnist, with the encoder of
simclr_fashion_mnist_long.
"""

import dataclasses

from jaxssl.augment import policies
from jaxssl.methods.dino import DINO
from jaxssl.recipes import _fashion_mnist as shared
from jaxssl.runs.recipe import Recipe


def get_config() -> Recipe:
    """The recipe."""
    return Recipe(
        method=DINO(
            augment=policies.dino(
                size=28,
                crop_scale=(0.4, 1.0),
                jitter=(0.8, 0.8, 0.8, 0.2),
                jitter_strength=0.5,
                blur_prob=0.0,
                solarize_prob=0.0,
                interpolation="linear",
                local_size=16,
                num_local=4,
                local_crop_scale=(0.15, 0.4),
            ),
            num_prototypes=1024,
            teacher_temperature=0.04,
            warmup_epochs=0.0,
            teacher_momentum=0.99,
            freeze_epochs=0.5,
            projector_width=512,
            projector_dim=128,
        ),
        encoder=dataclasses.replace(shared.RESNET_LONG, zero_init_residual=False),
        data=shared.DATA,
        optimizer=dataclasses.replace(
            shared.OPTIMIZER_LONG, weight_decay=0.04, final_weight_decay=0.4, clip_each=3.0
        ),
        training=dataclasses.replace(shared.TRAINING, epochs=6),
        run=shared.RUN_LONG,
    )
