"""W-MSE on Fashion-MNIST.

Command: jaxssl pretrain wmse_fashion_mnist --out runs/wmse
On an accelerator, the full-size encoder: add --encoder.width-multiplier 1
Result: see the table in docs/results.md.
Source: Ermolov et al. 2020 (arXiv 2007.06346); blocks begin with all of their BatchNorm scales at
1, as in the authors' code. Changed for clothes that are centred, and for minutes of CPU: the
encoder and optimizer of simclr_fashion_mnist at equal steps, so that methods compare, though its
crops are smaller, and a quarter of its CIFAR-10 sizes (64 features in parts of 128 images), with
which it hardly learns in so few steps. Parts stay twice the features, as there: in larger ones the
rank of the encoder's features fell to 1.5.
"""

from jaxssl.methods.wmse import WMSE
from jaxssl.recipes import _fashion_mnist as shared
from jaxssl.runs.recipe import Recipe


def get_config() -> Recipe:
    """The recipe."""
    return Recipe(
        method=WMSE(
            augment=shared.SIMCLR_VIEWS,
            whitening_size=32,
            num_divisions=1,
            projector_width=512,
            projector_dim=16,
        ),
        encoder=shared.RESNET_OPEN,
        data=shared.DATA,
        optimizer=shared.OPTIMIZER,
        training=shared.TRAINING,
        run=shared.RUN,
    )
