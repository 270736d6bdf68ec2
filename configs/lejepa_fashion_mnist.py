"""LeJEPA on Fashion-MNIST.

Command: jaxssl pretrain lejepa_fashion_mnist --out runs/lejepa
On an accelerator, the full-size encoder: add --encoder.width-multiplier 1
Result: see the table in docs/results.md.
Source: Balestriero and LeCun 2025 (arXiv 2511.08544): weight, knots and frequencies of SIGReg, and
the weight decay that the authors give a ResNet (a ViT: 0.05). Changed for clothes that are
centred, and for minutes of CPU: two views of 28 pixels and four of 16, neither blur nor
solarisation, and the encoder, schedule and colours of simclr_fashion_mnist, so that methods compare
at equal steps; 256 directions, as in the authors' minimal example.
"""

import dataclasses

from jaxssl.augment import policies
from jaxssl.methods.lejepa import LeJEPA
from jaxssl.recipes import _fashion_mnist as shared
from jaxssl.runs.recipe import Recipe


def get_config() -> Recipe:
    """The recipe."""
    return Recipe(
        method=LeJEPA(
            augment=policies.lejepa(
                size=28,
                crop_scale=(0.4, 1.0),
                jitter=(0.8, 0.8, 0.8, 0.2),
                jitter_strength=0.5,
                blur_prob=0.0,
                solarize_prob=0.0,
                local_size=16,
                num_local=4,
                local_crop_scale=(0.15, 0.4),
            ),
            num_slices=256,
            projector_width=512,
            projector_dim=64,
        ),
        encoder=shared.RESNET,
        data=shared.DATA,
        optimizer=dataclasses.replace(shared.OPTIMIZER, weight_decay=5e-4),
        training=shared.TRAINING,
        run=shared.RUN,
    )
