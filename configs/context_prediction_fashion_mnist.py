"""Context prediction on Fashion-MNIST with a quarter-width ResNet-18.

Command: jaxssl pretrain context_prediction_fashion_mnist --out runs/context_prediction
On an accelerator, the full-size encoder: add --encoder.width-multiplier 1
Result: see the table in README.md; some 2 minutes on one CPU core.
Source: Doersch et al. 2015 (arXiv 1505.05192), scaled to patches of 7 pixels, gaps of 2 and jitter
1; no colours to drop. AdamW and a few epochs instead of the paper's SGD and weeks.
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
            augment=policies.CropFlip(size=28, crop_scale=(0.5, 1.0)),
            patch_size=7,
            gap=2,
            jitter=1,
            color="none",
            resample_side=4,
            hidden_width=256,
        ),
        encoder=models.ResNetConfig(
            depth=18, width_multiplier=0.25, stem="imagenet", mean=(0.286,), std=(0.353,)
        ),
        data=ImageData(path="fashion-mnist", image_size=28, channels=1),
        optimizer=OptimizerConfig(base_learning_rate=2e-3, weight_decay=0.05, warmup_epochs=0.2),
        training=TrainingConfig(batch_size=256, epochs=6),
        run=RunConfig(log_every=20, checkpoint_every=200),
    )
