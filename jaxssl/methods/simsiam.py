"""SimSiam: one view predicts the other's projection; only a stop-gradient prevents collapse."""

import dataclasses

import flax.linen as nn
import jax

from jaxssl import losses
from jaxssl.augment import policies
from jaxssl.methods.shared import functional, two_views
from jaxssl.models import heads
from jaxssl.types import Array, Method, PyTree, Views


@dataclasses.dataclass(frozen=True)
class SimSiam:
    """Simple siamese network: no negatives, no target network, no large batch.

    With p the prediction of one view and z the projection of the other,

        loss = -cos(p_a, z_b) / 2 - cos(p_b, z_a) / 2,   no gradient through z

    It lies in [-1, 1]. The authors keep the predictor's learning rate constant
    (``optimizer.constant_rate`` "predictor").

    Attributes:
        augment: applied twice to every image, with independent keys.
        projector_width: features of the projector's two hidden layers.
        projector_dim: features of the projection.
        predictor_width: features of the predictor's hidden layer, a bottleneck.

    Source: Chen, He: Exploring Simple Siamese Representation Learning, 2020, arXiv:2011.10566,
        section 3 and algorithm 1; views of MoCo v2 as in the authors' main_simsiam.py.
    """

    augment: policies.Pair = policies.moco_v2()
    projector_width: int = 2048
    projector_dim: int = 2048
    predictor_width: int = 512

    def build(self, encoder: nn.Module, *, axis_name: str | None) -> Method:
        """Binds the hyper-parameters; see ``types.Method``."""
        network = self._network(encoder, axis_name)
        predictor = heads.MLP(
            (self.predictor_width, self.projector_dim),
            dtype=encoder.config.dtype,
            axis_name=axis_name,
        )
        siamese = functional.WithPredictor(network, predictor)

        def init(key: Array, views: Views) -> tuple[PyTree, PyTree]:
            return siamese.init(key, views["a"])

        def loss(params, state, views, key, clock):
            del key, clock
            images = two_views.stack(views)
            projections, predictions, state = siamese.apply(params, state, images)
            targets = jax.lax.stop_gradient(projections[::-1])
            distances = losses.cosine_regression(predictions, targets)  # 2 - 2 cos
            return distances.mean(axis=0) / 2 - 1, (state, {})

        return two_views.assemble(self.augment, network, init, loss)

    def _network(self, encoder: nn.Module, axis_name: str | None) -> functional.WithHead:
        projector = heads.MLP(
            (self.projector_width, self.projector_width, self.projector_dim),
            batch_norm_last=True,
            last_affine=False,
            dtype=encoder.config.dtype,
            axis_name=axis_name,
        )
        return functional.WithHead(encoder, projector, "projector")
