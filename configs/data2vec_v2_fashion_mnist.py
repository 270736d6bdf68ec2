"""data2vec 2.0 on Fashion-MNIST with a small ViT.

Command: jaxssl pretrain data2vec_v2_fashion_mnist --out runs/data2vec_v2
On an accelerator, the full-size encoder: add --encoder.size S
Source: Baevski et al. 2022 (arXiv 2212.07525): mask ratio, noise, betas, clipping and weight decay
are the authors'; four masks of an image, kept squares of 2 x 2 patches, all four layers, decoder
and momentum are scaled to 16 patches of 7 x 7 pixels and four epochs; crops keep a larger part of
the image; batches and encoder of mae_fashion_mnist, whose mean of patches stands for the class
token.
"""

import dataclasses

from jaxssl.augment import policies
from jaxssl.methods.data2vec_v2 import Data2VecV2
from jaxssl.recipes import _fashion_mnist as shared
from jaxssl.runs.recipe import Recipe


def get_config() -> Recipe:
    """The recipe."""
    return Recipe(
        method=Data2VecV2(
            augment=policies.mae(size=28, crop_scale=(0.5, 1.0)),
            num_masks=4,
            block_side=2,
            num_layers=4,
            teacher_momentum=0.996,
            final_momentum=0.999,
            decoder_width=64,
            decoder_depth=3,
            decoder_groups=4,
        ),
        encoder=shared.VIT_PATCHES,
        data=shared.DATA,
        optimizer=dataclasses.replace(shared.OPTIMIZER_MASKED, beta2=0.95, clip_norm=4.0),
        training=shared.TRAINING_MASKED,
        run=shared.RUN_MASKED,
    )
