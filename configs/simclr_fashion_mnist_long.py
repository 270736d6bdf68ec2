"""SimCLR on Fashion-MNIST for twenty minutes, with a ResNet-10 of two stages.

Command: jaxssl pretrain simclr_fashion_mnist_long --out runs/simclr_long
On an accelerator, the full-size encoder: add --encoder.depth 18 --encoder.num-stages 4
Result: see the table in docs/results.md; some 20 minutes on two CPU cores.
Source: Chen et al. 2020 (arXiv 2002.05709); jitter strength and missing blur from its CIFAR-10
experiments (appendix B.9). Changed as in simclr_fashion_mnist, with twice the width, two stages
instead of three, and stronger views. All of that was chosen in runs of minutes on a tenth of the
training images, held out; the test images had no say.
"""

import dataclasses

from jaxssl.augment import policies
from jaxssl.methods.simclr import SimCLR
from jaxssl.recipes import _fashion_mnist as shared
from jaxssl.runs.recipe import Recipe


def get_config() -> Recipe:
    """The recipe."""
    return Recipe(
        method=SimCLR(
            augment=policies.simclr(
                size=28, crop_scale=(0.25, 1.0), jitter_strength=0.6, blur_prob=0.0
            ),
            temperature=0.2,
            projector_width=512,
            projector_dim=128,
        ),
        encoder=shared.RESNET_LONG,
        data=shared.DATA,
        optimizer=shared.OPTIMIZER_LONG,
        training=dataclasses.replace(shared.TRAINING, epochs=20),
        run=shared.RUN_LONG,
    )
