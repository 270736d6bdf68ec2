"""Masked autoencoder on Fashion-MNIST for ten minutes, with a small ViT of 16 patches.

Command: jaxssl pretrain mae_fashion_mnist_long --out runs/mae_long
On an accelerator, the full-size encoder: add --encoder.size S
Result: see the table in docs/results.md; some ten minutes on two CPU cores.
Source: He et al. 2021 (arXiv 2111.06377): mask ratio, crop, flip, AdamW betas and weight decay are
the paper's. Changed for minutes of CPU: patches of 7 x 7 pixels, of which the encoder sees four, so
that an image costs less than half of what it does in mae_fashion_mnist; and batches of 64, since it
is the number of steps that counts. Chosen in runs of minutes on nine tenths of the training images,
judged on the tenth; the test images had no say.
"""

import dataclasses

from jaxssl.augment import policies
from jaxssl.methods.mae import MAE
from jaxssl.recipes import _fashion_mnist as shared
from jaxssl.runs.recipe import Recipe
from jaxssl.training.config import RunConfig, TrainingConfig


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
        encoder=dataclasses.replace(shared.VIT, pool="mean"),
        data=shared.DATA,
        optimizer=dataclasses.replace(shared.OPTIMIZER_LONG, base_learning_rate=4e-3, beta2=0.95),
        training=TrainingConfig(batch_size=64, epochs=30),
        run=RunConfig(log_every=200, checkpoint_every=4000),
    )
