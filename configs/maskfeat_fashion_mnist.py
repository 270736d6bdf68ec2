"""MaskFeat on Fashion-MNIST with a small ViT.

Command: jaxssl pretrain maskfeat_fashion_mnist --out runs/maskfeat
On an accelerator, the full-size encoder: add --encoder.size S
Source: Wei et al. 2021 (arXiv 2112.09133): mask ratio, crop, flip, bins and weight decay are the
authors'; one cell in a patch of 7 x 7 pixels, and no clipping of the gradient, which at a norm of
0.02 is made for hundreds of epochs; batches, epochs and encoder of mae_fashion_mnist.
"""

import dataclasses

from jaxssl.methods.maskfeat import MaskFeat
from jaxssl.recipes import _fashion_mnist as shared
from jaxssl.runs.recipe import Recipe


def get_config() -> Recipe:
    """The recipe."""
    augment = dataclasses.replace(MaskFeat().augment, size=28)
    return Recipe(
        method=MaskFeat(augment=augment, num_cells=1),
        encoder=shared.VIT_PATCHES,
        data=shared.DATA,
        optimizer=shared.OPTIMIZER_MASKED,
        training=shared.TRAINING_MASKED,
        run=shared.RUN_MASKED,
    )
