"""BEiT on Fashion-MNIST with a small ViT, naming the words of a VQ autoencoder.

Command: jaxssl pretrain beit_fashion_mnist --out runs/beit --tokenizer runs/vq_autoencoder
Before it: jaxssl pretrain vq_autoencoder_fashion_mnist --out runs/vq_autoencoder
On an accelerator, the full-size encoder: add --encoder.size S
Source: Bao et al. 2021 (arXiv 2106.08254): mask ratio, clipping and weight decay are the authors',
the factors of the branches those of their ViT-B; blocks of 2 patches or more are scaled to 16
patches of 7 x 7 pixels; crops keep a larger part of the image; batches, epochs and encoder of
mae_fashion_mnist.
"""

import dataclasses

from jaxssl.methods.beit import BEiT
from jaxssl.recipes import _fashion_mnist as shared
from jaxssl.runs.recipe import Recipe


def get_config() -> Recipe:
    """The recipe."""
    augment = dataclasses.replace(BEiT().augment, size=28, crop_scale=(0.5, 1.0))
    return Recipe(
        method=BEiT(augment=augment, min_block=2),
        encoder=dataclasses.replace(shared.VIT_PATCHES, layer_scale=0.1),
        data=shared.DATA,
        optimizer=dataclasses.replace(shared.OPTIMIZER_MASKED, clip_norm=3.0),
        training=shared.TRAINING_MASKED,
        run=shared.RUN_MASKED,
    )
