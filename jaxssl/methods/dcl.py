"""DCL and DCLW: SimCLR's contrast without the positive pair among the negatives."""

import dataclasses

import flax.linen as nn

from jaxssl import losses
from jaxssl.augment import policies
from jaxssl.methods.shared import functional, two_views
from jaxssl.models import heads
from jaxssl.types import Array, Method, Metrics


@dataclasses.dataclass(frozen=True)
class DCL:
    """Decoupled contrastive learning of two augmented views.

    As SimCLR, but the pair is left out of the sum over negatives, so that easy pairs do not weaken
    the gradient; made for small batches. See ``losses.dcl``.

    Attributes:
        augment: applied twice to every image, with independent keys.
        temperature: of the similarities.
        projector_width: features of the projector's hidden layer.
        projector_dim: features that are compared.
        block_size: rows of a tile of the similarity matrix; 0 computes it whole.

    Source: Yeh et al., Decoupled Contrastive Learning, 2021, arXiv:2110.06848, section 3; projector
        as in SimCLR, which it changes.
    """

    augment: policies.Pair = policies.simclr()
    temperature: float = 0.1
    projector_width: int = 2048
    projector_dim: int = 128
    block_size: int = 0

    def build(self, encoder: nn.Module, *, axis_name: str | None) -> Method:
        """Binds the hyper-parameters; see ``types.Method``."""

        def compare(view_a: Array, view_b: Array) -> tuple[Array, Metrics]:
            return self._values(view_a, view_b, axis_name), {}

        network = self._network(encoder, axis_name)
        return two_views.compare_projections(self.augment, network, compare)

    def _values(self, view_a: Array, view_b: Array, axis_name: str | None) -> Array:
        return losses.dcl(
            view_a,
            view_b,
            temperature=self.temperature,
            block_size=self.block_size or None,
            axis_name=axis_name,
        )

    def _network(self, encoder: nn.Module, axis_name: str | None) -> functional.WithHead:
        projector = heads.MLP(
            (self.projector_width, self.projector_dim),
            batch_norm_last=True,
            last_center=False,
            dtype=encoder.config.dtype,
            axis_name=axis_name,
        )
        return functional.WithHead(encoder, projector, "projector")


@dataclasses.dataclass(frozen=True)
class DCLW(DCL):
    """DCL whose hard pairs pull more: positives weighed by a von Mises-Fisher factor.

    The fields are those of DCL and one more; see ``losses.dclw``.

    Attributes:
        sigma: width of the weighting; large values give DCL.

    Source: Yeh et al., Decoupled Contrastive Learning, 2021, arXiv:2110.06848, section 3.
    """

    sigma: float = 0.5

    def _values(self, view_a: Array, view_b: Array, axis_name: str | None) -> Array:
        return losses.dclw(
            view_a,
            view_b,
            temperature=self.temperature,
            sigma=self.sigma,
            block_size=self.block_size or None,
            axis_name=axis_name,
        )
