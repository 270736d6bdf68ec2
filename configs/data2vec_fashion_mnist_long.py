"""data2vec on Fashion-MNIST for a quarter of an hour, with a small ViT of 16 patches.

Command: jaxssl pretrain data2vec_fashion_mnist_long --out runs/data2vec_long
On an accelerator, the full-size encoder: add --encoder.size S
Result: see the table in docs/results.md.
Source: Baevski et al. 2022 (arXiv 2202.03555): mask ratio, beta, clipping, weight decay and the
factors of the branches are the authors'. Changed for minutes of CPU: patches of 7 x 7 pixels,
hidden singly, and batches of 64, as in mae_fashion_mnist_long; layers and crops as in
data2vec_fashion_mnist.
"""

import dataclasses

from jaxssl.recipes import _fashion_mnist as shared
from jaxssl.recipes import data2vec_fashion_mnist
from jaxssl.runs.recipe import Recipe
from jaxssl.training.config import RunConfig, TrainingConfig


def get_config() -> Recipe:
    """The recipe."""
    short = data2vec_fashion_mnist.get_config()
    return dataclasses.replace(
        short,
        method=dataclasses.replace(short.method, min_block=1, teacher_momentum=0.999),
        encoder=dataclasses.replace(short.encoder, patch_size=7),
        optimizer=dataclasses.replace(shared.OPTIMIZER_LONG, clip_norm=3.0),
        training=TrainingConfig(batch_size=64, epochs=8),
        run=RunConfig(log_every=200, checkpoint_every=4000),
    )
