"""Split-brain autoencoder on photographs: two halves, ResNet-18s of a sixteenth of the width.

Command: jaxssl pretrain split_brain_photographs --out runs/split_brain
On an accelerator, the paper's halves: add --encoder.half.width-multiplier 0.5
Result: see docs/results.md; some 3 minutes on one CPU core.
Source: Zhang et al. 2017 (arXiv 1611.09842): 313 bins of ab and 50 of L, hard labels. Crops of
half to all of the area, where the paper cuts one size; AdamW and three epochs of windows of ten
photographs instead of ImageNet; a place is 4 pixels wide.
"""

from jaxssl import models
from jaxssl.augment import policies
from jaxssl.data import ImageData
from jaxssl.methods.split_brain import SplitBrain
from jaxssl.runs.recipe import Recipe
from jaxssl.training.config import RunConfig, TrainingConfig
from jaxssl.training.optimizers import OptimizerConfig


def get_config() -> Recipe:
    """The recipe."""
    return Recipe(
        method=SplitBrain(
            augment=policies.CropFlip(size=32, crop_scale=(0.5, 1.0)),
            output_stride=4,
            head_width=64,
        ),
        encoder=models.SplitConfig(
            half=models.ResNetConfig(depth=18, width_multiplier=0.0625, stem="small")
        ),
        data=ImageData(path="photographs", image_size=32, channels=3),
        optimizer=OptimizerConfig(base_learning_rate=2e-3, weight_decay=0.05, warmup_epochs=0.1),
        training=TrainingConfig(batch_size=128, epochs=3),
        run=RunConfig(log_every=10, checkpoint_every=100),
    )
