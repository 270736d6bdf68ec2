"""SwAV: predict the cluster assignment of one view of an image from the others."""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxssl import checks, losses
from jaxssl.augment import policies
from jaxssl.methods.shared import assembly, clusters, functional, multi_crop, queue
from jaxssl.models import prototypes
from jaxssl.types import Array, Clock, Embeddings, Method, Picture, PyTree, Views


@dataclasses.dataclass(frozen=True)
class SwAV:
    """Swapping assignments between views, over many crops.

    With z the unit projections of all crops and C the unit prototypes, the scores z C of each of
    the two global views are turned into codes that use all prototypes equally over the global batch
    (``losses.sinkhorn``), and every other crop predicts them:

        loss = mean over global i and crops v != i of  -sum_m code_im log softmax( z_v C / T )_m

    A queue of earlier projections, one for each global view, steadies the codes of small batches:
    it fills from ``queue_epochs`` on, and once it is full its scores join the batch's in
    ``sinkhorn``; it is read before this batch's projections enter it.

    Prototypes are L2-normalised in every use, and gradients flow through that; the authors
    normalise the parameter itself before each step, which is the same to first order.

    Attributes:
        augment: two global crops and small local ones.
        temperature: T of the predictions.
        num_prototypes: M.
        epsilon: softness of the codes; the authors advise 0.03 where the loss stays at log M.
        num_iterations: of the Sinkhorn normalisation.
        projector_width: features of the projector's hidden layer.
        projector_dim: features that are compared with prototypes.
        freeze_epochs: epochs in which prototypes do not move; the authors: 313 steps of batch
            4,096, one epoch of ImageNet.
        queue_size: projections remembered of each global view, over all devices: the authors'
            3,840 for batches of 256; 0 for none, as they do for 4,096.
        queue_epochs: epochs before the queue begins to fill.

    Source: Caron et al., Unsupervised Learning of Visual Features by Contrasting Cluster
        Assignments, 2020, arXiv:2006.09882, sections 3.1 and 3.2; numbers from the authors'
        main_swav.py and scripts.
    """

    augment: policies.MultiCrop = policies.swav()
    temperature: float = 0.1
    num_prototypes: int = 3000
    epsilon: float = 0.05
    num_iterations: int = 3
    projector_width: int = 2048
    projector_dim: int = 128
    freeze_epochs: float = 1.0
    queue_size: int = 3840
    queue_epochs: float = 15.0

    def __post_init__(self):
        fix = "The paper takes 3,000 for 1,000 classes."
        checks.at_least(self, 2, "num_prototypes", fix=fix)
        checks.at_least(self, 0, "queue_size", fix="Use 0 for no queue.")

    def build(self, encoder: nn.Module, *, axis_name: str | None) -> Method:
        """Binds the hyper-parameters; see ``types.Method``."""
        network = self._network(encoder, axis_name)
        layer = prototypes.Prototypes(self.num_prototypes)

        def scores_of(params: PyTree, projections: Array) -> Array:
            return layer.apply({"params": params["prototypes"]}, projections)  # type: ignore[return-value]

        def init(key: Array, views: Views) -> tuple[PyTree, PyTree]:
            network_key, prototypes_key = jax.random.split(key)
            params, state = network.init(network_key, views["global"][:, 0])
            rows = jnp.zeros((1, self.projector_dim), jnp.float32)
            params["prototypes"], _ = functional.init(layer, prototypes_key, rows)
            if self.queue_size:
                state["queue"] = jnp.zeros((2, self.queue_size, self.projector_dim), jnp.float32)
            return params, state

        def codes_of(params: PyTree, state: PyTree, scores: Array) -> Array:
            """The assignments [B, 2, M] of the global views, from their scores."""
            scores = jax.lax.stop_gradient(scores)
            codes = self._codes(scores, axis_name)
            if not self.queue_size:
                return codes
            rows = [queue.share(rows, axis_name=axis_name) for rows in state["queue"]]
            queued = jax.lax.stop_gradient(scores_of(params, jnp.stack(rows, axis=1)))
            steadied = self._codes(jnp.concatenate([scores, queued]), axis_name)[: len(scores)]
            is_full = jnp.any(state["queue"][0, -1] != 0)
            return jnp.where(is_full, steadied, codes)

        def push(rows: Array, projections: Array, epoch: Array) -> Array:
            """The queues [2, Q, D] with the global views' projections [B, 2, D] in front."""
            queues = [
                queue.push(old, projections[:, index], axis_name=axis_name)
                for index, old in enumerate(rows)
            ]
            return jnp.where(epoch >= self.queue_epochs, jnp.stack(queues), rows)

        def loss(params, state, views, key, clock):
            del key
            projections, new_state = clusters.project(network, params, state, views)
            scores = scores_of(params, projections)
            codes = codes_of(params, state, scores[:, :2])
            values = losses.swav(scores, codes, temperature=self.temperature)
            if self.queue_size:
                new_state["queue"] = push(state["queue"], projections[:, :2], clock.epoch)
            return values, (new_state, {})

        def frozen(params: PyTree, clock: Clock) -> PyTree:
            nowhere = jax.tree.map(lambda _: False, params)
            return nowhere | {"prototypes": {"kernel": clock.epoch < self.freeze_epochs}}

        def embed(params: PyTree, state: PyTree, views: Views) -> Embeddings:
            only_global = {"global": views["global"]}
            projections, _ = clusters.project(network, params, state, only_global)
            codes = codes_of(params, state, scores_of(params, projections))
            return Embeddings(projections[:, 0], projections[:, 1], codes[:, 0])

        def show(params: PyTree, state: PyTree, views: Views) -> list[Picture]:
            return clusters.show(network, params, state, views, params["prototypes"]["kernel"].T)

        return assembly.assemble(
            functools.partial(multi_crop.make_view, self.augment),
            init,
            loss,
            size=self.augment.size,
            frozen=frozen,
            embed=embed,
            show=show,
        )

    def _codes(self, scores: Array, axis_name: str | None) -> Array:
        return losses.sinkhorn(
            scores,
            num_iterations=self.num_iterations,
            epsilon=self.epsilon,
            axis_name=axis_name,
        )

    def _network(self, encoder: nn.Module, axis_name: str | None) -> functional.WithHead:
        return clusters.build_network(encoder, self.projector_width, self.projector_dim, axis_name)
