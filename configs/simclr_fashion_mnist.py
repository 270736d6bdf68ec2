"""SimCLR on Fashion-MNIST with a quarter-width ResNet-18.

Command: jaxssl pretrain simclr_fashion_mnist --out runs/simclr
On an accelerator, the full-size encoder: add --encoder.width-multiplier 1
Result: see docs/results.md; some 4 minutes on one CPU core.
Source: Chen et al. 2020 (arXiv 2002.05709); jitter strength and missing blur from its CIFAR-10
experiments (appendix B.9). Changed for clothes that are centred, and for minutes of CPU: crops keep
a larger part of the image; the ImageNet stem, though images are small, because it makes a step
eight times cheaper here; AdamW instead of LARS, which wants batches in the thousands.
"""

from jaxssl.augment import policies
from jaxssl.methods.simclr import SimCLR
from jaxssl.recipes import _fashion_mnist as shared
from jaxssl.runs.recipe import Recipe


def get_config() -> Recipe:
    """The recipe."""
    return Recipe(
        method=SimCLR(
            augment=policies.simclr(
                size=28, crop_scale=(0.25, 1.0), jitter_strength=0.6, blur_prob=0.0
            ),
            temperature=0.2,
            projector_width=512,
            projector_dim=128,
        ),
        encoder=shared.RESNET,
        data=shared.DATA,
        optimizer=shared.OPTIMIZER,
        training=shared.TRAINING,
        run=shared.RUN,
    )
