"""A context encoder on Fashion-MNIST with a quarter-width ResNet-18.

Command: jaxssl pretrain context_encoder_fashion_mnist --out runs/context_encoder
On an accelerator, the full-size encoder: add --encoder.width-multiplier 1
Inpainting of the centre, as in the paper: add --method.mask central --method.overlap 1
--method.adversarial-weight 0.001 --method.discriminator-width 16
Result: see docs/results.md; some 4 minutes on one CPU core.
Source: Pathak et al. 2016 (arXiv 1604.07379), its setting for features: random regions filled with
the mean colour, squared error alone. The dense layer is scaled to the encoder's 128 features;
crops are half to all of the area, where the official code cuts one size; AdamW for a few epochs
stands for the paper's Adam for hundreds.
"""

import dataclasses

from jaxssl.methods.context_encoder import ContextEncoder
from jaxssl.recipes import _fashion_mnist as shared
from jaxssl.runs.recipe import Recipe


def get_config() -> Recipe:
    """The recipe."""
    return Recipe(
        method=ContextEncoder(
            augment=shared.CROP_FLIP,
            mask="region",
            color=shared.MEAN,
            bottleneck_dim=128,
            decoder_width=8,
        ),
        encoder=shared.RESNET,
        data=shared.DATA,
        optimizer=shared.OPTIMIZER,
        training=shared.TRAINING,
        run=dataclasses.replace(shared.RUN, checkpoint_every=200),
    )
