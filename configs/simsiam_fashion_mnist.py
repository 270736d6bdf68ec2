"""SimSiam on Fashion-MNIST.

Command: jaxssl pretrain simsiam_fashion_mnist --out runs/simsiam
On an accelerator, the full-size encoder: add --encoder.width-multiplier 1
Result: see the table in docs/results.md.
Source: Chen, He 2020 (arXiv 2011.10566); the predictor keeps its learning rate after warm-up, as in
the authors' command (--fix-pred-lr). Changed for clothes that are centred, and for minutes of CPU:
the views, encoder and optimizer of simclr_fashion_mnist, so that methods compare at equal steps; a
narrower projector, with the paper's ratio of predictor to projector.
"""

from jaxssl import models
from jaxssl.augment import policies
from jaxssl.data import ImageData
from jaxssl.methods.simsiam import SimSiam
from jaxssl.runs.recipe import Recipe
from jaxssl.training.config import RunConfig, TrainingConfig
from jaxssl.training.optimizers import OptimizerConfig


def get_config() -> Recipe:
    """The recipe."""
    return Recipe(
        method=SimSiam(
            augment=policies.moco_v2(size=28, crop_scale=(0.4, 1.0), blur_prob=0.0),
            projector_width=512,
            projector_dim=512,
            predictor_width=128,
        ),
        encoder=models.ResNetConfig(
            depth=18, width_multiplier=0.25, stem="imagenet", mean=(0.286,), std=(0.353,)
        ),
        data=ImageData(path="fashion-mnist", image_size=28, channels=1),
        optimizer=OptimizerConfig(
            base_learning_rate=2e-3,
            weight_decay=0.05,
            warmup_epochs=0.2,
            constant_rate=("predictor",),
        ),
        training=TrainingConfig(batch_size=256, epochs=2),
        run=RunConfig(log_every=20, checkpoint_every=100),
    )
