"""Rotation prediction on Fashion-MNIST with a half-width ResNet-10 of two stages.

Command: jaxssl pretrain rotation_fashion_mnist --out runs/rotation
On an accelerator, the full-size encoder: add --encoder.depth 18
--encoder.width-multiplier 1 --encoder.num-stages 4
All four turns of every image in the batch, as in the paper: add --method.copies four (four times
the work a step).
Result: see docs/results.md; three minutes on two CPU cores.
Source: Gidaris et al. 2018 (arXiv 1803.07728), one random quarter turn an image. AdamW and a few
epochs instead of the paper's SGD and hundreds; the ImageNet stem because it is cheap. Two stages,
because the features that help most come early in a network that is told so little; chosen in runs
of minutes on nine tenths of the training images, judged on the tenth.
"""

import dataclasses

from jaxssl.methods.rotation import Rotation
from jaxssl.recipes import _fashion_mnist as shared
from jaxssl.runs.recipe import Recipe


def get_config() -> Recipe:
    """The recipe."""
    return Recipe(
        method=Rotation(augment=shared.CROP_FLIP),
        encoder=dataclasses.replace(shared.RESNET_LONG, width_multiplier=0.5),
        data=shared.DATA,
        optimizer=dataclasses.replace(shared.OPTIMIZER, base_learning_rate=4e-3, warmup_epochs=0.5),
        training=dataclasses.replace(shared.TRAINING, epochs=10),
        run=dataclasses.replace(shared.RUN, checkpoint_every=200),
    )
