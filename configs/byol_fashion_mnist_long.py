"""BYOL on Fashion-MNIST for ten minutes, with a ResNet-10 of two stages.

Command: jaxssl pretrain byol_fashion_mnist_long --out runs/byol_long
On an accelerator, the full-size encoder: add --encoder.depth 18 --encoder.num-stages 4
Result: see the table in docs/results.md; some ten minutes on two CPU cores.
Source: Grill et al. 2020 (arXiv 2006.07733). Changed as in byol_fashion_mnist, with the
encoder and the views of simclr_fashion_mnist_long, and a slower target, which has 2,340 steps.
Views and encoder were chosen in runs of minutes on nine tenths of the training images, judged on
the tenth; the test images had no say.
"""

import dataclasses

from jaxssl.augment import policies
from jaxssl.methods.byol import BYOL
from jaxssl.recipes import _fashion_mnist as shared
from jaxssl.runs.recipe import Recipe


def get_config() -> Recipe:
    """The recipe."""
    return Recipe(
        method=BYOL(
            augment=policies.byol(
                size=28,
                crop_scale=(0.25, 1.0),
                jitter_strength=0.6,
                jitter=(0.8, 0.8, 0.8, 0.2),
                blur_prob=0.0,
                solarize_prob=0.0,
                interpolation="linear",
            ),
            target_momentum=0.99,
            projector_width=512,
            projector_dim=128,
            predictor_width=512,
        ),
        encoder=shared.RESNET_LONG,
        data=shared.DATA,
        optimizer=shared.OPTIMIZER_LONG,
        training=dataclasses.replace(shared.TRAINING, epochs=10),
        run=shared.RUN_LONG,
    )
