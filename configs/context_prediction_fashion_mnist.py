"""Context prediction on Fashion-MNIST with a quarter-width ResNet-18.

Command: jaxssl pretrain context_prediction_fashion_mnist --out runs/context_prediction
On an accelerator, the full-size encoder: add --encoder.width-multiplier 1
Result: see docs/results.md; some 2 minutes on one CPU core.
Source: Doersch et al. 2015 (arXiv 1505.05192), scaled to patches of 7 pixels, gaps of 2 and jitter
1; no colours to drop. AdamW and a few epochs instead of the paper's SGD and weeks.
"""

import dataclasses

from jaxssl.methods.context_prediction import ContextPrediction
from jaxssl.recipes import _fashion_mnist as shared
from jaxssl.runs.recipe import Recipe


def get_config() -> Recipe:
    """The recipe."""
    return Recipe(
        method=ContextPrediction(
            augment=shared.CROP_FLIP,
            patch_size=7,
            gap=2,
            jitter=1,
            color="none",
            resample_side=4,
            hidden_width=256,
        ),
        encoder=shared.RESNET,
        data=shared.DATA,
        optimizer=shared.OPTIMIZER,
        training=dataclasses.replace(shared.TRAINING, epochs=6),
        run=dataclasses.replace(shared.RUN, checkpoint_every=200),
    )
