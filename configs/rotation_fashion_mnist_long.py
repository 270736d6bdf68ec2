"""Rotation prediction on Fashion-MNIST for ten minutes, with a ResNet-10 of two stages.

Command: jaxssl pretrain rotation_fashion_mnist_long --out runs/rotation_long
On an accelerator, the full-size encoder: add --encoder.depth 18 --encoder.num-stages 4
Result: see the table in docs/results.md; some 10 minutes on two CPU cores.
Source: Gidaris et al. 2018 (arXiv 1803.07728), one random quarter turn an image. Changed as in
rotation_fashion_mnist, with the encoder of simclr_fashion_mnist_long. Chosen in runs of minutes on
nine tenths of the training images, judged on the tenth; the test images had no say.
"""

import dataclasses

from jaxssl.methods.rotation import Rotation
from jaxssl.recipes import _fashion_mnist as shared
from jaxssl.runs.recipe import Recipe


def get_config() -> Recipe:
    """The recipe."""
    return Recipe(
        method=Rotation(augment=shared.CROP_FLIP),
        encoder=shared.RESNET_LONG,
        data=shared.DATA,
        optimizer=shared.OPTIMIZER_LONG,
        training=dataclasses.replace(shared.TRAINING, epochs=20),
        run=shared.RUN_LONG,
    )
