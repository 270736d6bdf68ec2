"""What DINO, iBOT and DINOv2 share: heads, the teacher's probabilities, prototypes that wait."""

import dataclasses

import flax.linen as nn
import jax

from jaxssl.methods.shared import functional
from jaxssl.models import heads
from jaxssl.types import Array, Clock, PyTree


def make_projector(
    encoder: nn.Module,
    width: int,
    dim: int,
    *,
    batch_norm: bool = False,
    axis_name: str | None = None,
) -> heads.MLP:
    """Three layers with exact GELU, from an encoder's features to those of prototypes.

    Args:
        encoder: whose compute dtype it has.
        width: features of the two hidden layers.
        dim: features of the last.
        batch_norm: BatchNorm in the hidden layers.
        axis_name: device axis over which that is synchronised, or None.
    """
    return heads.MLP(
        (width, width, dim),
        batch_norm=batch_norm,
        activation="gelu",
        # The authors truncate it at 100 standard deviations, which changes nothing.
        kernel_init=nn.initializers.normal(0.02),
        dtype=encoder.config.dtype,
        axis_name=axis_name,
    )


@dataclasses.dataclass(frozen=True)
class Head:
    """A projector and prototypes, under their names in params and state; called with params.

    Attributes:
        projector: a linen module.
        prototypes: a linen module, which reads what the projector makes.
        prefix: of the names "projector" and "prototypes".
    """

    projector: nn.Module
    prototypes: nn.Module
    prefix: str = ""

    def init(self, key: Array, tokens: Array) -> tuple[PyTree, PyTree]:
        """``(params, state)`` of both, from tokens [B, D]."""
        projector_key, prototypes_key = jax.random.split(key)
        params, state = functional.init(self.projector, projector_key, tokens)
        rows = self.projector.apply(functional.variables(params, state), tokens)
        of_rows, of_rows_state = functional.init(self.prototypes, prototypes_key, rows)
        names = f"{self.prefix}projector", f"{self.prefix}prototypes"
        return dict(zip(names, (params, of_rows))), dict(zip(names, (state, of_rows_state)))

    def __call__(self, params: PyTree, tokens: Array) -> tuple[Array, Array]:
        """Features and scores, [..., M], of tokens [..., D]."""
        rows = self.projector.apply({"params": params[f"{self.prefix}projector"]}, tokens)
        scores = self.prototypes.apply({"params": params[f"{self.prefix}prototypes"]}, rows)
        return rows, scores  # type: ignore[return-value]


def probabilities(scores: Array, center: Array, temperature: Array | float) -> Array:
    """P_t, softmax((scores - center) / temperature), of the teacher's scores [..., M]."""
    shape = (1,) * (scores.ndim - 1) + center.shape
    return jax.nn.softmax((scores - center.reshape(shape)) / temperature, axis=-1)


def entropy(probabilities: Array) -> Array:
    """In nats, [...], of probabilities [..., M]."""
    return jax.scipy.special.entr(probabilities).sum(axis=-1)


def freeze_prototypes(
    params: PyTree, clock: Clock, num_epochs: float, names: tuple[str, ...] = ("prototypes",)
) -> PyTree:
    """``Method.frozen`` where the prototypes of those names stay as they began for some epochs."""
    nowhere = jax.tree.map(lambda _: False, params)
    is_early = clock.epoch < num_epochs
    return nowhere | {name: jax.tree.map(lambda _: is_early, params[name]) for name in names}
