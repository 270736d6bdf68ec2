"""DCL on Fashion-MNIST.

Command: jaxssl pretrain dcl_fashion_mnist --out runs/dcl
On an accelerator, the full-size encoder: add --encoder.width-multiplier 1
Result: see the table in docs/results.md.
Source: Yeh et al. 2021 (arXiv 2110.06848). Changed for clothes that are centred, and for minutes
of CPU: the views, encoder and optimizer of simclr_fashion_mnist, so that methods compare at equal
steps.
"""

from jaxssl import models
from jaxssl.augment import policies
from jaxssl.data import ImageData
from jaxssl.methods.dcl import DCL
from jaxssl.runs.recipe import Recipe
from jaxssl.training.config import RunConfig, TrainingConfig
from jaxssl.training.optimizers import OptimizerConfig


def get_config() -> Recipe:
    """The recipe."""
    return Recipe(
        method=DCL(
            augment=policies.simclr(
                size=28, crop_scale=(0.4, 1.0), jitter_strength=0.5, blur_prob=0.0
            ),
            temperature=0.2,
            projector_width=512,
            projector_dim=128,
        ),
        encoder=models.ResNetConfig(
            depth=18, width_multiplier=0.25, stem="imagenet", mean=(0.286,), std=(0.353,)
        ),
        data=ImageData(path="fashion-mnist", image_size=28, channels=1),
        optimizer=OptimizerConfig(base_learning_rate=2e-3, weight_decay=0.05, warmup_epochs=0.2),
        training=TrainingConfig(batch_size=256, epochs=2),
        run=RunConfig(log_every=20, checkpoint_every=100),
    )
