"""CLIP on Fashion-MNIST with captions, by a quarter-width ResNet-18 and a small text transformer.

Command: jaxssl pretrain clip_fashion_mnist --out runs/clip
Then: jaxssl zero-shot runs/clip
Result: see docs/results.md; some 2 minutes on two CPU cores.
Source: Radford et al. 2021 (arXiv 2103.00020). Captions are made of the names of the classes, so
that they are labels in disguise: the recipe shows that the parts work, and is none of the
self-supervised ones. Changed for small images and minutes of CPU: bytes instead of word pieces,
crops of half the image and more, batches of 256, where many other pairs have the same caption; a
rate four times as high.
"""

from jaxssl.methods.clip import CLIP
from jaxssl.recipes import _fashion_mnist as shared
from jaxssl.runs.recipe import Recipe


def get_config() -> Recipe:
    """The recipe."""
    return Recipe(
        method=CLIP(augment=shared.CROP_FLIP),
        encoder=shared.DUAL,
        data=shared.PAIRS,
        optimizer=shared.OPTIMIZER,
        training=shared.TRAINING,
        run=shared.RUN,
    )
