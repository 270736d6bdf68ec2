"""Contrastive predictive coding: from the rows of patches above, which patch comes below?"""

import dataclasses
import functools
from typing import Any, ClassVar, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxssl import checks, losses
from jaxssl.augment import color, policies
from jaxssl.methods.shared import assembly, functional
from jaxssl.models import context
from jaxssl.pretext import cpc
from jaxssl.types import Array, Example, Method, Picture, PyTree, Views


@dataclasses.dataclass(frozen=True)
class CPC:
    """Contrastive predictive coding on an overlapping grid of patches.

    Every patch of the image is encoded by itself: z = pooled features. A masked convolutional
    network sums up rows 0 ... r of the grid in a context c, from which one matrix per offset k
    predicts the latent k rows below; the loss is InfoNCE with the patches of all images of the
    global batch as candidates:

        value = mean over k, r, s of -log( exp(z_{r+k,s} . W_k c_rs) / sum_j exp(z_j . W_k c_rs) )

    The paper sums over k; the mean compares with log(number of candidates), and an optimizer such
    as Adam does not see the factor. Nothing is normalised and there is no temperature.

    The encoder that is evaluated sees whole images. Batch norm in the encoder would let patches
    learn of each other through the batch's statistics, those below included, and the paper leaves
    it out: prefer a ViT (LayerNorm); with a ResNet the method runs, and its batch norm is
    synchronised over devices. A ViT with learned positions spreads the positions of a whole image
    over each patch; fixed ones would meet positions in evaluation that no patch has.

    Attributes:
        augment: crop and flip of the whole image; the default cuts 256 of 300 pixels.
        patch_size: side of a patch, pixels.
        stride: pixels from one patch to the next.
        patch_crop: side of a random square that is cut out of each patch and padded back, pixels;
            0 leaves patches as they are.
        grey: patches without colour, in all channels; images of one channel stay as they are.
        min_offset: fewest rows ahead; 2 where neighbours share half of their pixels, since a patch
            that overlaps the context is found by its pixels.
        max_offset: most rows ahead.
        num_directions: 1, contexts from the top down (v1), or 4, from every side (v2).
        layer_norm: normalise the latents (v2, inside its encoder).
        target_dim: features that are compared; 0: the latents themselves (v1); v2: 64.
        prediction_scale: factor on the predictions; v2: 0.1.
        context_width: features inside a block of the context network.
        context_depth: blocks of the context network.

    Source: van den Oord et al., Representation Learning with Contrastive Predictive Coding, 2018,
        arXiv:1807.03748, eq. 3 and 4, sec. 3.3; Henaff et al., Data-Efficient Image Recognition
        with Contrastive Predictive Coding, 2019, arXiv:1905.09272 (v2). Without v2's patch-wise
        colour dropping and flips.
    """

    PIXELS: ClassVar[tuple[str, ...]] = ("patch_size", "stride", "patch_crop")

    augment: policies.CropFlip = policies.CropFlip(
        size=256, crop_scale=((256 / 300) ** 2, (256 / 300) ** 2), crop_ratio=(1.0, 1.0)
    )
    patch_size: int = 64
    stride: int = 32
    patch_crop: int = 60
    grey: bool = True
    min_offset: int = 2
    max_offset: int = 6
    num_directions: Literal[1, 4] = 1
    layer_norm: bool = False
    target_dim: int = 0
    prediction_scale: float = 1.0
    context_width: int = 256
    context_depth: int = 5

    def __post_init__(self):
        rows = self._rows()
        if not 1 <= self.min_offset <= self.max_offset < rows:
            raise ValueError(
                "CPC: offsets must be 1 <= min_offset <= max_offset < rows of patches; got "
                f"{self.min_offset}, {self.max_offset} and {rows} rows. "
                f"Use at most max_offset {rows - 1}, or a smaller stride."
            )
        fix = "Use 0 to leave patches as they are; published: 60 of 64."
        checks.in_range(self, 0, self.patch_size, "patch_crop", fix=fix)
        checks.choice(self, (1, 4), "num_directions", fix="1 is top down, 4 from every side.")

    def build(self, encoder: nn.Module, *, axis_name: str | None) -> Method:
        """Binds the hyper-parameters; see ``types.Method``."""
        predictor = self._predictor(encoder)

        def view(key: Array, example: Example) -> Views:
            augment_key, patch_key = jax.random.split(key)
            image = self.augment(augment_key, example["image"])
            if self.grey and image.shape[-1] == 3:
                image = color.apply(image, color.grayscale())
            return {"image": image, "patches": self._patches(patch_key, image)}

        def init(key: Array, views: Views) -> tuple[PyTree, PyTree]:
            encoder_key, predictor_key = jax.random.split(key)
            params, state = functional.init(encoder, encoder_key, views["image"])
            variables = functional.variables(params, state)
            features = encoder.apply(variables, _rows_of_patches(views))
            predictor_params, _ = functional.init(
                predictor,
                predictor_key,
                _as_grid(features.pooled, views),  # type: ignore[union-attr]
            )
            return {"encoder": params, "predictor": predictor_params}, {"encoder": state}

        def loss(params, state, views, key, clock):
            del key, clock
            features, encoder_state = functional.apply(
                encoder, params["encoder"], state["encoder"], _rows_of_patches(views)
            )
            latents = _as_grid(features.pooled, views)
            predictions, targets = predictor.apply({"params": params["predictor"]}, latents)
            values, right = [], []
            for prediction, target in zip(predictions, targets, strict=True):
                for index, offset in enumerate(self._offsets()):
                    logits, labels = losses.grid_logits(
                        prediction[index], target, offset=offset, axis_name=axis_name
                    )
                    values.append(losses.cross_entropy(logits, labels).mean(axis=1))
                    right.append(_is_first(logits, labels).astype(jnp.float32).mean())
            metrics = {"accuracy": jnp.mean(jnp.stack(right))}
            return jnp.stack(values).mean(axis=0), ({"encoder": encoder_state}, metrics)

        return assembly.assemble(
            view,
            init,
            loss,
            size=self.augment.size,
            show=functools.partial(self._show, encoder, predictor),
        )

    def _show(
        self,
        encoder: nn.Module,
        predictor: nn.Module,
        params: PyTree,
        state: PyTree,
        views: Views,
    ) -> list[Picture]:
        """The views, their patches, and the patch of the batch that the network puts below a row.

        Returns:
            Titles and images float32 [B, H, W, C] in [0, 1]: the views; as many of the encoder's
            patches as fit side by side; and the rows that a context in the middle column reads,
            with the patch picked ``min_offset`` rows below it, out of all patches of all views.
        """
        images, patches = views["image"], views["patches"]
        offset, rows = self.min_offset, self._rows()
        row, column = (rows - offset) // 2, rows // 2
        variables = functional.encoder_variables(params, state)
        features = encoder.apply(variables, _rows_of_patches(views), train=False)
        latents = _as_grid(features.pooled, views)  # type: ignore[union-attr]
        predicted: Any = predictor.apply({"params": params["predictor"]}, latents)
        predictions, targets = predicted
        logits, labels = losses.grid_logits(predictions[0, 0], targets[0], offset=offset)
        place = row * rows + column
        picked = logits[:, place].argmax(-1)
        right = (picked == labels[:, place]).sum()

        seen = row * self.stride + self.patch_size
        canvas = jnp.full_like(images, 0.5).at[:, :seen].set(images[:, :seen])
        picked_below = self._paste(canvas, _rows_of_patches(views)[picked], row + offset, column)
        spread = jnp.full_like(images, 0.5)
        step = -(-self.patch_size // self.stride)
        for top in range(0, rows, step):
            for left in range(0, rows, step):
                # One pixel of ground between patches that touch.
                spread = self._paste(spread, patches[:, top, left, :-1, :-1], top, left)
        return [
            ("view, without colour" if self.grey else "view", images),
            (f"patches, every {step} of {rows} rows and columns", spread),
            (
                f"rows read, and the patch picked {offset} rows below ({right} of {len(images)} "
                "right)",
                picked_below,
            ),
        ]

    def _rows(self) -> int:
        return cpc.grid_rows(self.augment.size, patch_size=self.patch_size, stride=self.stride)

    def _offsets(self) -> range:
        return range(self.min_offset, self.max_offset + 1)

    def _patches(self, key: Array, image: Array) -> Array:
        patches = cpc.overlapping_patches(image, patch_size=self.patch_size, stride=self.stride)
        if not self.patch_crop:
            return patches
        flat = patches.reshape(-1, *patches.shape[2:])
        keys = jax.random.split(key, len(flat))
        cropped = jax.vmap(lambda key, patch: cpc.random_subcrop(key, patch, size=self.patch_crop))(
            keys, flat
        )
        return cropped.reshape(patches.shape)

    def _predictor(self, encoder: nn.Module) -> nn.Module:
        return context.GridPredictor(
            num_offsets=len(self._offsets()),
            num_directions=self.num_directions,
            target_dim=self.target_dim,
            layer_norm=self.layer_norm,
            scale=self.prediction_scale,
            width=self.context_width,
            depth=self.context_depth,
            dtype=encoder.config.dtype,
        )

    def _paste(self, images: Array, patches: Array, row: int, column: int) -> Array:
        """The images [B, H, W, C] with patches [B, p, p, C] at one place of the grid."""
        top, left = row * self.stride, column * self.stride
        height, width = patches.shape[1:3]
        return images.at[:, top : top + height, left : left + width].set(patches)


def _is_first(logits: Array, labels: Array) -> Array:
    """Whether no other candidate scores as high; a count, since argmax is slow on a CPU."""
    own = jnp.take_along_axis(logits, labels[..., None], axis=-1)
    return (logits >= own).sum(axis=-1) == 1


def _rows_of_patches(views: Views) -> Array:
    """All patches as images of their own, [B R R, p, p, C]."""
    patches = views["patches"]
    return patches.reshape(-1, *patches.shape[3:])


def _as_grid(rows: Array, views: Views) -> Array:
    """One vector a patch, [B R R, D], as [B, R, R, D]."""
    return rows.reshape(*views["patches"].shape[:3], -1)
