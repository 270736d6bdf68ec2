"""SimCLR on a folder of photos of 224 pixels, with a ResNet-50.

Command: jaxssl pretrain photos_simclr --out runs/photos --data.path my_photos/
Result: none is claimed, since it depends on the photos. For an accelerator; on a CPU take smaller
images and a smaller network, as docs/training.md shows.
Source: Chen et al. 2020 (arXiv 2002.05709), sec. 2 and appendix B: views, projector, temperature
0.1, LARS with a rate of 0.3 for 256 images, decay 1e-6, 10 epochs of warm-up of 100.
Changed: the batch of 4,096 where a device holds it.
"""

from jaxssl import models
from jaxssl.augment import policies
from jaxssl.methods.simclr import SimCLR
from jaxssl.recipes import _photos as shared
from jaxssl.runs.recipe import Recipe
from jaxssl.training.optimizers import OptimizerConfig


def get_config() -> Recipe:
    """The recipe."""
    return Recipe(
        method=SimCLR(augment=policies.simclr(size=shared.SIZE)),
        encoder=models.ResNetConfig(depth=50),
        data=shared.DATA,
        optimizer=OptimizerConfig(
            name="lars", base_learning_rate=0.3, weight_decay=1e-6, warmup_epochs=10
        ),
        training=shared.TRAINING,
        fit=shared.FIT,
    )
