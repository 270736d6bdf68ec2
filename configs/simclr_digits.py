"""SimCLR on scikit-learn's handwritten digits: the smallest real run there is.

Command: jaxssl pretrain simclr_digits --out runs/simclr_digits
Time: half a minute on 2 CPU cores.
"""

from jaxssl import models
from jaxssl.augment import recipes
from jaxssl.data import DataConfig
from jaxssl.methods.simclr import SimCLR
from jaxssl.recipe import Recipe
from jaxssl.training.loop import RunConfig, TrainingConfig
from jaxssl.training.optimizers import OptimizerConfig


def get_config() -> Recipe:
    """The recipe."""
    return Recipe(
        method=SimCLR(
            augment=recipes.SimCLR(size=8, crop_scale=(0.5, 1.0), flip_prob=0.0, blur_prob=0.0),
            temperature=0.2,
            projector_width=256,
            projector_dim=64,
        ),
        encoder=models.ViTConfig(size="Nano", patch_size=2, pool="mean", mean=(0.3,), std=(0.37,)),
        data=DataConfig(path="digits", image_size=8, channels=1),
        optimizer=OptimizerConfig(base_learning_rate=1e-3, warmup_epochs=2),
        training=TrainingConfig(batch_size=256, epochs=60),
        run=RunConfig(log_every=10, checkpoint_every=100),
    )
