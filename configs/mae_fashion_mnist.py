"""Masked autoencoder on Fashion-MNIST with a small ViT.

Command: jaxssl pretrain mae_fashion_mnist --out runs/mae
On an accelerator, the full-size encoder: add --encoder.size S
Result: see the table in README.md; some 4 minutes on one CPU core.
Source: He et al. 2021 (arXiv 2111.06377): mask ratio, crop, flip, AdamW betas and weight decay are
the paper's; decoder and warm-up are scaled to 49 patches of 4 x 4 pixels and a few epochs.
"""

from jaxssl import models
from jaxssl.augment import policies
from jaxssl.data import ImageData
from jaxssl.methods.mae import MAE
from jaxssl.runs.recipe import Recipe
from jaxssl.training.config import RunConfig, TrainingConfig
from jaxssl.training.optimizers import OptimizerConfig


def get_config() -> Recipe:
    """The recipe."""
    return Recipe(
        method=MAE(
            augment=policies.mae(size=28),
            mask_ratio=0.75,
            decoder_width=64,
            decoder_depth=1,
            decoder_heads=4,
        ),
        encoder=models.ViTConfig(
            size="Nano", patch_size=4, pool="mean", mean=(0.286,), std=(0.353,)
        ),
        data=ImageData(path="fashion-mnist", image_size=28, channels=1),
        optimizer=OptimizerConfig(
            base_learning_rate=2e-3, weight_decay=0.05, beta2=0.95, warmup_epochs=0.2
        ),
        training=TrainingConfig(batch_size=256, epochs=2),
        run=RunConfig(log_every=20, checkpoint_every=100),
    )
