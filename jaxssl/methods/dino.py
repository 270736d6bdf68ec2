"""DINO: a student gives small crops the prototypes that its own average gives large ones."""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxssl import checks, losses, schedules
from jaxssl.augment import policies
from jaxssl.methods.shared import assembly, ema, functional, multi_crop, teacher
from jaxssl.models import prototypes
from jaxssl.types import Array, Clock, Embeddings, Method, Picture, PyTree, Views


@dataclasses.dataclass(frozen=True)
class DINO:
    """Self-distillation without labels: a softmax over prototypes, centred and sharpened.

    Student and teacher are encoder, projector and prototypes. The student sees all crops; the
    teacher, a copy that follows by an exponential moving average, sees the global ones. Scores are
    cosines with the prototypes; centring keeps all of them in use, sharpening keeps the teacher
    from the uniform answer:

        P_t = softmax((scores_t - center) / T_t),   P_s = softmax(scores_s / T_s)
        loss = mean over global crops t, crops s != t of  -P_t . log P_s
        center <- m center + (1 - m) mean of the teacher's scores, over the global batch

    The momentum of the teacher rises along a cosine from ``teacher_momentum`` to 1, its
    temperature along a line (the official code: in steps of an epoch). Evaluation reads the
    teacher's encoder. What the optimizer adds in the official runs stands in its own fields: for
    transformers AdamW with a weight decay that rises from 0.04 to 0.4 along a cosine, for ResNet-50
    SGD at a rate of 0.03 with a weight decay of 1e-4, and for both clipping each layer's gradient
    at 3.

    Metrics: ``teacher_entropy``, of P_t, mean over global crops, and ``teacher_student_kl``; they
    add up to the loss. Entropy 0 or log M with a divergence near 0 are the two ways to collapse.

    Attributes:
        augment: global and local crops; ``num_local=0`` trains on the global ones alone.
        num_prototypes: M.
        student_temperature: T_s.
        teacher_temperature: T_t from ``warmup_epochs`` on; above 0.07 the authors found it
            unstable, and 0.04 throughout is the safe choice.
        warmup_temperature: T_t at the start.
        warmup_epochs: length of the line between them, epochs; 0: no warm-up.
        center_momentum: m.
        teacher_momentum: at the start; the paper: 0.996 for batches of 1,024, nearer to 1 for small
            ones (0.9995 for 256).
        freeze_epochs: how long the prototypes stay as they began, epochs.
        projector_width: features of the projector's two hidden layers.
        projector_dim: features that are compared with the prototypes.
        batch_norm: BatchNorm in the projector's hidden layers; the authors' transformers have none.
        drop_path: rate of stochastic depth in the student, if it is a ViT: the probability that its
            last block loses a branch, less before (``models.drop_path``); the authors: 0.1. The
            teacher has none.

    Source: Caron et al., Emerging Properties in Self-Supervised Vision Transformers, 2021,
        arXiv:2104.14294, algorithm 1, section 3 and appendix; the rest from the authors'
        main_dino.py. Their transformers: ``initialization="dino"``, and ``position="learned"`` or,
        fixed, ``position_grid``.
    """

    augment: policies.MultiCrop = policies.dino()
    num_prototypes: int = 65536
    student_temperature: float = 0.1
    teacher_temperature: float = 0.07
    warmup_temperature: float = 0.04
    warmup_epochs: float = 30.0
    center_momentum: float = 0.9
    teacher_momentum: float = 0.996
    freeze_epochs: float = 1.0
    projector_width: int = 2048
    projector_dim: int = 256
    batch_norm: bool = False
    drop_path: float = 0.0

    def __post_init__(self):
        checks.in_range(self, 0, 1, "drop_path", open_right=True, fix="The published rate is 0.1.")
        checks.in_range(self, 0, 1, "center_momentum", "teacher_momentum", fix=ema.PUBLISHED)
        temperatures = "student_temperature", "teacher_temperature", "warmup_temperature"
        checks.above(self, 0, *temperatures, fix="Published values lie between 0.04 and 0.1.")
        checks.at_least(self, 0, "warmup_epochs", "freeze_epochs", fix="Use 0 to leave it out.")
        checks.at_least(self, 2, "num_prototypes", fix="The paper has 65536.")

    def build(self, encoder: nn.Module, *, axis_name: str | None) -> Method:
        """Binds the hyper-parameters; see ``types.Method``."""
        depth = multi_crop.count_blocks_to_draw("DINO", self.drop_path, encoder)
        network = self._network(encoder, axis_name)
        layer = prototypes.Prototypes(self.num_prototypes, encoder.config.dtype)

        def init(key: Array, views: Views) -> tuple[PyTree, PyTree]:
            network_key, prototypes_key = jax.random.split(key)
            params, state = network.init(network_key, views["global"][:, 0])
            rows = jnp.zeros((1, self.projector_dim), jnp.float32)
            params["prototypes"], state["prototypes"] = functional.init(layer, prototypes_key, rows)
            target = ema.start(params, state, tuple(params))
            center = jnp.zeros(self.num_prototypes, jnp.float32)
            return params, state | {"target": target, "center": center}

        def score(
            params: PyTree, state: PyTree, crops: Views, rate: float = 0.0
        ) -> tuple[Array, Array, PyTree]:
            """Features and scores of crops, both [B, V, ...], and the new state."""
            rows, new_state = multi_crop.apply(network, params, state, crops, rate=rate)
            scores = layer.apply({"params": params["prototypes"]}, rows)
            return rows, scores, state | new_state  # type: ignore[return-value]

        def teach(state: PyTree, views: Views) -> tuple[Array, Array, PyTree]:
            target = state["target"]
            return score(target["params"], target["state"], {"global": views["global"]})

        def loss(params, state, views, key, clock):
            del key
            _, student, new_state = score(params, state, views, self.drop_path)
            _, taught, target_state = teach(state, views)
            temperature = schedules.warmup(
                self.warmup_temperature, self.teacher_temperature, clock.epoch, self.warmup_epochs
            )
            center = state["center"]
            values = losses.dino(
                student,
                taught,
                center=center,
                student_temperature=self.student_temperature,
                teacher_temperature=temperature,
            )
            entropy = teacher.entropy(teacher.probabilities(taught, center, temperature)).mean()
            metrics = {
                "teacher_entropy": entropy,
                "teacher_student_kl": jax.lax.stop_gradient(values.mean()) - entropy,
            }
            new_state["target"] = state["target"] | {"state": target_state}
            new_state["center"] = losses.dino_center(
                center, taught, momentum=self.center_momentum, axis_name=axis_name
            )
            return values, (new_state, metrics)

        def advance(params, state, clock):
            momentum = schedules.cosine(self.teacher_momentum, 1.0, clock.progress)
            return state | {"target": ema.follow(state["target"], params, momentum)}

        def frozen(params: PyTree, clock: Clock) -> PyTree:
            return teacher.freeze_prototypes(params, clock, self.freeze_epochs)

        def embed(params: PyTree, state: PyTree, views: Views) -> Embeddings:
            del params
            rows, scores, _ = teach(state, views)
            assignments = teacher.probabilities(
                scores[:, 0], state["center"], self.teacher_temperature
            )
            return Embeddings(rows[:, 0], rows[:, 1], assignments)

        def show(params: PyTree, state: PyTree, views: Views) -> list[Picture]:
            """Which global views the teacher takes for a pair."""
            del params
            return multi_crop.show(network, **state["target"], views=views)

        return assembly.assemble(
            functools.partial(multi_crop.make_view, self.augment, depth=depth),
            init,
            loss,
            size=self.augment.size,
            advance=advance,
            encoder=functional.target_variables,
            frozen=frozen,
            embed=embed,
            show=show,
        )

    def _network(self, encoder: nn.Module, axis_name: str | None) -> functional.WithHead:
        projector = teacher.make_projector(
            encoder,
            self.projector_width,
            self.projector_dim,
            batch_norm=self.batch_norm,
            axis_name=axis_name,
        )
        return functional.WithHead(encoder, projector, "projector")
