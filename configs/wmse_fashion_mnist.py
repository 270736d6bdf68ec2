"""W-MSE on Fashion-MNIST.

Command: jaxssl pretrain wmse_fashion_mnist --out runs/wmse
On an accelerator, the full-size encoder: add --encoder.width-multiplier 1
Result: see the table in docs/results.md.
Source: Ermolov et al. 2020 (arXiv 2007.06346); blocks begin with all of their BatchNorm scales at
1, as in the authors' code. Changed for clothes that are centred, and for minutes of CPU: the views,
encoder and optimizer of simclr_fashion_mnist, so that methods compare at equal steps, and a quarter
of its CIFAR-10 sizes (64 features in parts of 128 images), with which it hardly learns in so few
steps. Parts stay twice the features, as there: in larger ones the rank of the encoder's features
fell to 1.5.
"""

from jaxssl import models
from jaxssl.augment import policies
from jaxssl.data import ImageData
from jaxssl.methods.wmse import WMSE
from jaxssl.runs.recipe import Recipe
from jaxssl.training.config import RunConfig, TrainingConfig
from jaxssl.training.optimizers import OptimizerConfig


def get_config() -> Recipe:
    """The recipe."""
    return Recipe(
        method=WMSE(
            augment=policies.simclr(
                size=28, crop_scale=(0.4, 1.0), jitter_strength=0.5, blur_prob=0.0
            ),
            whitening_size=32,
            num_divisions=1,
            projector_width=512,
            projector_dim=16,
        ),
        encoder=models.ResNetConfig(
            depth=18,
            width_multiplier=0.25,
            stem="imagenet",
            zero_init_residual=False,
            mean=(0.286,),
            std=(0.353,),
        ),
        data=ImageData(path="fashion-mnist", image_size=28, channels=1),
        optimizer=OptimizerConfig(base_learning_rate=2e-3, weight_decay=0.05, warmup_epochs=0.2),
        training=TrainingConfig(batch_size=256, epochs=2),
        run=RunConfig(log_every=20, checkpoint_every=100),
    )
