"""W-MSE: views agree after whitening, which no collapsed representation survives."""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxssl import checks, collectives, losses
from jaxssl.augment import policies
from jaxssl.methods.shared import functional, two_views
from jaxssl.models import heads
from jaxssl.types import Array, Embeddings, Example, Method, PyTree, Views


@dataclasses.dataclass(frozen=True)
class WMSE:
    """Whitening mean squared error of two views' projections.

    The projections of each view are whitened within random parts of the global batch; the value of
    an example is 2 - 2 cos of its two whitened projections, mean over ``num_divisions`` divisions.
    Which part an example falls into is drawn with its views, so that the order of the batch does
    not matter. The encoder normalises each view by batch statistics of its own, the projector both
    views together. Collapse is measured on the whitened projections of the first division.

    The defaults are the authors' for ImageNet-100; for CIFAR ``num_divisions`` 1, for STL-10 and
    Tiny ImageNet 4:

        data set               size  crop_scale  jitter                grayscale  blur  parts  dim
        ImageNet-100           224   (.08, 1)    (.8, .8, .8, .2)      .2         .5    256    128
        CIFAR-10, CIFAR-100    32    (.2, 1)     (.4, .4, .4, .1)      .1         0     128    64
        STL-10, Tiny ImageNet  64    (.2, 1)     (.4, .4, .4, .1)      .1         0     256    128

    They train with Adam and an L2 penalty of 1e-6, in batches of 512, at a rate of 2e-3 (CIFAR:
    3e-3) that rises over 500 steps and falls to a fifth 50 and 25 epochs before the end.

    Attributes:
        augment: applied twice to every image, with independent keys; the authors crop after the
            colours.
        whitening_size: images in one part; the paper: twice ``projector_dim``. A batch that is
            smaller is one part.
        num_divisions: random divisions averaged.
        epsilon: weight of the identity in the covariance; the authors: 0.
        projector_width: features of the projector's hidden layer.
        projector_dim: features that are whitened.

    Source: Ermolov et al., Whitening for Self-Supervised Representation Learning, 2020,
        arXiv:2007.06346, section 3; numbers for two views from the README, cfg.py and datasets/ of
        the authors' htdt/self-supervised, which views share which statistics from its
        methods/w_mse.py.
    """

    augment: policies.Pair = policies.simclr(interpolation="cubic")
    whitening_size: int = 256
    num_divisions: int = 1
    epsilon: float = 1e-5
    projector_width: int = 1024
    projector_dim: int = 128

    def __post_init__(self):
        fix = "The paper takes parts of twice projector_dim and 1 or 4 divisions."
        checks.at_least(self, 1, "whitening_size", "num_divisions", fix=fix)
        fix = "Of projector_dim rows no covariance has an inverse; the paper takes twice as many."
        checks.above(self, self.projector_dim, "whitening_size", fix=fix)

    def build(self, encoder: nn.Module, *, axis_name: str | None) -> Method:
        """Binds the hyper-parameters; see ``types.Method``."""
        network = self._network(encoder, axis_name)
        encode = functools.partial(functional.apply, encoder)

        def view(key: Array, example: Example) -> Views:
            pair_key, part_key = jax.random.split(key)
            draws = jax.random.uniform(part_key, (self.num_divisions,), jnp.float32)
            return two_views.make_view(self.augment, pair_key, example) | {"part": draws}

        def init(key: Array, views: Views) -> tuple[PyTree, PyTree]:
            return network.init(key, views["a"])

        def project(params: PyTree, state: PyTree, views: Views) -> tuple[list[Array], PyTree]:
            images = two_views.stack(views)
            features, encoder_state = functional.apply_to_views(
                encode, params["encoder"], state["encoder"], images
            )
            both = jnp.concatenate(list(network.read(features)))
            projections, head_state = functional.apply(
                network.head, params["projector"], state["projector"], both
            )
            state = {"encoder": encoder_state, "projector": head_state}
            return jnp.split(projections, 2), state

        def parts(draws: Array) -> tuple[Array, int]:
            """Number of each example's part in one division, [B], and how many parts there are."""
            everyone = collectives.all_gather(draws, axis_name)
            rank = (everyone[None] < draws[:, None]).sum(axis=1, dtype=jnp.int32)
            num_parts = max(len(everyone) // self.whitening_size, 1)
            return rank % num_parts, num_parts

        def loss(params, state, views, key, clock):
            del key, clock
            projections, state = project(params, state, views)

            def of_division(draws: Array) -> Array:
                groups, num_groups = parts(draws)
                return losses.whitening_mse(
                    *projections,
                    groups=groups,
                    num_groups=num_groups,
                    epsilon=self.epsilon,
                    axis_name=axis_name,
                )

            values = jax.vmap(of_division, in_axes=1)(views["part"]).mean(axis=0)
            return values, (state, {})

        def embed(params: PyTree, state: PyTree, views: Views) -> Embeddings:
            projections, _ = project(params, state, views)
            groups, num_groups = parts(views["part"][:, 0])
            whiten = functools.partial(
                losses.whiten,
                groups=groups,
                num_groups=num_groups,
                epsilon=self.epsilon,
                axis_name=axis_name,
            )
            return Embeddings(*map(whiten, projections))

        method = two_views.assemble(self.augment, network, init, loss)
        return method._replace(view=view, embed=embed)

    def _network(self, encoder: nn.Module, axis_name: str | None) -> functional.WithHead:
        projector = heads.MLP(
            (self.projector_width, self.projector_dim),
            dtype=encoder.config.dtype,
            axis_name=axis_name,
        )
        return functional.WithHead(encoder, projector, "projector")
