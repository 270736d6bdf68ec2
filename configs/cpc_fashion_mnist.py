"""Contrastive predictive coding on Fashion-MNIST with a very small ViT.

Command: jaxssl pretrain cpc_fashion_mnist --out runs/cpc
On an accelerator, the full-size encoder: add --encoder.width 384 --encoder.depth 12
--encoder.num-heads 6 --training.epochs 100
Result: see docs/results.md; some 3 minutes on one CPU core.
Source: van den Oord et al. 2018 (arXiv 1807.03748), with LayerNorm, targets of 64 features and
predictions times 0.1 as in Henaff et al. 2019 (arXiv 1905.09272).

A 5 x 5 grid of patches of 8 pixels; two rows below, none of a patch's pixels is in the context.
The loss starts at the log of 128 x 25 candidates, 8.07. A ViT, because batch norm would let a patch
learn of the others through the batch's statistics; learned positions, because those of a whole
image are spread over each patch. A step costs 25 small images an image, hence half an epoch.
"""

import dataclasses

from jaxssl import models
from jaxssl.methods.cpc import CPC
from jaxssl.recipes import _fashion_mnist as shared
from jaxssl.runs.recipe import Recipe
from jaxssl.training.config import TrainingConfig


def get_config() -> Recipe:
    """The recipe."""
    return Recipe(
        method=CPC(
            augment=shared.CROP_FLIP,
            patch_size=8,
            stride=5,
            patch_crop=0,
            min_offset=2,
            max_offset=3,
            layer_norm=True,
            target_dim=64,
            prediction_scale=0.1,
            context_width=64,
            context_depth=3,
        ),
        encoder=models.ViTConfig(
            width=64,
            depth=2,
            num_heads=2,
            patch_size=4,
            pool="mean",
            position="learned",
            mean=shared.MEAN,
            std=shared.STD,
        ),
        data=shared.DATA,
        optimizer=dataclasses.replace(shared.OPTIMIZER, warmup_epochs=0.05),
        training=TrainingConfig(batch_size=128, epochs=0.5),
        run=dataclasses.replace(shared.RUN, checkpoint_every=200),
    )
