"""data2vec: hidden patches described as a slow copy of the network describes the whole image."""

import dataclasses

import flax.linen as nn
import jax

from jaxssl import checks, losses
from jaxssl.augment import policies
from jaxssl.methods.shared import assembly, ema, functional, vits
from jaxssl.models import patches
from jaxssl.pretext import block_masking
from jaxssl.types import (
    Array,
    Clock,
    Embeddings,
    Example,
    Features,
    Method,
    Picture,
    PyTree,
    Views,
)


@dataclasses.dataclass(frozen=True)
class Data2Vec:
    """data2vec on images: contextualised targets, the average of a teacher's last blocks.

    Blocks of patches are replaced by a learned token. The student sees the rest, and a linear layer
    describes every hidden patch; the teacher, which follows by an exponential moving average, sees
    the whole image. With h_l the teacher's tokens after block l, before any norm, and LN the layer
    normalisation without factors:

        y = LN(mean over the last K blocks of LN(h_l))
        loss = mean over the values of hidden patches of smooth_l1(prediction - y; beta)

    Evaluation reads the student. ``embed`` gives the average of y over all patches: where features
    depend on nothing, or on the position alone, it is the same for all images.

    It differs from the official code in the encoder, a ViT with absolute positions (there with
    relative ones), in hiding an exact number of patches (``pretext.block_masking.blocks``), in the
    order of colour jitter and crop, and in that it has neither stochastic depth (there 0.25) nor
    dropout of attention (there 0.05). What the optimizer adds in the official run: AdamW with a
    weight decay of 0.05 and a gradient clipped at a norm of 3.

    Attributes:
        augment: crop, flip and jitter of brightness, contrast and saturation.
        mask_ratio: fraction of patches that are hidden, rounded to a whole number: 120 of 196.
        min_block: area of the smallest block, patches.
        num_layers: K.
        beta: error above which the distance is linear.
        teacher_momentum: constant, as for the paper's images.

    Source: Baevski et al., data2vec: A General Framework for Self-supervised Learning in Speech,
        Vision and Language, 2022, arXiv:2202.03555, sections 3 and 4.1; numbers of the ViT-B from
        beit/README.md and engine_for_cyclical.py of github.com/facebookresearch/data2vec_vision, to
        which ``layer_scale=1e-4`` of the encoder belongs.
    """

    augment: policies.View = policies.View(
        224,
        jitter=(0.4, 0.4, 0.4, 0.0),
        jitter_prob=1.0,
        grayscale_prob=0.0,
        blur_prob=0.0,
        interpolation="cubic",
    )
    mask_ratio: float = 120 / 196
    min_block: int = 16
    num_layers: int = 6
    beta: float = 2.0
    teacher_momentum: float = 0.9998

    def __post_init__(self):
        checks.in_range(self, 0, 1, "teacher_momentum", fix=ema.PUBLISHED)
        checks.at_least(self, 0, "beta", fix="Use 0 for absolute errors.")
        checks.at_least(self, 1, "num_layers", "min_block", fix="The authors have 6 and 16.")

    def build(self, encoder: nn.Module, *, axis_name: str | None) -> Method:
        """Binds the hyper-parameters; see ``types.Method``.

        Raises:
            ValueError: an encoder without patches, or with fewer blocks than are averaged; an image
                that is not a multiple of the patches; or a mask that hides none of them or all.
        """
        del axis_name  # nothing here depends on other devices
        vits.check_encoder("Data2Vec", encoder, can="have patches hidden")
        config, size = encoder.config, self.augment.size
        checks.in_range(
            "Data2Vec", 1, config.dimensions.depth, num_layers=self.num_layers,
            fix="The last of them are averaged, of as many blocks as the encoder has.",
        )  # fmt: skip
        grid = patches.patch_grid(size, size, config.patch_size, caller="Data2Vec")
        num_hidden = vits.count_hidden("Data2Vec", grid, self.mask_ratio)
        network = vits.WithHidden(encoder, vits.linear_head(encoder, config.dimensions.width))

        def view(key: Array, example: Example) -> Views:
            augment_key, mask_key = jax.random.split(key)
            image = self.augment(augment_key, example["image"])
            hide = block_masking.blocks(mask_key, grid, num_hidden, min_patches=self.min_block)
            return {"image": image, "hide": hide}

        def init(key: Array, views: Views) -> tuple[PyTree, PyTree]:
            params, state = network.init(key, views["image"])
            return params, state | {"target": ema.start(params, state, ("encoder",))}

        def teach(state: PyTree, images: Array) -> Array:
            """Targets of all patches [B, N, D]."""
            features = encoder.apply(functional.encoder_variables(**state["target"]), images)
            return jax.lax.stop_gradient(self._contextualise(features))  # type: ignore[arg-type]

        def loss(params, state, views, key, clock):
            del key, clock
            images, hide = views["image"], views["hide"]
            prediction, new_state = network.apply(params, state, images, hide)
            target = teach(state, images)
            values = losses.masked_smooth_l1(prediction, target, hide, beta=self.beta)
            return values, (state | new_state, {})

        def advance(params: PyTree, state: PyTree, clock: Clock) -> PyTree:
            del clock
            return state | {"target": ema.follow(state["target"], params, self.teacher_momentum)}

        def embed(params: PyTree, state: PyTree, views: Views) -> Embeddings:
            del params
            return Embeddings(teach(state, views["image"]).mean(axis=1))

        def show(params: PyTree, state: PyTree, views: Views) -> list[Picture]:
            del params, state
            return vits.show_hidden(views["image"], views["hide"], config.patch_size)

        return assembly.assemble(
            view, init, loss, size=size, advance=advance, embed=embed, show=show
        )

    def _contextualise(self, features: Features) -> Array:
        """y of all patches, float32 [B, N, D]."""
        last = features.maps[-self.num_layers :]
        tokens = [map_.reshape(map_.shape[0], -1, map_.shape[-1]) for map_ in last]
        average = sum(map(vits.layer_normalize, tokens)) / len(tokens)
        return vits.layer_normalize(average)  # type: ignore[arg-type]  # of one map at least
