"""Video colorization with a small ViT, on shaken photographs or on a film of your own.

Command: jaxssl pretrain video_colorization_photographs --out runs/video_colorization
With a film: add --data.path FILM.mp4 --data.num-frames 4 --data.in-memory, and for larger frames
--data.image-size 64; then jaxssl propagate RUN FILM.mp4. A short film has few clips:
--data.clip-rate 25 begins one at every frame, --training.batch-size 16 makes steps of them.
On an accelerator, the full-size encoder: add --encoder.size S
Result: see docs/results.md; some 3 minutes on one CPU core.
Source: Vondrick et al. 2018 (arXiv 1806.09594), 3 reference frames at 6 a second, 16 colours. AdamW
instead of Adam, a ViT of patch size 4 instead of a ResNet-18 with a network over time.
"""

from jaxssl import models
from jaxssl.augment import policies
from jaxssl.data import ClipData
from jaxssl.methods.video_colorization import VideoColorization
from jaxssl.runs.recipe import Recipe
from jaxssl.training.config import RunConfig, TrainingConfig
from jaxssl.training.optimizers import OptimizerConfig


def get_config() -> Recipe:
    """The recipe."""
    return Recipe(
        method=VideoColorization(augment=policies.CropFlip(size=32, crop_scale=(0.5, 1.0))),
        encoder=models.ViTConfig(
            width=64,
            depth=4,
            num_heads=2,
            patch_size=4,
            pool="mean",
            color_space="lightness",
            mean=(50.0,),
            std=(25.0,),
        ),
        data=ClipData(path="photographs", image_size=32, channels=3),
        optimizer=OptimizerConfig(base_learning_rate=2e-3, weight_decay=0.05, warmup_epochs=0.2),
        training=TrainingConfig(batch_size=64, epochs=0.75),
        run=RunConfig(log_every=10, checkpoint_every=200),
    )
