"""NNCLR: contrast with the nearest neighbour of a view among recent embeddings."""

import dataclasses

import flax.linen as nn
import jax

from jaxssl import checks, losses
from jaxssl.augment import policies
from jaxssl.methods.shared import functional, queue, two_views
from jaxssl.models import heads
from jaxssl.types import Array, Method, PyTree, Views


@dataclasses.dataclass(frozen=True)
class NNCLR:
    """Nearest-neighbour contrastive learning of representations.

    A queue holds projections of earlier first views. Each projection is replaced by its nearest
    neighbour there, NN(z), and the prediction p of the other view is contrasted with it:

        loss = ( info_nce(NN(z_a), p_b) + info_nce(NN(z_b), p_a) ) / 2

    against the other predictions of the global batch. No gradient flows through NN(z). The queue is
    read before this batch's projections of view a enter it, and is part of every checkpoint.

    Attributes:
        augment: applied twice to every image, with independent keys.
        temperature: of the softmax over similarities.
        queue_size: Q, projections remembered.
        projector_width: features of the projector's two hidden layers.
        projector_dim: features of the projection.
        predictor_width: features of the predictor's hidden layer.

    Source: Dwibedi et al., With a Little Help from My Friends: Nearest-Neighbor Contrastive
        Learning of Visual Representations, 2021, arXiv:2104.14548, eq. 4, algorithm 1 and section
        4.1.
    """

    augment: policies.Pair = policies.simclr()
    temperature: float = 0.1
    queue_size: int = 98304
    projector_width: int = 2048
    projector_dim: int = 256
    predictor_width: int = 4096

    def __post_init__(self):
        checks.at_least(self, 1, "queue_size", fix="The paper takes 98,304.")

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
            network_key, queue_key = jax.random.split(key)
            params, state = siamese.init(network_key, views["a"])
            state["queue"] = queue.start(queue_key, self.queue_size, self.projector_dim)
            return params, state

        def loss(params, state, views, key, clock):
            del key, clock
            images = two_views.stack(views)
            projections, predictions, new_state = siamese.apply(params, state, images)
            bank = state["queue"]
            values: Array | float = 0.0
            for own, other in ((0, 1), (1, 0)):
                nearest = losses.nearest_neighbours(jax.lax.stop_gradient(projections[own]), bank)
                values += losses.info_nce(
                    bank[nearest],
                    predictions[other],
                    temperature=self.temperature,
                    axis_name=axis_name,
                )
            new_state["queue"] = queue.push(bank, projections[0], axis_name=axis_name)
            return values / 2, (new_state, {})

        return two_views.assemble(self.augment, network, init, loss)

    def _network(self, encoder: nn.Module, axis_name: str | None) -> functional.WithHead:
        projector = heads.MLP(
            (self.projector_width, self.projector_width, self.projector_dim),
            batch_norm_last=True,
            dtype=encoder.config.dtype,
            axis_name=axis_name,
        )
        return functional.WithHead(encoder, projector, "projector")
