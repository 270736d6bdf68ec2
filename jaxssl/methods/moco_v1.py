"""MoCo v1: recognise a view's twin, encoded by a momentum encoder, against a queue of others."""

import dataclasses
from typing import Literal

import flax.linen as nn
import jax

from jaxssl import checks, losses
from jaxssl.augment import policies
from jaxssl.losses import numerics
from jaxssl.methods.shared import ema, functional, queue, two_views
from jaxssl.models import heads
from jaxssl.types import Array, Method, PyTree, Views


@dataclasses.dataclass(frozen=True)
class MoCoV1:
    """Momentum contrast: many negatives without a large batch.

    With q the projection of view a, k that of view b by the momentum encoder, and the queue of
    keys k of earlier batches,

        loss = -log( exp(cos(q, k) / T) / (exp(cos(q, k) / T) + sum_n exp(cos(q, queue_n) / T)) )

    The unit keys enter the queue after the loss is taken, and push the oldest out; the queue is
    part of every checkpoint. The momentum encoder, encoder and projector, follows the online one by
    an exponential moving average. No gradient flows into keys or queue.

    The paper shuffles examples between devices, so that a query and its key are not normalised
    together with the same companions, by whose statistics the key could be recognised. Here no
    shuffling is needed: keys are normalised by moving averages, those of the online network's batch
    statistics, which follow like the parameters (Cai et al. 2021) and say nothing of the batch.
    The averages begin with a low momentum (``ema.warm_up``), since their initial values say
    nothing of the network and the weights move most at first: without it short runs collapsed.
    Batch statistics instead, though synchronised, tell the keys of this batch from those of the
    queue, as the MoCo authors point out (github.com/facebookresearch/moco/issues/46).

    Attributes:
        augment: applied twice to every image, with independent keys.
        temperature: T, of the softmax over similarities.
        queue_size: keys remembered.
        target_momentum: of the momentum encoder, constant.
        projector_dim: features of the projection, a linear map.
        key_statistics: what normalises keys: "moving" averages, or their own "batch".

    Source: He et al., Momentum Contrast for Unsupervised Visual Representation Learning, 2019,
        arXiv:1911.05722, eq. 1 and 2, algorithm 1, section 3.3; numbers from the authors'
        main_moco.py; moving statistics: Cai et al., Exponential Moving Average Normalization for
        Self-supervised and Semi-supervised Learning, 2021, arXiv:2101.08482, section 3.2.
    """

    augment: policies.Pair = policies.moco_v1()
    temperature: float = 0.07
    queue_size: int = 65536
    target_momentum: float = 0.999
    projector_dim: int = 128
    key_statistics: Literal["moving", "batch"] = "moving"

    def __post_init__(self):
        checks.above(self, 0, "temperature", fix="Usual values are 0.05 to 0.5.")
        checks.at_least(self, 1, "queue_size")
        checks.in_range(self, 0, 1, "target_momentum", fix=ema.PUBLISHED)
        checks.choice(self, ("moving", "batch"), "key_statistics")

    def build(self, encoder: nn.Module, *, axis_name: str | None) -> Method:
        """Binds the hyper-parameters; see ``types.Method``."""
        network = self._network(encoder, axis_name)

        def init(key: Array, views: Views) -> tuple[PyTree, PyTree]:
            network_key, queue_key = jax.random.split(key)
            params, state = network.init(network_key, views["a"])
            rows = queue.start(queue_key, self.queue_size, self.projector_dim)
            target = ema.start(params, state, network.names)
            return params, state | {"queue": rows, "target": target}

        def encode_keys(target: PyTree, images: Array) -> tuple[Array, PyTree]:
            if self.key_statistics == "moving":
                return network.predict(target["params"], target["state"], images), target
            rows, target_state = network.apply(target["params"], target["state"], images)
            return rows, target | {"state": target_state}

        def loss(params, state, views, key, clock):
            del key, clock
            query, new_state = network.apply(params, state, views["a"])
            positive, new_state["target"] = encode_keys(state["target"], views["b"])
            positive = numerics.unit_rows(jax.lax.stop_gradient(positive))
            values = losses.info_nce(
                query,
                positive,
                negatives=state["queue"],
                temperature=self.temperature,
                axis_name=axis_name,
            )
            new_state["queue"] = queue.push(state["queue"], positive, axis_name=axis_name)
            return values, (new_state, {})

        def advance(params, state, clock):
            target = ema.follow(state["target"], params, self.target_momentum)
            if self.key_statistics == "moving":
                online = {name: state[name] for name in network.names}
                momentum = ema.warm_up(self.target_momentum, clock.step)
                target["state"] = ema.update(target["state"], online, momentum)
            return state | {"target": target}

        return two_views.assemble(self.augment, network, init, loss, advance=advance)

    def _network(self, encoder: nn.Module, axis_name: str | None) -> functional.WithHead:
        del axis_name  # no batch norm in the projector
        projector = heads.MLP(self._widths(), batch_norm=False, dtype=encoder.config.dtype)
        return functional.WithHead(encoder, projector, "projector")

    def _widths(self) -> tuple[int, ...]:
        """Output features of each layer of the projector."""
        return (self.projector_dim,)
