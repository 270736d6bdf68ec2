"""I-JEPA on Fashion-MNIST for a quarter of an hour, with a small ViT of 16 patches.

Command: jaxssl pretrain ijepa_fashion_mnist_long --out runs/ijepa_long
On an accelerator, the full-size encoder: add --encoder.size S
Result: see the table in docs/results.md.
Source: Assran et al. 2023 (arXiv 2301.08243): blocks, crop, weight decay and the line of the
target's momentum are the authors'. Everything else as in ijepa_fashion_mnist, five times as long.
"""

import dataclasses

from jaxssl.recipes import ijepa_fashion_mnist
from jaxssl.runs.recipe import Recipe
from jaxssl.training.config import RunConfig, TrainingConfig


def get_config() -> Recipe:
    """The recipe."""
    short = ijepa_fashion_mnist.get_config()
    return dataclasses.replace(
        short,
        optimizer=dataclasses.replace(short.optimizer, warmup_epochs=1),
        training=TrainingConfig(batch_size=64, epochs=20),
        run=RunConfig(log_every=200, checkpoint_every=4000),
    )
