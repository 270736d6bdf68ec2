"""BYOL: predict a slowly moving target network's projection of another view; no negatives."""

import dataclasses

import flax.linen as nn

from jaxssl import checks, losses
from jaxssl.augment import policies
from jaxssl.methods.shared import ema, functional, two_views
from jaxssl.models import heads
from jaxssl.types import Array, Method


@dataclasses.dataclass(frozen=True)
class BYOL:
    """Bootstrap your own latent: regression of one network on a moving average of itself.

    The online network is encoder, projector and predictor; the target is a copy of encoder and
    projector that follows by an exponential moving average. With q the online prediction of one
    view and z the target projection of the other,

        loss = (2 - 2 cos(q_a, z_b)) + (2 - 2 cos(q_b, z_a)),   no gradient through z

    The momentum of the target rises along a cosine from ``target_momentum`` to 1. Each view is
    normalised by batch statistics of its own, and the target by its own too.

    Attributes:
        augment: the pair of views; blur and solarisation differ between them.
        target_momentum: at the start; the paper: 0.996 for 1,000 epochs, 0.99 for 100 and 300, 0.97
            for 40.
        projector_width: features of the projector's hidden layer.
        projector_dim: features of the projection.
        predictor_width: features of the predictor's hidden layer.

    Source: Grill et al., Bootstrap Your Own Latent, 2020, arXiv:2006.07733, section 3 and
        appendix A; defaults for 300 epochs from the authors' configs/byol.py.
    """

    augment: policies.Pair = policies.byol()
    target_momentum: float = 0.99
    projector_width: int = 4096
    projector_dim: int = 256
    predictor_width: int = 4096

    def __post_init__(self):
        checks.in_range(self, 0, 1, "target_momentum", fix=ema.PUBLISHED)

    def build(self, encoder: nn.Module, *, axis_name: str | None) -> Method:
        """Binds the hyper-parameters; see ``types.Method``."""
        network = self._network(encoder, axis_name)
        online = functional.WithPredictor(
            network, _head(encoder, (self.predictor_width, self.projector_dim), axis_name)
        )

        def compare(predictions: Array, targets: Array) -> Array:
            return losses.cosine_regression(predictions, targets).sum(axis=0)

        return two_views.compare_with_target(
            self.augment, online, compare, target_momentum=self.target_momentum
        )

    def _network(self, encoder: nn.Module, axis_name: str | None) -> functional.WithHead:
        projector = _head(encoder, (self.projector_width, self.projector_dim), axis_name)
        return functional.WithHead(encoder, projector, "projector")


def _head(encoder: nn.Module, widths: tuple[int, ...], axis_name: str | None) -> heads.MLP:
    return heads.MLP(widths, last_bias=False, dtype=encoder.config.dtype, axis_name=axis_name)
