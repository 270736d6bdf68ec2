"""SwAV on Fashion-MNIST with a quarter-width ResNet-18.

Command: jaxssl pretrain swav_fashion_mnist --out runs/swav
On an accelerator, the full-size encoder: add --encoder.width-multiplier 1
Result: see the table in docs/results.md.
Source: Caron et al. 2020 (arXiv 2006.09882) and the authors' scripts; multi-crop as there, four
local views instead of six, and blocks that begin with all of their BatchNorm scales at 1. Changed
for clothes that are centred, and for minutes of CPU: crops keep a larger part of the image, without
blur; the ImageNet stem, though images are small, because it makes a step eight times cheaper here;
AdamW instead of LARS, which wants batches in the thousands. Changed for 468 steps: 256 prototypes
for 10 classes, frozen for a tenth of an epoch; a queue of 1,024 from half an epoch on, when
features change less from step to step.
"""

from jaxssl.augment import policies
from jaxssl.methods.swav import SwAV
from jaxssl.recipes import _fashion_mnist as shared
from jaxssl.runs.recipe import Recipe


def get_config() -> Recipe:
    """The recipe."""
    return Recipe(
        method=SwAV(
            augment=policies.swav(
                size=28,
                crop_scale=(0.4, 1.0),
                jitter_strength=0.5,
                blur_prob=0.0,
                local_size=16,
                num_local=4,
                local_crop_scale=(0.15, 0.4),
            ),
            num_prototypes=256,
            projector_width=512,
            projector_dim=128,
            freeze_epochs=0.1,
            queue_size=1024,
            queue_epochs=0.5,
        ),
        encoder=shared.RESNET_OPEN,
        data=shared.DATA,
        optimizer=shared.OPTIMIZER,
        training=shared.TRAINING,
        run=shared.RUN,
    )
