"""A context encoder on Fashion-MNIST with a quarter-width ResNet-18.

Command: jaxssl pretrain context_encoder_fashion_mnist --out runs/context_encoder
On an accelerator, the full-size encoder: add --encoder.width-multiplier 1
Inpainting of the centre, as in the paper: add --method.mask central --method.overlap 1
--method.adversarial-weight 0.001 --method.discriminator-width 16
Result: see the table in README.md; some 4 minutes on one CPU core.
Source: Pathak et al. 2016 (arXiv 1604.07379), its setting for features: random regions filled with
the mean colour, squared error alone. The dense layer is scaled to the encoder's 128 features;
crops are half to all of the area, where the official code cuts one size; AdamW for a few epochs
stands for the paper's Adam for hundreds.
"""

from jaxssl import models
from jaxssl.augment import policies
from jaxssl.data import ImageData
from jaxssl.methods.context_encoder import ContextEncoder
from jaxssl.runs.recipe import Recipe
from jaxssl.training.config import RunConfig, TrainingConfig
from jaxssl.training.optimizers import OptimizerConfig


def get_config() -> Recipe:
    """The recipe."""
    return Recipe(
        method=ContextEncoder(
            augment=policies.CropFlip(size=28, crop_scale=(0.5, 1.0)),
            mask="region",
            color=(0.286,),
            bottleneck_dim=128,
            decoder_width=8,
        ),
        encoder=models.ResNetConfig(
            depth=18, width_multiplier=0.25, stem="imagenet", mean=(0.286,), std=(0.353,)
        ),
        data=ImageData(path="fashion-mnist", image_size=28, channels=1),
        optimizer=OptimizerConfig(base_learning_rate=2e-3, weight_decay=0.05, warmup_epochs=0.2),
        training=TrainingConfig(batch_size=256, epochs=2),
        run=RunConfig(log_every=20, checkpoint_every=200),
    )
