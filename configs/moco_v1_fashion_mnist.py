"""MoCo v1 on Fashion-MNIST.

Command: jaxssl pretrain moco_v1_fashion_mnist --out runs/moco_v1
On an accelerator, the full-size encoder: add --encoder.width-multiplier 1
Result: see the table in docs/results.md.
Source: He et al. 2019 (arXiv 1911.05722): linear projector, jitter always and temperature are the
paper's, blocks that begin with all of their BatchNorm scales at 1 the code's. Changed for clothes
that are centred, and for minutes of CPU: crops, encoder and optimizer of simclr_fashion_mnist, so
that methods compare at equal steps; a queue of 16 batches, and a momentum encoder that follows
faster, since it has 468 steps to do so; keys normalised by their batch, which does better in so few
steps than moving averages (MoCo v2: kNN 77 % and 76 %).
"""

from jaxssl.augment import policies
from jaxssl.methods.moco_v1 import MoCoV1
from jaxssl.recipes import _fashion_mnist as shared
from jaxssl.runs.recipe import Recipe


def get_config() -> Recipe:
    """The recipe."""
    return Recipe(
        method=MoCoV1(
            augment=policies.moco_v1(size=28, crop_scale=(0.4, 1.0)),
            temperature=0.07,
            queue_size=4096,
            target_momentum=0.97,
            key_statistics="batch",
            projector_dim=128,
        ),
        encoder=shared.RESNET_OPEN,
        data=shared.DATA,
        optimizer=shared.OPTIMIZER,
        training=shared.TRAINING,
        run=shared.RUN,
    )
