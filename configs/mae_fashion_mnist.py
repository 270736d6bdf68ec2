"""Masked autoencoder on Fashion-MNIST with a small ViT.

Command: jaxssl pretrain mae_fashion_mnist --out runs/mae
On an accelerator, the full-size encoder: add --encoder.size S
Result: see the table in docs/results.md; some 4 minutes on one CPU core.
Source: He et al. 2021 (arXiv 2111.06377): mask ratio, crop, flip, AdamW betas and weight decay are
the paper's; decoder and warm-up are scaled to 16 patches of 7 x 7 pixels, of which the encoder
sees four, to batches of 64 and to 4 epochs.
"""

import dataclasses

from jaxssl.augment import policies
from jaxssl.methods.mae import MAE
from jaxssl.recipes import _fashion_mnist as shared
from jaxssl.runs.recipe import Recipe


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
        encoder=shared.VIT_PATCHES,
        data=shared.DATA,
        optimizer=dataclasses.replace(shared.OPTIMIZER_MASKED, beta2=0.95),
        training=shared.TRAINING_MASKED,
        run=shared.RUN_MASKED,
    )
