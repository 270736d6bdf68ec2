"""DeepCluster-v2 on Fashion-MNIST with a quarter-width ResNet-18.

Command: jaxssl pretrain deep_cluster_v2_fashion_mnist --out runs/deep_cluster_v2
On an accelerator, the full-size encoder: add --encoder.width-multiplier 1
Result: see the table in docs/results.md.
Source: Caron et al. 2020 (arXiv 2006.09882, appendix) and the authors' scripts; multi-crop as
there, four local views instead of six, and blocks that begin with all of their BatchNorm scales at
1. Changed for clothes that are centred, and for minutes of CPU: crops keep a larger part of the
image, without blur; the ImageNet stem, though images are small, because it makes a step eight times
cheaper here; AdamW instead of LARS, which wants batches in the thousands. Changed for 468 steps:
three heads of 128 clusters for 10 classes, and a clustering every half epoch, so that there are
three of them.
"""

from jaxssl.augment import policies
from jaxssl.methods.deep_cluster_v2 import DeepClusterV2
from jaxssl.recipes import _fashion_mnist as shared
from jaxssl.runs.recipe import Recipe


def get_config() -> Recipe:
    """The recipe."""
    return Recipe(
        method=DeepClusterV2(
            augment=policies.swav(
                size=28,
                crop_scale=(0.4, 1.0),
                jitter_strength=0.5,
                blur_prob=0.0,
                local_size=16,
                num_local=4,
                local_crop_scale=(0.15, 0.4),
            ),
            num_prototypes=128,
            cluster_every=0.5,
            projector_width=512,
            projector_dim=128,
        ),
        encoder=shared.RESNET_OPEN,
        data=shared.DATA,
        optimizer=shared.OPTIMIZER,
        training=shared.TRAINING,
        run=shared.RUN,
    )
