"""SimMIM: hidden patches stay in the sequence, and one linear layer predicts their pixels."""

import dataclasses
import functools

import flax.linen as nn
import jax

from jaxssl import losses
from jaxssl.augment import policies
from jaxssl.methods.shared import assembly, vits
from jaxssl.models import layers, patches
from jaxssl.pretext import masking
from jaxssl.types import Array, Example, Method, Picture, PyTree, Views


@dataclasses.dataclass(frozen=True)
class SimMIM:
    """Masked image modelling at its simplest: absolute errors of the pixels that were hidden.

    Random squares of patches are replaced by a learned token; the encoder sees the whole sequence,
    and a linear layer maps each of its tokens to the pixels of the patch:

        loss = mean over hidden pixels of |prediction - pixel|

    with pixels standardised as the encoder's input is. It differs from the official code in the
    encoder, a ViT with absolute positions (there a Swin, or a ViT with relative ones), and in that
    it has no stochastic depth (there 0.1).

    Attributes:
        augment: crop and flip; no colour.
        mask_ratio: fraction of squares that are hidden.
        mask_side: of a square, patches; 32 pixels of 224 in the paper, two patches of 16.

    Source: Xie et al., SimMIM: A Simple Framework for Masked Image Modeling, 2021,
        arXiv:2111.09886, section 3 and eq. 1; numbers of the ViT-B of github.com/microsoft/SimMIM,
        to which ``layer_scale=0.1`` of the encoder belongs.
    """

    augment: policies.CropFlip = policies.CropFlip(224, crop_scale=(0.67, 1.0))
    mask_ratio: float = 0.6
    mask_side: int = 2

    def build(self, encoder: nn.Module, *, axis_name: str | None) -> Method:
        """Binds the hyper-parameters; see ``types.Method``.

        Raises:
            ValueError: an encoder without patches, or of another color space; or an image that is
                not a multiple of the patches, or of the squares.
        """
        del axis_name  # nothing here depends on other devices
        vits.check_encoder("SimMIM", encoder, can="have patches hidden", sees_pixels=True)
        size, patch_size = self.augment.size, encoder.config.patch_size
        grid = patches.patch_grid(size, size, patch_size, caller="SimMIM")

        def view(key: Array, example: Example) -> Views:
            augment_key, mask_key = jax.random.split(key)
            image = self.augment(augment_key, example["image"])
            hide = masking.random_squares(mask_key, grid, self.mask_ratio, side=self.mask_side)
            return {"image": image, "hide": hide}

        def init(key: Array, views: Views) -> tuple[PyTree, PyTree]:
            return self._network(encoder, views).init(key, views["image"])

        def loss(params, state, views, key, clock):
            del key, clock
            images, hide = views["image"], views["hide"]
            prediction, state = self._network(encoder, views).apply(params, state, images, hide)
            pixels = layers.standardise(images, encoder.config.mean, encoder.config.std)
            target = patches.patchify(pixels, patch_size)
            return losses.masked_smooth_l1(prediction, target, hide, beta=0.0), (state, {})

        show = functools.partial(self._show, encoder)
        return assembly.assemble(view, init, loss, size=size, show=show)

    def _show(
        self, encoder: nn.Module, params: PyTree, state: PyTree, views: Views
    ) -> list[Picture]:
        """The views, what the encoder saw of them, and what the head makes of the rest."""
        images, hide = views["image"], views["hide"]
        prediction, _ = self._network(encoder, views).apply(params, state, images, hide)
        return vits.show_reconstruction(images, hide, prediction, encoder.config)

    def _network(self, encoder: nn.Module, views: Views) -> vits.WithHidden:
        num_values = encoder.config.patch_size**2 * views["image"].shape[-1]
        return vits.WithHidden(encoder, vits.linear_head(encoder, num_values))
