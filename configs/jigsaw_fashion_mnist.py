"""Jigsaw puzzles of Fashion-MNIST with a quarter-width ResNet-18.

Command: jaxssl pretrain jigsaw_fashion_mnist --out runs/jigsaw
On an accelerator, the full-size encoder: add --encoder.width-multiplier 1
Result: see the table in README.md; some 2 minutes on one CPU core.
Source: Noroozi and Favaro 2016 (arXiv 1603.09246), scaled to tiles of 7 pixels in cells of 9; no
colours to shift. 24 permutations, the smallest of the published sets; more are harder to tell apart
(--method.num-permutations 100). Crops of half to all of the area, mirrored or not, where the
official code cuts one size unmirrored; AdamW and 1.5 epochs instead of the paper's SGD and days.
"""

from jaxssl import models
from jaxssl.augment import policies
from jaxssl.data import ImageData
from jaxssl.methods.jigsaw import Jigsaw
from jaxssl.runs.recipe import Recipe
from jaxssl.training.config import RunConfig, TrainingConfig
from jaxssl.training.optimizers import OptimizerConfig


def get_config() -> Recipe:
    """The recipe."""
    return Recipe(
        method=Jigsaw(
            augment=policies.CropFlip(size=28, crop_scale=(0.5, 1.0)),
            cell_size=9,
            tile_size=7,
            num_permutations=24,
            channel_shift=0,
            tower_width=64,
        ),
        encoder=models.ResNetConfig(
            depth=18, width_multiplier=0.25, stem="imagenet", mean=(0.286,), std=(0.353,)
        ),
        data=ImageData(path="fashion-mnist", image_size=28, channels=1),
        optimizer=OptimizerConfig(base_learning_rate=2e-3, weight_decay=0.05, warmup_epochs=0.2),
        training=TrainingConfig(batch_size=256, epochs=1.5),
        run=RunConfig(log_every=20, checkpoint_every=200),
    )
