"""DCLW on Fashion-MNIST.

Command: jaxssl pretrain dclw_fashion_mnist --out runs/dclw
On an accelerator, the full-size encoder: add --encoder.width-multiplier 1
Result: see the table in docs/results.md.
Source: Yeh et al. 2021 (arXiv 2110.06848). Changed for clothes that are centred, and for minutes of
CPU: the encoder and optimizer of simclr_fashion_mnist at equal steps, so that methods compare,
though its crops are smaller.
"""

from jaxssl.methods.dcl import DCLW
from jaxssl.recipes import _fashion_mnist as shared
from jaxssl.runs.recipe import Recipe


def get_config() -> Recipe:
    """The recipe."""
    return Recipe(
        method=DCLW(
            augment=shared.SIMCLR_VIEWS, temperature=0.2, projector_width=512, projector_dim=128
        ),
        encoder=shared.RESNET,
        data=shared.DATA,
        optimizer=shared.OPTIMIZER,
        training=shared.TRAINING,
        run=shared.RUN,
    )
