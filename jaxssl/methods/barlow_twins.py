"""Barlow Twins: the cross-correlation of two views' features becomes the identity."""

import dataclasses

import flax.linen as nn

from jaxssl import losses
from jaxssl.augment import policies
from jaxssl.methods.shared import functional, two_views
from jaxssl.models import heads
from jaxssl.types import Array, Embeddings, Method, Metrics, PyTree, Views


@dataclasses.dataclass(frozen=True)
class BarlowTwins:
    """Redundancy reduction: every feature agrees between views and repeats no other.

    loss = sum_i (1 - C_ii)^2 + lambda sum_{i != j} C_ij^2, with C the cross-correlation of the two
    views' projections over the global batch. No negatives, no target network, no predictor.
    Collapse is measured on the standardised projections.

    Attributes:
        augment: the pair of views; blur and solarisation differ between them.
        redundancy_weight: lambda.
        projector_width: features of the projector's two hidden layers.
        projector_dim: features that are correlated; more are better, against habit.

    Source: Zbontar et al., Barlow Twins: Self-Supervised Learning via Redundancy Reduction, 2021,
        arXiv:2103.03230, section 2 and algorithm 1; projector without biases as in the authors'
        main.py. It trains with LARS, a learning rate of 0.2 a batch of 256 for weights and 0.0048
        for biases and normalisation (``optimizer.other_rate`` 0.024).
    """

    augment: policies.Pair = policies.byol()
    redundancy_weight: float = 0.0051
    projector_width: int = 8192
    projector_dim: int = 8192

    def build(self, encoder: nn.Module, *, axis_name: str | None) -> Method:
        """Binds the hyper-parameters; see ``types.Method``."""

        def compare(view_a: Array, view_b: Array) -> tuple[Array, Metrics]:
            value = losses.barlow_twins(
                view_a, view_b, redundancy_weight=self.redundancy_weight, axis_name=axis_name
            )
            return value, {}

        network = self._network(encoder, axis_name)
        method = two_views.compare_projections(self.augment, network, compare)

        compared = method.embed
        assert compared is not None

        def embed(params: PyTree, state: PyTree, views: Views) -> Embeddings:
            first, second, _ = compared(params, state, views)
            assert second is not None
            return Embeddings(
                losses.standardise(first, axis_name=axis_name),
                losses.standardise(second, axis_name=axis_name),
            )

        return method._replace(embed=embed)

    def _network(self, encoder: nn.Module, axis_name: str | None) -> functional.WithHead:
        projector = heads.MLP(
            (self.projector_width, self.projector_width, self.projector_dim),
            last_bias=False,
            dtype=encoder.config.dtype,
            axis_name=axis_name,
        )
        return functional.WithHead(encoder, projector, "projector")
