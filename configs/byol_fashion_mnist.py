"""BYOL on Fashion-MNIST.

Command: jaxssl pretrain byol_fashion_mnist --out runs/byol
On an accelerator, the full-size encoder: add --encoder.width-multiplier 1
Result: see the table in docs/results.md.
Source: Grill et al. 2020 (arXiv 2006.07733). Changed for clothes that are centred, and for minutes
of CPU: the encoder and optimizer of simclr_fashion_mnist at equal steps, so that methods compare,
though its crops are smaller; a target that follows faster, since it has 468 steps to do so.
"""

from jaxssl.methods.byol import BYOL
from jaxssl.recipes import _fashion_mnist as shared
from jaxssl.runs.recipe import Recipe


def get_config() -> Recipe:
    """The recipe."""
    return Recipe(
        method=BYOL(
            augment=shared.BYOL_VIEWS,
            target_momentum=0.97,
            projector_width=512,
            projector_dim=128,
            predictor_width=512,
        ),
        encoder=shared.RESNET,
        data=shared.DATA,
        optimizer=shared.OPTIMIZER,
        training=shared.TRAINING,
        run=shared.RUN,
    )
