"""SigLIP on Fashion-MNIST with captions, by a quarter-width ResNet-18 and a small text transformer.

Command: jaxssl pretrain siglip_fashion_mnist --out runs/siglip
Then: jaxssl zero-shot runs/siglip
Result: see docs/results.md; some 2 minutes on two CPU cores.
Source: Zhai et al. 2023 (arXiv 2303.15343). Captions are made of the names of the classes, so that
they are labels in disguise. Changed as clip_fashion_mnist is.
"""

from jaxssl.methods.siglip import SigLIP
from jaxssl.recipes import _fashion_mnist as shared
from jaxssl.runs.recipe import Recipe


def get_config() -> Recipe:
    """The recipe."""
    return Recipe(
        method=SigLIP(augment=shared.CROP_FLIP),
        encoder=shared.DUAL,
        data=shared.PAIRS,
        optimizer=shared.OPTIMIZER,
        training=shared.TRAINING,
        run=shared.RUN,
    )
