"""I-JEPA: from one large block of an image, how would the network describe four others?"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxssl import checks, losses, schedules
from jaxssl.augment import policies
from jaxssl.methods.shared import assembly, ema, functional, vits
from jaxssl.models import initialization, patches, predictor
from jaxssl.pretext import block_masking
from jaxssl.types import Array, Clock, Embeddings, Example, Method, Picture, PyTree, Views


@dataclasses.dataclass(frozen=True)
class IJEPA:
    """Image-based joint-embedding predictive architecture: patches predicted as features.

    A target encoder, which follows by an exponential moving average, sees the whole image; its
    tokens, layer-normed without factors, are the targets. The encoder sees the context alone, a
    large block less the target blocks; a narrow predictor reads its tokens and describes each
    target block, one at a time, from the positions of its patches:

        loss = mean over the values of all target patches of smooth_l1(prediction - target)

    The momentum of the target rises along a line from ``target_momentum`` to 1. Evaluation reads
    the target encoder. There is no class token, so that the encoder's ``pool`` is "mean"; one that
    it has takes part in its attention alone. ``embed`` gives the average of the targets of all
    patches: where features depend on nothing, or on the position alone, it is the same for all
    images.

    It differs from the official code in how blocks are drawn (``pretext.block_masking.multi_block``
    lists it), and begins as the encoder does (``initialization="dino"``: normal kernels, as there).
    What the optimizer adds in the official runs: AdamW with a weight decay that rises from 0.04 to
    0.4 along a cosine.

    Attributes:
        augment: a crop; no flip, no colour.
        num_targets: target blocks of an image.
        target_scale: lowest and highest fraction of the patches in a target block.
        target_aspect: lowest and highest height over width of a target block.
        context_scale: lowest and highest fraction of the patches in the context block.
        target_momentum: at the start.
        predictor_width: features of a predictor token.
        predictor_depth: blocks of the predictor; 6 beside a ViT-B in the paper, 12 beside larger
            ones.
        predictor_heads: attention heads of the predictor; in the official code the encoder's.

    Source: Assran et al., Self-Supervised Learning from Images with a Joint-Embedding Predictive
        Architecture, 2023, arXiv:2301.08243, section 3; numbers and the distance from src/train.py
        and configs/in1k_vith14_ep300.yaml of github.com/facebookresearch/ijepa (the paper's
        equation has a squared distance).
    """

    augment: policies.CropFlip = policies.CropFlip(224, crop_scale=(0.3, 1.0), flip_prob=0.0)
    num_targets: int = 4
    target_scale: tuple[float, float] = (0.15, 0.2)
    target_aspect: tuple[float, float] = (0.75, 1.5)
    context_scale: tuple[float, float] = (0.85, 1.0)
    target_momentum: float = 0.996
    predictor_width: int = 384
    predictor_depth: int = 12
    predictor_heads: int = 12

    def __post_init__(self):
        checks.in_range(self, 0, 1, "target_momentum", fix=ema.PUBLISHED)

    def build(self, encoder: nn.Module, *, axis_name: str | None) -> Method:
        """Binds the hyper-parameters; see ``types.Method``.

        Raises:
            ValueError: an encoder without patches; or an image that is not a multiple of the
                patches, or has too few of them for the blocks.
        """
        del axis_name  # nothing here depends on other devices
        vits.check_encoder("IJEPA", encoder, can="encode the context alone")
        size, patch_size = self.augment.size, encoder.config.patch_size
        grid = patches.patch_grid(size, size, patch_size, caller="IJEPA")
        narrow = self._predictor(encoder)

        def view(key: Array, example: Example) -> Views:
            augment_key, mask_key = jax.random.split(key)
            keep, targets = block_masking.multi_block(
                mask_key,
                grid,
                num_targets=self.num_targets,
                target_scale=self.target_scale,
                target_aspect=self.target_aspect,
                context_scale=self.context_scale,
            )
            image = self.augment(augment_key, example["image"])
            return {"image": image, "keep": keep, "targets": targets}

        def init(key: Array, views: Views) -> tuple[PyTree, PyTree]:
            encoder_key, predictor_key = jax.random.split(key)
            images, keep = views["image"], views["keep"]
            params, state = functional.init(encoder, encoder_key, images)
            variables = functional.variables(params, state)
            tokens = encoder.apply(variables, images, keep=keep).tokens  # type: ignore[union-attr]
            predictor_params, predictor_state = functional.init(
                narrow, predictor_key, tokens, keep, views["targets"][:, 0], grid=grid
            )
            params = {"encoder": params, "predictor": predictor_params}
            state = {"encoder": state, "predictor": predictor_state}
            return params, state | {"target": ema.start(params, state, ("encoder",))}

        def teach(state: PyTree, images: Array) -> Array:
            """Targets of all patches [B, N, D]."""
            tokens = encoder.apply(functional.encoder_variables(**state["target"]), images).tokens  # type: ignore[union-attr]
            return jax.lax.stop_gradient(vits.layer_normalize(tokens))

        def loss(params, state, views, key, clock):
            del key, clock
            images, keep, asked = views["image"], views["keep"], views["targets"]
            # Nothing here has batch statistics, so that the state stays as it is.
            variables = functional.encoder_variables(params, state)
            tokens = encoder.apply(variables, images, keep=keep).tokens  # type: ignore[union-attr]

            def describe(block: Array) -> Array:
                variables = functional.variables(params["predictor"], state["predictor"])
                return narrow.apply(variables, tokens, keep, block, grid=grid)  # type: ignore[return-value]

            # Each block by itself: the patches of one do not see those of another.
            prediction = jax.vmap(describe, in_axes=1, out_axes=1)(asked)  # [B, M, A, D]
            prediction = prediction.reshape(len(images), -1, prediction.shape[-1])
            target = patches.gather_rows(teach(state, images), asked.reshape(len(images), -1))
            all_of_them = jnp.ones(target.shape[:2])
            values = losses.masked_smooth_l1(prediction, target, all_of_them, beta=1.0)
            return values, (state, {})

        def advance(params: PyTree, state: PyTree, clock: Clock) -> PyTree:
            momentum = schedules.warmup(self.target_momentum, 1.0, clock.progress, 1.0)
            return state | {"target": ema.follow(state["target"], params, momentum)}

        def embed(params: PyTree, state: PyTree, views: Views) -> Embeddings:
            del params
            return Embeddings(teach(state, views["image"]).mean(axis=1))

        def show(params: PyTree, state: PyTree, views: Views) -> list[Picture]:
            """The view, the context, and the target blocks."""
            del params, state
            images, asked = views["image"], views["targets"].reshape(len(views["image"]), -1)
            num_patches = grid[0] * grid[1]
            context, targets = (vits.where_of(x, num_patches) for x in (views["keep"], asked))
            return [
                ("view", images),
                ("what the encoder sees", vits.cover(images, ~context, patch_size)),
                ("what it is to describe", vits.cover(images, ~targets, patch_size)),
            ]

        return assembly.assemble(
            view, init, loss, size=size, advance=advance,
            encoder=functional.target_variables, embed=embed, show=show,
        )  # fmt: skip

    def _predictor(self, encoder: nn.Module) -> nn.Module:
        config = encoder.config
        return predictor.MaskedPredictor(
            out_dim=config.dimensions.width,
            width=self.predictor_width,
            depth=self.predictor_depth,
            num_heads=self.predictor_heads,
            scan_layers=config.scan_layers,
            remat=config.remat,
            dtype=config.dtype,
            kernels=initialization.INITIALIZATIONS[config.initialization].blocks,
        )
