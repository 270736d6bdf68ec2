"""SimCLR on Fashion-MNIST with a quarter-width ResNet-18.

Command: jaxssl pretrain simclr_fashion_mnist --out runs/simclr
On an accelerator, the full-size encoder: add --encoder.width-multiplier 1
Result: see the table in README.md; some 4 minutes on one CPU core.
Source: Chen et al. 2020 (arXiv 2002.05709); jitter strength and missing blur from its CIFAR-10
experiments (appendix B.9). Changed for clothes that are centred, and for minutes of CPU: crops keep
a larger part of the image; the ImageNet stem, though images are small, because it makes a step
eight times cheaper here; AdamW instead of LARS, which wants batches in the thousands.
"""

from jaxssl import models
from jaxssl.augment import policies
from jaxssl.data import ImageData
from jaxssl.methods.simclr import SimCLR
from jaxssl.runs.recipe import Recipe
from jaxssl.training.config import RunConfig, TrainingConfig
from jaxssl.training.optimizers import OptimizerConfig


def get_config() -> Recipe:
    """The recipe."""
    return Recipe(
        method=SimCLR(
            augment=policies.simclr(
                size=28, crop_scale=(0.25, 1.0), jitter_strength=0.6, blur_prob=0.0
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
