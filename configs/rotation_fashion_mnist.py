"""Rotation prediction on Fashion-MNIST with a half-width ResNet-10 of two stages.

Command: jaxssl pretrain rotation_fashion_mnist --out runs/rotation
On an accelerator, the full-size encoder: add --encoder.depth 18
--encoder.width-multiplier 1 --encoder.num-stages 4
All four turns of every image in the batch, as in the paper: add --method.copies four (four times
the work a step).
Result: see the tables in README.md and docs/results.md; three minutes on two CPU cores.
Source: Gidaris et al. 2018 (arXiv 1803.07728), one random quarter turn an image. AdamW and a few
epochs instead of the paper's SGD and hundreds; the ImageNet stem because it is cheap. Two stages,
because the features that help most come early in a network that is told so little; chosen in runs
of minutes on nine tenths of the training images, judged on the tenth.
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
        encoder=models.ResNetConfig(
            depth=10, width_multiplier=0.5, num_stages=2, mean=(0.286,), std=(0.353,)
        ),
        data=ImageData(path="fashion-mnist", image_size=28, channels=1),
        optimizer=OptimizerConfig(base_learning_rate=2e-3, weight_decay=0.05, warmup_epochs=0.5),
        training=TrainingConfig(batch_size=256, epochs=10),
        run=RunConfig(log_every=20, checkpoint_every=200),
    )
