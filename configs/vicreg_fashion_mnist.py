"""VICReg on Fashion-MNIST.

Command: jaxssl pretrain vicreg_fashion_mnist --out runs/vicreg
On an accelerator, the full-size encoder: add --encoder.width-multiplier 1
Result: see the table in docs/results.md.
Source: Bardes et al. 2021 (arXiv 2105.04906). Changed for clothes that are centred, and for minutes
of CPU: the encoder and optimizer of simclr_fashion_mnist at equal steps, so that methods compare,
though its crops are smaller; a narrower expander.
"""

from jaxssl.methods.vicreg import VICReg
from jaxssl.recipes import _fashion_mnist as shared
from jaxssl.runs.recipe import Recipe


def get_config() -> Recipe:
    """The recipe."""
    return Recipe(
        method=VICReg(augment=shared.BYOL_VIEWS, projector_width=512, projector_dim=512),
        encoder=shared.RESNET,
        data=shared.DATA,
        optimizer=shared.OPTIMIZER,
        training=shared.TRAINING,
        run=shared.RUN,
    )
