"""VICReg: views agree, every feature keeps its variance, no two features repeat each other."""

import dataclasses

import flax.linen as nn

from jaxssl import losses
from jaxssl.augment import policies
from jaxssl.methods.shared import functional, two_views
from jaxssl.models import heads
from jaxssl.types import Array, Method, Metrics


@dataclasses.dataclass(frozen=True)
class VICReg:
    """Variance-invariance-covariance regularisation of two views' projections.

    loss = lambda s(a, b) + mu (v(a) + v(b)) + nu (c(a) + c(b)): mean squared distance of the views,
    hinge of each feature's standard deviation at 1, squared covariances; see
    ``losses.vicreg_terms`` for the factors. The three terms are logged.

    Attributes:
        augment: the pair of views; those of the authors' augmentations.py are BYOL's, blurred with
            probabilities 1 and 0.1 and solarised with 0 and 0.2.
        invariance_weight: lambda.
        variance_weight: mu; at 0 the projections collapse.
        covariance_weight: nu.
        projector_width: features of the expander's two hidden layers.
        projector_dim: features of its output.

    Source: Bardes, Ponce, LeCun: VICReg: Variance-Invariance-Covariance Regularization for
        Self-Supervised Learning, 2021, arXiv:2105.04906, section 4; expander as in the authors'
        main_vicreg.py.
    """

    augment: policies.Pair = policies.byol()
    invariance_weight: float = 25.0
    variance_weight: float = 25.0
    covariance_weight: float = 1.0
    projector_width: int = 8192
    projector_dim: int = 8192

    def build(self, encoder: nn.Module, *, axis_name: str | None) -> Method:
        """Binds the hyper-parameters; see ``types.Method``."""

        def compare(view_a: Array, view_b: Array) -> tuple[Array, Metrics]:
            value = losses.vicreg(
                view_a,
                view_b,
                invariance_weight=self.invariance_weight,
                variance_weight=self.variance_weight,
                covariance_weight=self.covariance_weight,
                axis_name=axis_name,
            )
            # The compiler sees that these are computed already.
            return value, losses.vicreg_terms(view_a, view_b, axis_name=axis_name)._asdict()

        network = self._network(encoder, axis_name)
        return two_views.compare_projections(self.augment, network, compare)

    def _network(self, encoder: nn.Module, axis_name: str | None) -> functional.WithHead:
        expander = heads.MLP(
            (self.projector_width, self.projector_width, self.projector_dim),
            last_bias=False,
            dtype=encoder.config.dtype,
            axis_name=axis_name,
        )
        return functional.WithHead(encoder, expander, "projector")
