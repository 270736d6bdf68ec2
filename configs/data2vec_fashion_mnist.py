"""data2vec on Fashion-MNIST with a small ViT.

Command: jaxssl pretrain data2vec_fashion_mnist --out runs/data2vec
On an accelerator, the full-size encoder: add --encoder.size S
Source: Baevski et al. 2022 (arXiv 2202.03555): mask ratio, beta, clipping, weight decay and the
factors of the branches are the authors'; blocks of 4 patches or more, the last 2 of 4 layers and
the momentum are scaled to 49 patches of 4 x 4 pixels and one epoch; crops keep a larger part of the
image; encoder of mae_fashion_mnist.
"""

import dataclasses

from jaxssl.methods.data2vec import Data2Vec
from jaxssl.recipes import _fashion_mnist as shared
from jaxssl.runs.recipe import Recipe


def get_config() -> Recipe:
    """The recipe."""
    augment = dataclasses.replace(Data2Vec().augment, size=28, crop_scale=(0.5, 1.0))
    return Recipe(
        method=Data2Vec(augment=augment, min_block=4, num_layers=2, teacher_momentum=0.99),
        encoder=dataclasses.replace(shared.VIT, patch_size=4, pool="mean", layer_scale=1e-4),
        data=shared.DATA,
        optimizer=dataclasses.replace(shared.OPTIMIZER, clip_norm=3.0),
        training=dataclasses.replace(shared.TRAINING, epochs=1),
        run=shared.RUN,
    )
