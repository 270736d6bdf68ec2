"""MAE on a folder of photos of 224 pixels, with a ViT-S/16.

Command: jaxssl pretrain photos_mae --out runs/photos --data.path my_photos/
Result: none is claimed, since it depends on the photos. For an accelerator; on a CPU take smaller
images and a smaller network, as docs/training.md shows.
Source: He et al. 2021 (arXiv 2111.06377), table 8, main_pretrain.py and PRETRAIN.md of the authors:
mask ratio, decoder, normalised targets, crop, AdamW, rate, decay, 40 epochs of warm-up of 800.
Changed: ViT-S for ViT-B and larger; the batch of 4,096 where a device holds it.
"""

import dataclasses

from jaxssl import models
from jaxssl.augment import policies
from jaxssl.methods.mae import MAE
from jaxssl.recipes import _photos as shared
from jaxssl.runs.recipe import Recipe
from jaxssl.training.optimizers import OptimizerConfig


def get_config() -> Recipe:
    """The recipe."""
    return Recipe(
        method=MAE(augment=policies.mae(size=shared.SIZE)),
        encoder=models.ViTConfig(size="S", patch_size=16),
        data=shared.DATA,
        optimizer=OptimizerConfig(
            base_learning_rate=1.5e-4, weight_decay=0.05, beta2=0.95, warmup_epochs=40
        ),
        training=dataclasses.replace(shared.TRAINING, epochs=800),
        fit=shared.FIT,
    )
