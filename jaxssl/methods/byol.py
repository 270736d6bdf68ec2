"""BYOL: predict a slowly moving target network's projection of another view; no negatives."""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxssl import losses, schedules
from jaxssl.augment import recipes
from jaxssl.models import ema, functional, heads
from jaxssl.types import Array, Embeddings, Example, Method, PyTree, Views


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

    augment: recipes.BYOL = recipes.BYOL(size=224)
    target_momentum: float = 0.99
    projector_width: int = 4096
    projector_dim: int = 256
    predictor_width: int = 4096

    def __post_init__(self):
        functional.check_momentum("BYOL", "target_momentum", self.target_momentum)

    def build(self, encoder: nn.Module, *, axis_name: str | None) -> Method:
        """Binds the hyper-parameters; see ``types.Method``."""
        head = functools.partial(
            heads.MLP, last_bias=False, dtype=encoder.config.dtype, axis_name=axis_name
        )
        projector = head((self.projector_width, self.projector_dim))
        predictor = head((self.predictor_width, self.projector_dim))
        network = functional.WithHead(encoder, projector, "projector")
        predict = functools.partial(functional.apply, predictor)

        def view(key: Array, example: Example) -> Views:
            view_a, view_b = self.augment.pair(key, example["image"])
            return {"a": view_a, "b": view_b}

        def init(key: Array, views: Views) -> tuple[PyTree, PyTree]:
            network_key, predictor_key = jax.random.split(key)
            params, state = network.init(network_key, views["a"])
            target = ema.copy({"params": params, "state": state})
            projections = jnp.zeros((1, self.projector_dim), jnp.float32)
            params["predictor"], state["predictor"] = functional.init(
                predictor, predictor_key, projections
            )
            return params, state | {"target": target}

        def online(params: PyTree, state: PyTree, images: Array) -> tuple[Array, PyTree]:
            projections, new_state = functional.over_views(network.apply, params, state, images)
            predictions, new_state["predictor"] = functional.over_views(
                predict, params["predictor"], state["predictor"], projections
            )
            return predictions, new_state

        def loss(params, state, views, key, clock):
            del key, clock
            images = jnp.stack([views["a"], views["b"]])
            predictions, new_state = online(params, state, images)
            target = state["target"]
            targets, target_state = functional.over_views(
                network.apply, target["params"], target["state"], images
            )
            values = losses.cosine_regression(predictions, jax.lax.stop_gradient(targets[::-1]))
            new_state["target"] = target | {"state": target_state}
            return values.sum(axis=0), (new_state, {})

        def advance(params, state, clock):
            momentum = schedules.cosine(self.target_momentum, 1.0, clock.progress)
            target = state["target"]
            followed = {name: params[name] for name in target["params"]}
            moved = ema.update(target["params"], followed, momentum)
            return state | {"target": target | {"params": moved}}

        def embed(params: PyTree, state: PyTree, views: Views) -> Embeddings:
            images = jnp.stack([views["a"], views["b"]])
            return Embeddings(*functional.over_views(network.apply, params, state, images)[0])

        return Method(
            view=view,
            init=init,
            loss=loss,
            advance=advance,
            encoder=functional.encoder_variables,
            embed=embed,
        )
