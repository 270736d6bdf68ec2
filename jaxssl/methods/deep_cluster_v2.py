"""DeepCluster-v2: classify crops into the clusters of the last epoch's embeddings."""

import dataclasses
from collections.abc import Callable
from typing import Self

import flax.linen as nn
import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from jaxssl import checks, collectives, losses
from jaxssl.augment import policies
from jaxssl.losses import numerics
from jaxssl.methods.shared import assembly, clusters, functional, kmeans, multi_crop
from jaxssl.types import Array, Clock, Embeddings, Example, Method, Picture, PyTree, Views


@dataclasses.dataclass(frozen=True)
class DeepClusterV2:
    """Clustering of a memory of embeddings in turn with learning to predict the clusters.

    A memory keeps, for each image of the training split, the unit projections of its two global
    crops when it was last seen. Every ``cluster_every`` epochs a spherical k-means of the memory
    makes the prototypes of each head; heads take the two crops' memories in turn and differ in
    their random start. The target of an image is the prototype nearest to what the memory holds of
    it, looked up before this step's projections replace it:

        loss = mean over heads and crops of  -log softmax( z C_h / T ) at the image's prototype

    No gradient flows into prototypes. The authors fill the memory by a pass over the data before
    training. Here prototypes are random until the first clustering. Until then, and for an image
    that was never seen, the target is the hard ``losses.sinkhorn`` code of its present projection,
    which spreads the batch evenly over the prototypes: the nearest ones would be a few for all
    images, and the network would collapse onto them.

    The memory, float32 [2, N, D], is a part of the state, equal on all devices, and of every
    checkpoint.

    Attributes:
        augment: two global crops and small local ones.
        temperature: T of the predictions.
        num_prototypes: M, clusters of each head, at most the number of images.
        num_heads: clusterings.
        kmeans_iterations: of each clustering.
        cluster_every: epochs between clusterings, may be a fraction; the authors: 1.
        projector_width: features of the projector's hidden layer.
        projector_dim: features that are clustered.
        num_examples: N, images of the training split; ``prepare`` sets it.

    Source: Caron et al., Unsupervised Learning of Visual Features by Contrasting Cluster
        Assignments, 2020, arXiv:2006.09882, appendix (DeepCluster-v2); numbers from the authors'
        main_deepclusterv2.py and scripts.
    """

    augment: policies.MultiCrop = policies.swav()
    temperature: float = 0.1
    num_prototypes: int = 3000
    num_heads: int = 3
    kmeans_iterations: int = 10
    cluster_every: float = 1.0
    projector_width: int = 2048
    projector_dim: int = 128
    num_examples: int = 0

    def __post_init__(self):
        fix = "The published run has 3 heads of 3,000 prototypes and 10 iterations."
        checks.at_least(self, 2, "num_prototypes", fix=fix)
        checks.at_least(self, 1, "num_heads", "kmeans_iterations", fix=fix)
        checks.above(self, 0, "cluster_every", fix="The published value is 1, of an epoch.")

    def prepare(self, num_examples: int, sample: Callable[[], np.ndarray]) -> Self:
        """A copy with a memory for so many images; see ``types.MethodConfig``."""
        del sample
        return dataclasses.replace(self, num_examples=num_examples)

    def build(self, encoder: nn.Module, *, axis_name: str | None) -> Method:
        """Binds the hyper-parameters; see ``types.Method``.

        Raises:
            ValueError: the number of images is not set, or below the number of prototypes.
        """
        self._check_num_examples()
        network = self._network(encoder, axis_name)

        def view(key: Array, example: Example) -> Views:
            crops = multi_crop.make_view(self.augment, key, example)
            return crops | {"index": example["index"]}

        def init(key: Array, views: Views) -> tuple[PyTree, PyTree]:
            network_key, prototypes_key, kmeans_key = jax.random.split(key, 3)
            params, state = network.init(network_key, views["global"][:, 0])
            shape = (self.num_heads, self.num_prototypes, self.projector_dim)
            return params, state | {
                "bank": jnp.zeros((2, self.num_examples, self.projector_dim), jnp.float32),
                "prototypes": numerics.unit_rows(jax.random.normal(prototypes_key, shape)),
                "key": jax.random.key_data(kmeans_key),
                "num_clusterings": jnp.int32(0),
            }

        def loss(params, state, views, key, clock):
            del key
            state = state | self._cluster(state, clock)
            projections, new_state = clusters.project(network, params, state, views)
            targets = self._targets(state, views["index"], projections, axis_name)
            values = self._values(state["prototypes"], projections, targets)
            index, rows = collectives.all_gather_equal(
                (views["index"], lax.stop_gradient(projections[:, :2])), axis_name
            )
            new_state["bank"] = state["bank"].at[:, index].set(rows.swapaxes(0, 1))
            return values, (state | new_state, {})

        def embed(params: PyTree, state: PyTree, views: Views) -> Embeddings:
            only_global = {"global": views["global"]}
            projections, _ = clusters.project(network, params, state, only_global)
            targets = self._targets(state, views["index"], projections, axis_name)
            codes = jax.nn.one_hot(targets[0], self.num_prototypes, dtype=jnp.float32)
            return Embeddings(projections[:, 0], projections[:, 1], codes)

        def show(params: PyTree, state: PyTree, views: Views) -> list[Picture]:
            return clusters.show(network, params, state, views, state["prototypes"][0])

        return assembly.assemble(view, init, loss, size=self.augment.size, embed=embed, show=show)

    def _cluster(self, state: PyTree, clock: Clock) -> PyTree:
        """Prototypes, and how many clusterings were due, once this step's epoch has begun."""
        num_due = jnp.floor(clock.epoch / self.cluster_every).astype(jnp.int32)
        key = jax.random.fold_in(jax.random.wrap_key_data(state["key"]), num_due)

        def head(inputs: tuple[Array, Array, Array]) -> Array:
            head_key, index, previous = inputs
            return kmeans.fit(
                head_key, state["bank"][index % 2], previous, num_iterations=self.kmeans_iterations
            )

        def cluster() -> Array:
            indices = jnp.arange(self.num_heads)
            keys = jax.random.split(key, self.num_heads)
            return lax.map(head, (keys, indices, state["prototypes"]))

        is_due = num_due > state["num_clusterings"]
        prototypes = lax.cond(is_due, cluster, lambda: state["prototypes"])
        return {"prototypes": prototypes, "num_clusterings": num_due}

    def _targets(
        self, state: PyTree, index: Array, projections: Array, axis_name: str | None
    ) -> Array:
        """The prototype of each image in each head, int32 [heads, B]."""
        stored = state["bank"][:, index]
        present = lax.stop_gradient(projections[:, :2]).swapaxes(0, 1)
        is_known = kmeans.is_filled(stored) & (state["num_clusterings"] > 0)
        targets = []
        for head, prototypes in enumerate(state["prototypes"]):
            scores = kmeans.cosines(present[head % 2], prototypes)
            spread = jnp.argmax(losses.sinkhorn(scores, axis_name=axis_name), axis=-1)
            nearest = kmeans.nearest(stored[head % 2], prototypes)
            targets.append(jnp.where(is_known[head % 2], nearest, spread.astype(jnp.int32)))
        return jnp.stack(targets)

    def _values(self, prototypes: Array, projections: Array, targets: Array) -> Array:
        """The loss [B] of projections [B, V, D], mean over heads and crops."""
        num_examples, num_views, _ = projections.shape
        rows = projections.reshape(num_examples * num_views, -1)
        values = [
            losses.prototype_cross_entropy(
                rows, of_head, jnp.repeat(targets[head], num_views), temperature=self.temperature
            )
            for head, of_head in enumerate(prototypes)
        ]
        return jnp.stack(values).reshape(-1, num_examples, num_views).mean(axis=(0, 2))

    def _check_num_examples(self) -> None:
        if not self.num_examples:
            raise ValueError(
                "DeepClusterV2: num_examples must be the number of training images; got 0. Use "
                "the config that prepare(num_examples, sample) returns."
            )
        if self.num_examples < self.num_prototypes:
            raise ValueError(
                "DeepClusterV2: num_prototypes must be at most the number of training images, "
                f"{self.num_examples}; got {self.num_prototypes}. Lower num_prototypes."
            )

    def _network(self, encoder: nn.Module, axis_name: str | None) -> functional.WithHead:
        return clusters.build_network(encoder, self.projector_width, self.projector_dim, axis_name)
