"""MaskFeat: which way the edges run in patches that are hidden."""

import dataclasses

import einops
import flax.linen as nn
import jax

from jaxssl import checks, losses
from jaxssl.augment import policies
from jaxssl.methods.shared import assembly, vits
from jaxssl.models import patches
from jaxssl.pretext import block_masking, hog
from jaxssl.types import Array, Example, Method, Picture, PyTree, Views


@dataclasses.dataclass(frozen=True)
class MaskFeat:
    """Masked feature prediction: histograms of oriented gradients instead of pixels.

    Blocks of patches are replaced by a learned token; the encoder sees the whole sequence, and a
    linear layer maps each of its tokens to the histograms of the cells of its patch, each of length
    1 (``pretext.hog``):

        loss = mean over the values of hidden patches of (prediction - histogram)^2

    It differs from the official code in the encoder, whose positions are those of MAE, in that the
    linear layer reads tokens after the encoder's last norm (there: there is none), and in hiding an
    exact number of patches (``pretext.block_masking.blocks``). What the optimizer adds in the
    official run: AdamW with a weight decay of 0.05 and a gradient clipped at a norm of 0.02.

    Attributes:
        augment: crop and flip; no colour.
        mask_ratio: fraction of patches that are hidden, rounded to a whole number: 78 of 196. The
            smallest block has a fifth of them.
        num_cells: cells along a side of a patch: 2 of 8 pixels in a patch of 16.
        num_bins: directions of a histogram.

    Source: Wei et al., Masked Feature Prediction for Self-Supervised Visual Pre-Training, 2021,
        arXiv:2112.09133, section 3; numbers of the ViT-B from in1k_VIT_B_MaskFeat_PT.yaml and
        masked.py of github.com/facebookresearch/SlowFast.
    """

    augment: policies.CropFlip = policies.CropFlip(
        224, crop_scale=(0.5, 1.0), interpolation="cubic"
    )
    mask_ratio: float = 0.4
    num_cells: int = 2
    num_bins: int = 9

    def __post_init__(self):
        checks.at_least(self, 1, "num_cells", "num_bins", fix="The authors have 2 and 9.")

    def build(self, encoder: nn.Module, *, axis_name: str | None) -> Method:
        """Binds the hyper-parameters; see ``types.Method``.

        Raises:
            ValueError: an encoder without patches; an image that is not a multiple of the patches,
                or patches that are no multiple of the cells; or a mask that hides none or all.
        """
        del axis_name  # nothing here depends on other devices
        vits.check_encoder("MaskFeat", encoder, can="have patches hidden")
        size, patch_size = self.augment.size, encoder.config.patch_size
        grid = patches.patch_grid(size, size, patch_size, caller="MaskFeat")
        if patch_size % self.num_cells:
            raise ValueError(
                f"MaskFeat: num_cells must divide the patch; got {self.num_cells} cells along a "
                f"side of {patch_size} pixels."
            )
        num_hidden = vits.count_hidden("MaskFeat", grid, self.mask_ratio)

        def view(key: Array, example: Example) -> Views:
            augment_key, mask_key = jax.random.split(key)
            image = self.augment(augment_key, example["image"])
            hide = block_masking.blocks(
                mask_key, grid, num_hidden, min_patches=max(1, num_hidden // 5)
            )
            cells = hog.hog(image, cell_size=patch_size // self.num_cells, num_bins=self.num_bins)
            target = einops.rearrange(
                cells, "(row p) (col q) c k -> (row col) (p q c k)", row=grid[0], col=grid[1]
            )
            return {"image": image, "hide": hide, "target": target}

        def network(views: Views) -> vits.WithHidden:
            return vits.WithHidden(encoder, vits.linear_head(encoder, views["target"].shape[-1]))

        def init(key: Array, views: Views) -> tuple[PyTree, PyTree]:
            return network(views).init(key, views["image"])

        def loss(params, state, views, key, clock):
            del key, clock
            hide = views["hide"]
            prediction, state = network(views).apply(params, state, views["image"], hide)
            return losses.masked_mse(prediction, views["target"], hide), (state, {})

        def show(params: PyTree, state: PyTree, views: Views) -> list[Picture]:
            del params, state
            return vits.show_hidden(views["image"], views["hide"], patch_size)

        return assembly.assemble(view, init, loss, size=size, show=show)
