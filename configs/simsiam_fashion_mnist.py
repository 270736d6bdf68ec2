"""SimSiam on Fashion-MNIST.

Command: jaxssl pretrain simsiam_fashion_mnist --out runs/simsiam
On an accelerator, the full-size encoder: add --encoder.width-multiplier 1
Result: see the table in docs/results.md.
Source: Chen, He 2020 (arXiv 2011.10566); the predictor keeps its learning rate after warm-up, as in
the authors' command (--fix-pred-lr). Changed for clothes that are centred, and for minutes of CPU:
the encoder and optimizer of simclr_fashion_mnist at equal steps, so that methods compare, though
its crops are smaller; a narrower projector, with the paper's ratio of predictor to projector.
"""

import dataclasses

from jaxssl.augment import policies
from jaxssl.methods.simsiam import SimSiam
from jaxssl.recipes import _fashion_mnist as shared
from jaxssl.runs.recipe import Recipe


def get_config() -> Recipe:
    """The recipe."""
    return Recipe(
        method=SimSiam(
            augment=policies.moco_v2(size=28, crop_scale=(0.4, 1.0), blur_prob=0.0),
            projector_width=512,
            projector_dim=512,
            predictor_width=128,
        ),
        encoder=shared.RESNET,
        data=shared.DATA,
        optimizer=dataclasses.replace(shared.OPTIMIZER, constant_rate=("predictor",)),
        training=shared.TRAINING,
        run=shared.RUN,
    )
