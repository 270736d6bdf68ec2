"""MoCo v3: contrast predictions with a momentum encoder's keys of the same batch; for ViTs too."""

import dataclasses

import flax.linen as nn
import jax

from jaxssl import checks, losses, models
from jaxssl.augment import policies
from jaxssl.methods.shared import ema, functional, two_views
from jaxssl.models import heads
from jaxssl.types import Array, Clock, Method, PyTree


@dataclasses.dataclass(frozen=True)
class MoCoV3:
    """Momentum contrast without a queue, symmetric, and with a predictor.

    With q the prediction of one view and k the projection of the other by the momentum encoder,

        loss = 2 T ( info_nce(q_a, k_b) + info_nce(q_b, k_a) ),   no gradient through k

    against the keys of all other examples of the global batch. The momentum encoder is encoder and
    projector; its momentum rises along a cosine from ``target_momentum`` to 1. Each view is
    normalised by batch statistics of its own, and keys by theirs. As these are synchronised, all
    keys that a query is compared with were normalised alike, and none is given away by it.

    The projector has two layers, three on a ViT; the predictor two. Batch norm follows each, after
    the last of them without scale and bias; after the predictor's last layer only on a ViT.

    Attributes:
        augment: the pair of views; blur and solarisation differ between them. ViT: crops of
            (0.08, 1.0).
        temperature: T, of the softmax over similarities. ViT: 0.2.
        target_momentum: at the start; 0.996 for 1,000 epochs of ResNet-50.
        projector_width: features of the hidden layers of the projector.
        projector_dim: features that are compared.
        predictor_width: features of the predictor's hidden layer.
        freeze_patch_embedding: whether a ViT's patch embedding stays as it was initialised, which
            keeps training stable; no effect on other encoders.

    Source: Chen, Xie, He: An Empirical Study of Training Self-Supervised Vision Transformers, 2021,
        arXiv:2104.02057, algorithm 1 and section 4; heads from the authors' moco/builder.py
        (``MoCo_ResNet`` and ``MoCo_ViT``); defaults for 100 epochs of ResNet-50 from their
        main_moco.py and CONFIG.md.
    """

    augment: policies.Pair = policies.moco_v3(crop_scale=(0.2, 1.0))
    temperature: float = 1.0
    target_momentum: float = 0.99
    projector_width: int = 4096
    projector_dim: int = 256
    predictor_width: int = 4096
    freeze_patch_embedding: bool = True

    def __post_init__(self):
        checks.above(self, 0, "temperature", fix="Usual values are 0.05 to 0.5.")
        checks.in_range(self, 0, 1, "target_momentum", fix=ema.PUBLISHED)

    def build(self, encoder: nn.Module, *, axis_name: str | None) -> Method:
        """Binds the hyper-parameters; see ``types.Method``."""
        is_vit = isinstance(encoder, models.ViT)
        predictor = _head(
            encoder,
            (self.predictor_width, self.projector_dim),
            axis_name,
            batch_norm_last=is_vit,
        )
        online = functional.WithPredictor(self._network(encoder, axis_name), predictor)

        def compare(predictions: Array, targets: Array) -> Array:
            values = [
                losses.info_nce(*pair, temperature=self.temperature, axis_name=axis_name)
                for pair in zip(predictions, targets, strict=True)
            ]
            return 2 * self.temperature * (values[0] + values[1])

        freezes = self.freeze_patch_embedding and is_vit
        return two_views.compare_with_target(
            self.augment,
            online,
            compare,
            target_momentum=self.target_momentum,
            frozen=_freeze_patch_embedding if freezes else None,
        )

    def _network(self, encoder: nn.Module, axis_name: str | None) -> functional.WithHead:
        num_hidden = 2 if isinstance(encoder, models.ViT) else 1
        widths = (self.projector_width,) * num_hidden + (self.projector_dim,)
        projector = _head(encoder, widths, axis_name, batch_norm_last=True)
        return functional.WithHead(encoder, projector, "projector")


def _head(
    encoder: nn.Module,
    widths: tuple[int, ...],
    axis_name: str | None,
    *,
    batch_norm_last: bool,
) -> heads.MLP:
    return heads.MLP(
        widths,
        batch_norm_last=batch_norm_last,
        last_affine=False,
        last_bias=False,
        dtype=encoder.config.dtype,
        axis_name=axis_name,
    )


def _freeze_patch_embedding(params: PyTree, clock: Clock) -> PyTree:
    """``Method.frozen``: true for the ViT's map from pixels to tokens."""
    del clock
    frozen = jax.tree.map(lambda leaf: False, params)
    embedding = jax.tree.map(lambda leaf: True, params["encoder"]["patch_embedding"])
    return frozen | {"encoder": frozen["encoder"] | {"patch_embedding": embedding}}
