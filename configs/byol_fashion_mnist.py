"""BYOL on Fashion-MNIST.

Command: jaxssl pretrain byol_fashion_mnist --out runs/byol
On an accelerator, the full-size encoder: add --encoder.width-multiplier 1
Result: see the table in docs/results.md.
Source: Grill et al. 2020 (arXiv 2006.07733). Changed for clothes that are centred, and for
minutes of CPU: the views, encoder and optimizer of simclr_fashion_mnist, so that methods compare
at equal steps; a target that follows faster, since it has 468 steps to do so.
"""

from jaxssl import models
from jaxssl.augment import policies
from jaxssl.data import ImageData
from jaxssl.methods.byol import BYOL
from jaxssl.runs.recipe import Recipe
from jaxssl.training.config import RunConfig, TrainingConfig
from jaxssl.training.optimizers import OptimizerConfig


def get_config() -> Recipe:
    """The recipe."""
    return Recipe(
        method=BYOL(
            augment=policies.byol(
                size=28,
                crop_scale=(0.4, 1.0),
                blur_prob=0.0,
                solarize_prob=0.0,
                interpolation="linear",
            ),
            target_momentum=0.97,
            projector_width=512,
            projector_dim=128,
            predictor_width=512,
        ),
        encoder=models.ResNetConfig(
            depth=18, width_multiplier=0.25, stem="imagenet", mean=(0.286,), std=(0.353,)
        ),
        data=ImageData(path="fashion-mnist", image_size=28, channels=1),
        optimizer=OptimizerConfig(base_learning_rate=2e-3, weight_decay=0.05, warmup_epochs=0.2),
        training=TrainingConfig(batch_size=256, epochs=2),
        run=RunConfig(log_every=20, checkpoint_every=100),
    )
