"""Rotation prediction on Fashion-MNIST for ten minutes, with a ResNet-10 of two stages.

Command: jaxssl pretrain rotation_fashion_mnist_long --out runs/rotation_long
On an accelerator, the full-size encoder: add --encoder.depth 18 --encoder.num-stages 4
Result: see the table in docs/results.md; some 10 minutes on two CPU cores.
Source: Gidaris et al. 2018 (arXiv 1803.07728), one random quarter turn an image. Changed as in
rotation_fashion_mnist, with the encoder of simclr_fashion_mnist_long. Chosen in runs of minutes on
nine tenths of the training images, judged on the tenth; the test images had no say.
"""

from jaxssl import models
from jaxssl.augment import policies
from jaxssl.data import ImageData
from jaxssl.methods.rotation import Rotation
from jaxssl.runs.recipe import Recipe
from jaxssl.training.config import RunConfig, TrainingConfig
from jaxssl.training.optimizers import OptimizerConfig


def get_config() -> Recipe:
    """The recipe."""
    return Recipe(
        method=Rotation(augment=policies.CropFlip(size=28, crop_scale=(0.5, 1.0))),
        encoder=models.ResNetConfig(depth=10, num_stages=2, mean=(0.286,), std=(0.353,)),
        data=ImageData(path="fashion-mnist", image_size=28, channels=1),
        optimizer=OptimizerConfig(base_learning_rate=2e-3, weight_decay=0.05, warmup_epochs=1),
        training=TrainingConfig(batch_size=256, epochs=20),
        run=RunConfig(log_every=50, checkpoint_every=1000),
    )
