"""DINO on a folder of photos of 224 pixels, with a ViT-S/16.

Command: jaxssl pretrain photos_dino --out runs/photos --data.path my_photos/
Result: none is claimed, since it depends on the photos. For an accelerator; on a CPU take smaller
images and a smaller network, as docs/training.md shows.
Source: Caron et al. 2021 (arXiv 2104.14294), and main_dino.py of the authors: two global and eight
local crops, prototypes, temperatures, centre, momentum, stochastic depth, AdamW with a decay that
rises from 0.04 to 0.4, each layer's gradient clipped at 3, 10 epochs of warm-up of 100.
Changed: the batch of 1,024 where a device holds it. With many steps and a small batch the authors
advise a slower teacher: --method.teacher-momentum 0.9995 for 256.
"""

import dataclasses

from jaxssl import models
from jaxssl.augment import policies
from jaxssl.methods.dino import DINO
from jaxssl.recipes import _photos as shared
from jaxssl.runs.recipe import Recipe
from jaxssl.training.optimizers import OptimizerConfig


def get_config() -> Recipe:
    """The recipe."""
    return Recipe(
        method=DINO(augment=policies.dino(size=shared.SIZE), drop_path=0.1),
        encoder=models.ViTConfig(
            size="S", patch_size=16, position="learned", initialization="dino"
        ),
        data=shared.DATA,
        optimizer=OptimizerConfig(
            base_learning_rate=5e-4,
            weight_decay=0.04,
            final_weight_decay=0.4,
            clip_each=3.0,
            warmup_epochs=10,
            final_fraction=5e-4,  # 1e-6 of the 2e-3 of a batch of 1,024
        ),
        training=shared.TRAINING,
        fit=dataclasses.replace(shared.FIT, max_batch=1024),
    )
