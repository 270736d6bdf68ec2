"""Colorization of photographs with a ResNet-18 of an eighth of the width that sees lightness.

Command: jaxssl pretrain colorization_photographs --out runs/colorization
On an accelerator, the full-size encoder: add --encoder.width-multiplier 1
Result: see docs/results.md; some 3 minutes on one CPU core.
Source: Zhang et al. 2016 (arXiv 1603.08511): soft codes of 10 of 313 bins, rebalanced, every 4th
pixel. Crops of half to all of the area, where the official code cuts one size; AdamW and three
epochs of windows of ten photographs instead of the paper's Adam on ImageNet.
"""

from jaxssl import models
from jaxssl.augment import policies
from jaxssl.data import ImageData
from jaxssl.methods.colorization import Colorization
from jaxssl.runs.recipe import Recipe
from jaxssl.training.config import RunConfig, TrainingConfig
from jaxssl.training.optimizers import OptimizerConfig


def get_config() -> Recipe:
    """The recipe."""
    return Recipe(
        method=Colorization(
            augment=policies.CropFlip(size=32, crop_scale=(0.5, 1.0)), head_width=64
        ),
        encoder=models.ResNetConfig(
            depth=18,
            width_multiplier=0.125,
            stem="small",
            color_space="lightness",
            mean=(50.0,),
            std=(25.0,),
        ),
        data=ImageData(path="photographs", image_size=32, channels=3),
        optimizer=OptimizerConfig(base_learning_rate=2e-3, weight_decay=0.05, warmup_epochs=0.1),
        training=TrainingConfig(batch_size=128, epochs=3),
        run=RunConfig(log_every=10, checkpoint_every=100),
    )
