"""iGPT on Fashion-MNIST at 14 x 14 pixels with a small causal ViT.

Command: jaxssl pretrain igpt_fashion_mnist --out runs/igpt
Features of the middle, as the paper reads: jaxssl linear-eval runs/igpt --stage 1
On an accelerator, the small one of the paper: add --encoder.width 512 --encoder.depth 24
--encoder.num-heads 8
Source: Chen et al. 2020 (Generative Pretraining from Pixels): causal attention, learned positions,
Adam betas and no weight decay are the paper's; 16 greys for 512 colours, a quarter of the pixels,
and width and depth are scaled to minutes.
"""

import dataclasses

from jaxssl.methods.igpt import IGPT
from jaxssl.recipes import _fashion_mnist as shared
from jaxssl.runs.recipe import Recipe

SIZE = 14


def get_config() -> Recipe:
    """The recipe."""
    return Recipe(
        method=IGPT(augment=dataclasses.replace(shared.CROP_FLIP, size=SIZE), num_clusters=16),
        encoder=dataclasses.replace(
            shared.VIT, width=64, patch_size=1, pool="mean", position="learned", causal=True
        ),
        data=dataclasses.replace(shared.DATA, image_size=SIZE),
        optimizer=dataclasses.replace(shared.OPTIMIZER, beta2=0.95, weight_decay=0.0),
        training=dataclasses.replace(shared.TRAINING, epochs=1),
        run=shared.RUN,
    )
