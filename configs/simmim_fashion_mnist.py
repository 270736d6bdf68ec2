"""SimMIM on Fashion-MNIST with a small ViT.

Command: jaxssl pretrain simmim_fashion_mnist --out runs/simmim
On an accelerator, the full-size encoder: add --encoder.size S
Source: Xie et al. 2021 (arXiv 2111.09886): mask ratio, crop, flip, clipping and weight decay are
the authors'; squares are single patches of 7 x 7 pixels, a quarter of a side (theirs: a sixth);
batches, epochs and encoder of mae_fashion_mnist.
"""

import dataclasses

from jaxssl.methods.simmim import SimMIM
from jaxssl.recipes import _fashion_mnist as shared
from jaxssl.runs.recipe import Recipe


def get_config() -> Recipe:
    """The recipe."""
    augment = dataclasses.replace(SimMIM().augment, size=28)
    return Recipe(
        method=SimMIM(augment=augment, mask_side=1),
        encoder=shared.VIT_PATCHES,
        data=shared.DATA,
        optimizer=dataclasses.replace(shared.OPTIMIZER_MASKED, clip_norm=5.0),
        training=shared.TRAINING_MASKED,
        run=shared.RUN_MASKED,
    )
