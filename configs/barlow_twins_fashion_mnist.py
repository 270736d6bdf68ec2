"""Barlow Twins on Fashion-MNIST.

Command: jaxssl pretrain barlow_twins_fashion_mnist --out runs/barlow_twins
On an accelerator, the full-size encoder: add --encoder.width-multiplier 1
Result: see the table in docs/results.md.
Source: Zbontar et al. 2021 (arXiv 2103.03230). Changed for clothes that are centred, and for
minutes of CPU: the encoder and optimizer of simclr_fashion_mnist at equal steps, so that methods
compare, though its crops are smaller; a narrower projector.
"""

from jaxssl.methods.barlow_twins import BarlowTwins
from jaxssl.recipes import _fashion_mnist as shared
from jaxssl.runs.recipe import Recipe


def get_config() -> Recipe:
    """The recipe."""
    return Recipe(
        method=BarlowTwins(augment=shared.BYOL_VIEWS, projector_width=512, projector_dim=512),
        encoder=shared.RESNET,
        data=shared.DATA,
        optimizer=shared.OPTIMIZER,
        training=shared.TRAINING,
        run=shared.RUN,
    )
