"""An autoencoder on Fashion-MNIST with a quarter-width ResNet-18.

Command: jaxssl pretrain autoencoder_fashion_mnist --out runs/autoencoder
On an accelerator, the full-size encoder: add --encoder.width-multiplier 1
Result: see the table in README.md; some 4 minutes on one CPU core.
Source: Hinton and Salakhutdinov 2006: the bottleneck of 30. Encoder, decoder, crop, flip and
optimizer are those of the other recipes here, where the paper stacks fully connected layers.
"""

from jaxssl import models
from jaxssl.augment import policies
from jaxssl.data import ImageData
from jaxssl.methods.autoencoder import Autoencoder
from jaxssl.runs.recipe import Recipe
from jaxssl.training.config import RunConfig, TrainingConfig
from jaxssl.training.optimizers import OptimizerConfig


def get_config() -> Recipe:
    """The recipe."""
    return Recipe(
        method=Autoencoder(
            augment=policies.CropFlip(size=28, crop_scale=(0.5, 1.0)),
            bottleneck_dim=30,
            decoder_width=8,
        ),
        encoder=models.ResNetConfig(
            depth=18, width_multiplier=0.25, stem="imagenet", mean=(0.286,), std=(0.353,)
        ),
        data=ImageData(path="fashion-mnist", image_size=28, channels=1),
        optimizer=OptimizerConfig(base_learning_rate=2e-3, weight_decay=0.05, warmup_epochs=0.2),
        training=TrainingConfig(batch_size=256, epochs=2),
        run=RunConfig(log_every=20, checkpoint_every=200),
    )
