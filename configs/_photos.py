"""What the recipes of a folder of photos share.

No recipe itself, as its underscore says. The views, the numbers of the methods and their optimizers
are the published ones for ImageNet; batch, channels, mean, deviation and compute dtype follow the
photos and the machine.
"""

from jaxssl.data import ImageData
from jaxssl.runs.recipe import Fit
from jaxssl.training.config import TrainingConfig

SIZE = 224

DATA = ImageData(path="", image_size=SIZE, channels=3)  # --data.path says which

# Up to the batch of the paper where the devices have the memory; learning rates are of 256 images.
FIT = Fit(max_batch=4096, dtype="bfloat16", grey=True, moments=("mean", "std"))

TRAINING = TrainingConfig(batch_size=64, epochs=100)
