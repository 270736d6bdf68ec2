"""Jigsaw puzzles of Fashion-MNIST with a quarter-width ResNet-18.

Command: jaxssl pretrain jigsaw_fashion_mnist --out runs/jigsaw
On an accelerator, the full-size encoder: add --encoder.width-multiplier 1
Result: see docs/results.md; some 2 minutes on one CPU core.
Source: Noroozi and Favaro 2016 (arXiv 1603.09246), scaled to tiles of 7 pixels in cells of 9; no
colours to shift. 24 permutations, the smallest of the published sets; more are harder to tell apart
(--method.num-permutations 100). Crops of half to all of the area, mirrored or not, where the
official code cuts one size unmirrored; AdamW and 1.5 epochs instead of the paper's SGD and days.
"""

import dataclasses

from jaxssl.methods.jigsaw import Jigsaw
from jaxssl.recipes import _fashion_mnist as shared
from jaxssl.runs.recipe import Recipe


def get_config() -> Recipe:
    """The recipe."""
    return Recipe(
        method=Jigsaw(
            augment=shared.CROP_FLIP,
            cell_size=9,
            tile_size=7,
            num_permutations=24,
            channel_shift=0,
            tower_width=64,
        ),
        encoder=shared.RESNET,
        data=shared.DATA,
        optimizer=shared.OPTIMIZER,
        training=dataclasses.replace(shared.TRAINING, epochs=1.5),
        run=dataclasses.replace(shared.RUN, checkpoint_every=200),
    )
