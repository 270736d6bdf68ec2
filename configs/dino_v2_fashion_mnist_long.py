"""DINOv2 on Fashion-MNIST for twenty minutes, with a small ViT.

Command: jaxssl pretrain dino_v2_fashion_mnist_long --out runs/dino_v2_long
On an accelerator, the full-size encoder: add --encoder.size S
Result: see the table in docs/results.md.
Source: Oquab et al. 2023 (arXiv 2304.07193): see dino_v2_fashion_mnist. A higher momentum of the
teacher, and four passes over the images.
"""

import dataclasses

from jaxssl.recipes import _fashion_mnist as shared
from jaxssl.recipes import dino_v2_fashion_mnist
from jaxssl.runs.recipe import Recipe


def get_config() -> Recipe:
    """The recipe."""
    short = dino_v2_fashion_mnist.get_config()
    return dataclasses.replace(
        short,
        method=dataclasses.replace(short.method, teacher_momentum=0.996, freeze_epochs=0.5),
        optimizer=dataclasses.replace(short.optimizer, warmup_epochs=1),
        training=dataclasses.replace(short.training, epochs=4),
        run=shared.RUN_LONG,
    )
