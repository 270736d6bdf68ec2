"""Context prediction on windows of photographs: what the audit of shortcuts is about.

Command: jaxssl pretrain context_prediction_photographs --out runs/context_prediction_photographs
The audit, which is what it is for: jaxssl audit context_prediction_photographs
Without a counter-measure: --method.color none, --method.gap 0, --method.jitter 0,
--method.resample-prob 0
Result: see docs/audit.md; there is no accuracy to see. With all the counter-measures the network
still guesses (12.5 %) when its run of some 2 minutes on one CPU core ends: patches so small,
without colour and mean, say little of their place.
Source: Doersch et al. 2015 (arXiv 1505.05192), scaled to patches of 16 pixels, gaps of 4 and a
jitter of 2, all but one colour dropped. AdamW and a few epochs of windows of ten photographs
instead of the paper's SGD on ImageNet.
"""

from jaxssl import models
from jaxssl.augment import policies
from jaxssl.data import ImageData
from jaxssl.methods.context_prediction import ContextPrediction
from jaxssl.runs.recipe import Recipe
from jaxssl.training.config import RunConfig, TrainingConfig
from jaxssl.training.optimizers import OptimizerConfig


def get_config() -> Recipe:
    """The recipe."""
    return Recipe(
        method=ContextPrediction(
            augment=policies.CropFlip(size=64, crop_scale=(0.5, 1.0), flip_prob=0.0),
            patch_size=16,
            gap=4,
            jitter=2,
            resample_side=4,
            hidden_width=256,
        ),
        encoder=models.ResNetConfig(
            depth=18, width_multiplier=0.25, stem="imagenet", mean=(0.5,), std=(0.25,)
        ),
        data=ImageData(path="photographs", image_size=64, channels=3),
        optimizer=OptimizerConfig(base_learning_rate=2e-3, weight_decay=0.05, warmup_epochs=0.2),
        training=TrainingConfig(batch_size=256, epochs=4),
        run=RunConfig(log_every=20, checkpoint_every=200),
    )
