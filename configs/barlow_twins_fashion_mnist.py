"""Barlow Twins on Fashion-MNIST.

Command: jaxssl pretrain barlow_twins_fashion_mnist --out runs/barlow_twins
On an accelerator, the full-size encoder: add --encoder.width-multiplier 1
Result: see the table in docs/results.md.
Source: Zbontar et al. 2021 (arXiv 2103.03230). Changed for clothes that are centred, and for
minutes of CPU: the views, encoder and optimizer of simclr_fashion_mnist, so that methods compare
at equal steps; a narrower projector.
"""

from jaxssl import models
from jaxssl.augment import policies
from jaxssl.data import ImageData
from jaxssl.methods.barlow_twins import BarlowTwins
from jaxssl.runs.recipe import Recipe
from jaxssl.training.config import RunConfig, TrainingConfig
from jaxssl.training.optimizers import OptimizerConfig


def get_config() -> Recipe:
    """The recipe."""
    return Recipe(
        method=BarlowTwins(
            augment=policies.byol(
                size=28,
                crop_scale=(0.4, 1.0),
                blur_prob=0.0,
                solarize_prob=0.0,
                interpolation="linear",
            ),
            projector_width=512,
            projector_dim=512,
        ),
        encoder=models.ResNetConfig(
            depth=18, width_multiplier=0.25, stem="imagenet", mean=(0.286,), std=(0.353,)
        ),
        data=ImageData(path="fashion-mnist", image_size=28, channels=1),
        optimizer=OptimizerConfig(base_learning_rate=2e-3, weight_decay=0.05, warmup_epochs=0.2),
        training=TrainingConfig(batch_size=256, epochs=2),
        run=RunConfig(log_every=20, checkpoint_every=100),
    )
