"""NNCLR on Fashion-MNIST.

Command: jaxssl pretrain nnclr_fashion_mnist --out runs/nnclr
On an accelerator, the full-size encoder: add --encoder.width-multiplier 1
Result: see the table in docs/results.md.
Source: Dwibedi et al. 2021 (arXiv 2104.14548). Changed for clothes that are centred, and for
minutes of CPU: the encoder and optimizer of simclr_fashion_mnist at equal steps, so that methods
compare, though its crops are smaller; a queue of 16 batches.
"""

from jaxssl.methods.nnclr import NNCLR
from jaxssl.recipes import _fashion_mnist as shared
from jaxssl.runs.recipe import Recipe


def get_config() -> Recipe:
    """The recipe."""
    return Recipe(
        method=NNCLR(
            augment=shared.SIMCLR_VIEWS,
            temperature=0.2,
            queue_size=4096,
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
