"""Context prediction on windows of photographs with a quarter-width ResNet-18.

Command: jaxssl pretrain context_prediction_photographs --out runs/context_prediction_photographs
Without a counter-measure: --method.color none, --method.gap 0, --method.jitter 0
On an accelerator, the full-size encoder: add --encoder.width-multiplier 1
Result: see the table in README.md; some 2 minutes on one CPU core.
Source: Doersch et al. 2015 (arXiv 1505.05192), scaled to patches of 16 pixels, gaps of 4 and a
jitter of 2, all but one colour dropped. AdamW and a few epochs of windows of ten photographs
instead of the paper's SGD on ImageNet.
"""

from jaxssl import models
from jaxssl.augment import recipes
from jaxssl.data import DataConfig
from jaxssl.methods.context_prediction import ContextPrediction
from jaxssl.recipe import Recipe
from jaxssl.training.loop import RunConfig, TrainingConfig
from jaxssl.training.optimizers import OptimizerConfig


def get_config() -> Recipe:
    """The recipe."""
    return Recipe(
        method=ContextPrediction(
            augment=recipes.CropFlip(size=64, crop_scale=(0.5, 1.0), flip_prob=0.0),
            patch_size=16,
            gap=4,
            jitter=2,
            resample_side=4,
            hidden_width=256,
        ),
        encoder=models.ResNetConfig(
            depth=18, width_multiplier=0.25, stem="imagenet", mean=(0.5,), std=(0.25,)
        ),
        data=DataConfig(path="photographs", image_size=64, channels=3),
        optimizer=OptimizerConfig(base_learning_rate=2e-3, weight_decay=0.05, warmup_epochs=0.2),
        training=TrainingConfig(batch_size=256, epochs=4),
        run=RunConfig(log_every=20, checkpoint_every=200),
    )
