"""W-MSE: views agree after whitening, which no collapsed representation survives."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxssl import collectives, losses
from jaxssl.augment import recipes
from jaxssl.methods import two_views
from jaxssl.models import functional, heads
from jaxssl.types import Array, Example, Method, PyTree, Views


@dataclasses.dataclass(frozen=True)
class WMSE:
    """Whitening mean squared error of two views' projections.

    The projections of each view are whitened within random parts of the global batch; the value of
    an example is 2 - 2 cos of its two whitened projections, mean over ``num_divisions`` divisions.
    Which part an example falls into is drawn with its views, so that the order of the batch does
    not matter.

    Attributes:
        augment: applied twice to every image, with independent keys.
        whitening_size: images in one part; the paper: twice ``projector_dim``. A batch that is
            smaller is one part.
        num_divisions: random divisions averaged; the authors: 1 for CIFAR, 4 for STL-10.
        epsilon: weight of the identity in the covariance.
        projector_width: features of the projector's hidden layer.
        projector_dim: features that are whitened.

    Source: Ermolov et al., Whitening for Self-Supervised Representation Learning, 2020,
        arXiv:2007.06346, section 3; sizes for STL-10 (two views) from the
        authors' README.
    """

    augment: recipes.SimCLR = recipes.SimCLR(size=224)
    whitening_size: int = 256
    num_divisions: int = 4
    epsilon: float = 1e-5
    projector_width: int = 1024
    projector_dim: int = 128

    def __post_init__(self):
        for field in ("whitening_size", "num_divisions"):
            if getattr(self, field) < 1:
                raise ValueError(
                    f"WMSE: {field} must be at least 1; got {getattr(self, field)}. The paper "
                    "takes parts of twice projector_dim and 1 or 4 divisions."
                )
        if self.whitening_size <= self.projector_dim:
            raise ValueError(
                f"WMSE: whitening_size must be above projector_dim, or a covariance has no "
                f"inverse; got {self.whitening_size} and {self.projector_dim}. The paper takes "
                f"twice as many: {2 * self.projector_dim}."
            )

    def build(self, encoder: nn.Module, *, axis_name: str | None) -> Method:
        """Binds the hyper-parameters; see ``types.Method``."""
        make_pair = two_views.view(self.augment)

        def view(key: Array, example: Example) -> Views:
            pair_key, part_key = jax.random.split(key)
            draws = jax.random.uniform(part_key, (self.num_divisions,), jnp.float32)
            return make_pair(pair_key, example) | {"part": draws}

        def compare(view_a, view_b, views):
            num_rows = len(view_a) * collectives.axis_size(axis_name)
            num_parts = max(num_rows // self.whitening_size, 1)

            def of_division(draws: Array) -> Array:
                everyone = collectives.all_gather(draws, axis_name)
                rank = (everyone[None] < draws[:, None]).sum(axis=1, dtype=jnp.int32)
                return losses.whitening_mse(
                    view_a,
                    view_b,
                    groups=rank % num_parts,
                    num_groups=num_parts,
                    epsilon=self.epsilon,
                    axis_name=axis_name,
                )

            return jax.vmap(of_division, in_axes=1)(views["part"]).mean(axis=0), {}

        made = two_views.method(self.augment, self._network(encoder, axis_name), compare)
        return made._replace(view=view)

    def pictures(
        self, encoder: nn.Module, params: PyTree, state: PyTree, views: Views
    ) -> list[tuple[str, Array]]:
        """See ``two_views.pictures``."""
        return two_views.pictures(self._network(encoder, None), params, state, views)

    def _network(self, encoder: nn.Module, axis_name: str | None) -> functional.WithHead:
        projector = heads.MLP(
            (self.projector_width, self.projector_dim),
            dtype=encoder.config.dtype,
            axis_name=axis_name,
        )
        return functional.WithHead(encoder, projector, "projector")
