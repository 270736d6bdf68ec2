"""What the recipes of Fashion-MNIST share: a block is here where three of them or more have it.

No recipe itself, as its underscore says. A recipe takes a block as it is, so that "the same
encoder, the same steps" is said by the code, or ``dataclasses.replace``s what is its own.
"""

import dataclasses

from jaxssl import models
from jaxssl.augment import policies
from jaxssl.data import ImageData, PairData
from jaxssl.training.config import RunConfig, TrainingConfig
from jaxssl.training.optimizers import OptimizerConfig

MEAN, STD = (0.286,), (0.353,)  # of the training images' pixels

DATA = ImageData(path="fashion-mnist", image_size=28, channels=1)
PAIRS = PairData(path="fashion-mnist-captions", image_size=28, channels=1, length=40)

# Views of the pretext tasks, and of two families of joint-embedding methods, of equal strength:
# clothes are centred, so that crops keep a larger part of the image.
CROP_FLIP = policies.CropFlip(size=28, crop_scale=(0.5, 1.0))
SIMCLR_VIEWS = policies.simclr(size=28, crop_scale=(0.4, 1.0), jitter_strength=0.5, blur_prob=0.0)
BYOL_VIEWS = policies.byol(
    size=28, crop_scale=(0.4, 1.0), blur_prob=0.0, solarize_prob=0.0, interpolation="linear"
)

# The first with residual branches that begin closed; open as in the code of those who take it so.
RESNET = models.ResNetConfig(depth=18, width_multiplier=0.25, stem="imagenet", mean=MEAN, std=STD)
RESNET_OPEN = dataclasses.replace(RESNET, zero_init_residual=False)
RESNET_LONG = models.ResNetConfig(depth=10, num_stages=2, mean=MEAN, std=STD)
# A network of images and one of texts.
DUAL = models.DualConfig(
    image=models.ResNetConfig(depth=18, width_multiplier=0.25),
    text=models.TextTransformerConfig(
        length=40, width=64, depth=2, num_heads=4, causal=True, pool="last"
    ),
    dim=128,
    mean=MEAN,
    std=STD,
)
VIT = models.ViTConfig(size="Nano", patch_size=7, mean=MEAN, std=STD)
VIT_PATCHES = dataclasses.replace(VIT, pool="mean")

OPTIMIZER = OptimizerConfig(base_learning_rate=2e-3, weight_decay=0.05, warmup_epochs=0.2)
OPTIMIZER_LONG = dataclasses.replace(OPTIMIZER, warmup_epochs=1)
OPTIMIZER_MASKED = dataclasses.replace(OPTIMIZER, base_learning_rate=4e-3, warmup_epochs=0.5)

TRAINING = TrainingConfig(batch_size=256, epochs=2)  # 468 steps
# Where patches are hidden it is the number of steps that counts: 3,748 small ones.
TRAINING_MASKED = TrainingConfig(batch_size=64, epochs=4)

RUN = RunConfig(log_every=20, checkpoint_every=100)
RUN_MASKED = RunConfig(log_every=100, checkpoint_every=1000)
RUN_LONG = RunConfig(log_every=50, checkpoint_every=1000)
