"""Masked autoencoder on Fashion-MNIST for ten minutes, with a small ViT of 16 patches.

Command: jaxssl pretrain mae_fashion_mnist_long --out runs/mae_long
On an accelerator, the full-size encoder: add --encoder.size S
Result: see the table in docs/results.md; some ten minutes on two CPU cores.
Source: He et al. 2021 (arXiv 2111.06377): mask ratio, crop, flip, AdamW betas and weight decay are
the paper's. Changed for minutes of CPU: patches of 7 x 7 pixels, of which the encoder sees four;
and batches of 64, since it is the number of steps that counts. Chosen in runs of minutes on nine
tenths of the training images, judged on the tenth; the test images had no say.
"""

import dataclasses

from jaxssl.recipes import mae_fashion_mnist
from jaxssl.runs.recipe import Recipe
from jaxssl.training.config import RunConfig


def get_config() -> Recipe:
    """The recipe."""
    short = mae_fashion_mnist.get_config()
    return dataclasses.replace(
        short,
        optimizer=dataclasses.replace(short.optimizer, warmup_epochs=1),
        training=dataclasses.replace(short.training, epochs=30),
        run=RunConfig(log_every=200, checkpoint_every=4000),
    )
