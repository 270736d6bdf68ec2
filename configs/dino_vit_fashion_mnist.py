"""DINO on Fashion-MNIST, with a small ViT.

Command: jaxssl pretrain dino_vit_fashion_mnist --out runs/dino_vit
On an accelerator, the full-size encoder: add --encoder.size S
Result: see the table in docs/results.md.
Source: Caron et al. 2021 (arXiv 2104.14294): AdamW, its weight decay, centre and temperatures; the
clipping of each layer's gradient is from the authors' code.
Views and sizes changed as in dino_fashion_mnist, with the encoder of mae_fashion_mnist but for its
class token, which DINO reads, and DINO's initialisation, and with 16 patches of 7 x 7 pixels in a
global view and 4, spread over the same positions, in a local one; no stochastic depth; one epoch.
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
                local_size=14,
                num_local=4,
                local_crop_scale=(0.15, 0.4),
            ),
            num_prototypes=1024,
            teacher_temperature=0.04,
            warmup_epochs=0.0,
            teacher_momentum=0.99,
            freeze_epochs=0.1,
            projector_width=512,
            projector_dim=128,
        ),
        encoder=dataclasses.replace(shared.VIT, position_grid=4, initialization="dino"),
        data=shared.DATA,
        optimizer=dataclasses.replace(
            shared.OPTIMIZER, weight_decay=0.04, final_weight_decay=0.4, clip_each=3.0
        ),
        training=dataclasses.replace(shared.TRAINING, epochs=1),
        run=shared.RUN,
    )
