"""A denoising autoencoder on Fashion-MNIST with a quarter-width ResNet-18.

Command: jaxssl pretrain denoising_autoencoder_fashion_mnist --out runs/denoising_autoencoder
On an accelerator, the full-size encoder: add --encoder.width-multiplier 1
Result: see docs/results.md; some 4 minutes on one CPU core.
Source: Vincent et al. 2010: a quarter of the pixels masked. Encoder, decoder, crop, flip and
optimizer are those of the other recipes here, where the paper stacks fully connected layers.
"""

import dataclasses

from jaxssl.methods.denoising_autoencoder import DenoisingAutoencoder
from jaxssl.recipes import _fashion_mnist as shared
from jaxssl.runs.recipe import Recipe


def get_config() -> Recipe:
    """The recipe."""
    return Recipe(
        method=DenoisingAutoencoder(
            augment=shared.CROP_FLIP,
            bottleneck_dim=128,
            decoder_width=8,
            corruption="masking",
            level=0.25,
        ),
        encoder=shared.RESNET,
        data=shared.DATA,
        optimizer=shared.OPTIMIZER,
        training=shared.TRAINING,
        run=dataclasses.replace(shared.RUN, checkpoint_every=200),
    )
