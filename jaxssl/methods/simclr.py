"""SimCLR: two views of an image agree, views of different images do not."""

import dataclasses

import flax.linen as nn
import jax.numpy as jnp

from jaxssl import losses
from jaxssl.augment import policies
from jaxssl.methods.shared import functional, two_views
from jaxssl.models import heads
from jaxssl.types import Array, Embeddings, Method, PyTree, Views


@dataclasses.dataclass(frozen=True)
class SimCLR:
    """Contrastive learning of two augmented views.

    Both views pass encoder and projector in one batch, so that batch norm sees all 2G of them, on
    all devices; loss = nt_xent(projection of view a, projection of view b) with all other views of
    the global batch as negatives.

    Attributes:
        augment: applied twice to every image, with independent keys.
        temperature: of the softmax over similarities; the paper: 0.1 for ImageNet, 0.5 for
            CIFAR-10.
        projector_width: features of the projector's hidden layer.
        projector_dim: features that are compared.
        block_size: rows of a tile of the similarity matrix; 0 computes it whole. Tiles give the
            same numbers with memory linear in the batch.

    Source: Chen et al., A Simple Framework for Contrastive Learning of Visual Representations,
        2020, arXiv:2002.05709, alg. 1; batch norm in every layer of the projector, in the last
        with a scale but no bias, as in the authors' model_util.py.
    """

    augment: policies.Pair = policies.simclr()
    temperature: float = 0.1
    projector_width: int = 2048
    projector_dim: int = 128
    block_size: int = 0

    def build(self, encoder: nn.Module, *, axis_name: str | None) -> Method:
        """Binds the hyper-parameters; see ``types.Method``."""
        network = self._network(encoder, axis_name)

        def project(params: PyTree, state: PyTree, views: Views) -> tuple[list[Array], PyTree]:
            images = jnp.concatenate([views["a"], views["b"]])
            projections, state = network.apply(params, state, images)
            return jnp.split(projections, 2), state

        def init(key: Array, views: Views) -> tuple[PyTree, PyTree]:
            return network.init(key, views["a"])

        def loss(params, state, views, key, clock):
            del key, clock
            projections, state = project(params, state, views)
            values = losses.nt_xent(
                *projections,
                temperature=self.temperature,
                block_size=self.block_size or None,
                axis_name=axis_name,
            )
            return values, (state, {})

        def embed(params: PyTree, state: PyTree, views: Views) -> Embeddings:
            projections, _ = project(params, state, views)
            return Embeddings(*projections)

        return two_views.assemble(self.augment, network, init, loss)._replace(embed=embed)

    def _network(self, encoder: nn.Module, axis_name: str | None) -> functional.WithHead:
        projector = heads.MLP(
            (self.projector_width, self.projector_dim),
            batch_norm_last=True,
            last_center=False,
            dtype=encoder.config.dtype,
            axis_name=axis_name,
        )
        return functional.WithHead(encoder, projector, "projector")
