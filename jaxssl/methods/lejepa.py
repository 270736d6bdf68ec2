"""LeJEPA: views of an image agree, and all embeddings together are normally distributed."""

import dataclasses
import functools

import flax.linen as nn

from jaxssl import checks, losses
from jaxssl.augment import policies
from jaxssl.methods.shared import assembly, functional, multi_crop
from jaxssl.models import heads
from jaxssl.types import Array, Embeddings, Method, PyTree, Views


@dataclasses.dataclass(frozen=True)
class LeJEPA:
    """Prediction of the mean of the global views, with SIGReg as the only guard against collapse.

    One encoder and one projector see all crops; there is no teacher, no predictor, no stopped
    gradient and no schedule:

        center_b = mean over global views of z_bv
        loss_b = (1 - w) mean_vd (z_bvd - center_bd)^2 + w SIGReg(z)

    SIGReg compares the projections of the global batch with a standard normal distribution, view by
    view, along random directions that are drawn anew at every step. The loss is comparable between
    runs; the metrics ``view_invariance`` and ``sigreg`` are its two terms, and ``sigreg`` is about
    1.06 at its best.

    Attributes:
        augment: global and local crops; ``num_local=0`` trains on the global ones alone.
        sigreg_weight: w, in [0, 1]; the paper's lambda, for which it tries 0.01 to 0.1.
        num_slices: random directions; the authors' minimal example has 256.
        num_knots: frequencies on [0, ``max_frequency``].
        max_frequency: the largest one.
        projector_width: features of the projector's two hidden layers.
        projector_dim: features that are compared; 16 in the authors' minimal example.
        drop_path: rate of stochastic depth, if the encoder is a ViT: the probability that its last
            block loses a branch, less before (``models.drop_path``); 0.1 in that example.

    Source: Balestriero and LeCun, LeJEPA: Provable and Scalable Self-Supervised Learning Without
        the Heuristics, 2025, arXiv:2511.08544, algorithm 2; projector from the authors' minimal
        example, its output as in lightly. It trains with AdamW at a rate of 5e-4 that ends at a
        thousandth, and a weight decay of 5e-2 for transformers, 5e-4 for ResNets (the authors'
        README).
    """

    augment: policies.MultiCrop = policies.lejepa()
    sigreg_weight: float = 0.05
    num_slices: int = 1024
    num_knots: int = 17
    max_frequency: float = 3.0
    projector_width: int = 2048
    projector_dim: int = 64
    drop_path: float = 0.0

    def __post_init__(self):
        checks.in_range(self, 0, 1, "drop_path", open_right=True, fix="The published rate is 0.1.")
        checks.in_range(self, 0, 1, "sigreg_weight", fix="The published value is 0.05.")

    def build(self, encoder: nn.Module, *, axis_name: str | None) -> Method:
        """Binds the hyper-parameters; see ``types.Method``."""
        depth = multi_crop.count_blocks_to_draw("LeJEPA", self.drop_path, encoder)
        network = self._network(encoder, axis_name)

        def init(key: Array, views: Views) -> tuple[PyTree, PyTree]:
            return network.init(key, views["global"][:, 0])

        def loss(params, state, views, key, clock):
            del clock
            projections, state = multi_crop.apply(
                network, params, state, views, rate=self.drop_path
            )
            num_global = views["global"].shape[1]
            invariance = losses.view_invariance(projections, num_global=num_global)
            sigreg = losses.sigreg(
                key,
                projections,
                num_slices=self.num_slices,
                num_knots=self.num_knots,
                max_frequency=self.max_frequency,
                axis_name=axis_name,
            )
            values = (1 - self.sigreg_weight) * invariance + self.sigreg_weight * sigreg
            return values, (state, {"view_invariance": invariance.mean(), "sigreg": sigreg})

        def embed(params: PyTree, state: PyTree, views: Views) -> Embeddings:
            crops = {"global": views["global"]}
            projections, _ = multi_crop.apply(network, params, state, crops)
            return Embeddings(projections[:, 0], projections[:, 1])

        return assembly.assemble(
            functools.partial(multi_crop.make_view, self.augment, depth=depth),
            init,
            loss,
            size=self.augment.size,
            embed=embed,
            show=functools.partial(multi_crop.show, network),
        )

    def _network(self, encoder: nn.Module, axis_name: str | None) -> functional.WithHead:
        projector = heads.MLP(
            (self.projector_width, self.projector_width, self.projector_dim),
            dtype=encoder.config.dtype,
            axis_name=axis_name,
        )
        return functional.WithHead(encoder, projector, "projector")
