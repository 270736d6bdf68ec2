"""Contrastive predictive coding on Fashion-MNIST with a small ViT.

Command: jaxssl pretrain cpc_fashion_mnist --out runs/cpc
On an accelerator, the full-size encoder: add --encoder.size S --encoder.width 384
Source: van den Oord et al. 2018 (arXiv 1807.03748), options of Henaff et al. 2019 (arXiv
1905.09272).
"""

from jaxssl import models
from jaxssl.augment import recipes
from jaxssl.data import DataConfig
from jaxssl.methods.cpc import CPC
from jaxssl.recipe import Recipe
from jaxssl.training.loop import RunConfig, TrainingConfig
from jaxssl.training.optimizers import OptimizerConfig


def get_config() -> Recipe:
    """The recipe."""
    return Recipe(
        method=CPC(
            augment=recipes.CropFlip(size=28, crop_scale=(0.5, 1.0)),
            patch_size=8,
            stride=4,
            patch_crop=0,
            min_offset=2,
            max_offset=3,
            layer_norm=True,
            target_dim=64,
            prediction_scale=0.1,
            context_width=64,
            context_depth=3,
        ),
        encoder=models.ViTConfig(
            width=64,
            depth=4,
            num_heads=2,
            patch_size=4,
            pool="mean",
            position="learned",
            mean=(0.286,),
            std=(0.353,),
        ),
        data=DataConfig(path="fashion-mnist", image_size=28, channels=1),
        optimizer=OptimizerConfig(base_learning_rate=2e-3, weight_decay=0.05, warmup_epochs=0.1),
        training=TrainingConfig(batch_size=128, epochs=0.5),
        run=RunConfig(log_every=20, checkpoint_every=200),
    )
