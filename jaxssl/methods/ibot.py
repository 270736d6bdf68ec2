"""iBOT: DINO, and its teacher's answers for the patches that are hidden from its student."""

import dataclasses
import functools

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxssl import checks, losses, schedules
from jaxssl.augment import policies
from jaxssl.methods.shared import (
    assembly,
    ema,
    functional,
    hidden_crops,
    multi_crop,
    teacher,
    vits,
)
from jaxssl.models import prototypes
from jaxssl.types import (
    Array,
    Clock,
    Embeddings,
    Method,
    Picture,
    PyTree,
    Views,
)

_CENTERS = ("class_center", "patch_center")  # of the scores of class and of patch tokens


@dataclasses.dataclass(frozen=True)
class IBOT:
    """Image BERT pre-training with an online tokenizer: self-distillation of class and patches.

    Student and teacher are a ViT with a class token, a projector and prototypes, for class and
    patch tokens the same; the teacher follows by an exponential moving average. The student sees
    global crops of which blocks of patches may be hidden behind a learned token, and local crops;
    the teacher sees the global crops whole:

        loss = class_weight · (``losses.dino`` of the class tokens, over crops)
             + patch_weight · (``losses.ibot`` of hidden patches, each against itself, mean over
                               global crops)

    with a centre and a temperature for each. The momentum of the teacher rises along a cosine from
    ``teacher_momentum`` to 1, its temperatures along a line. Evaluation reads the teacher's
    encoder. Metrics: ``class_loss``, ``patch_loss`` and ``teacher_entropy``, of the class tokens.

    It differs from the official code in the encoder's fixed positions (there learned; take
    ``position="learned"``, and ``initialization="dino"``), in prototypes whose length is fixed
    (there also for a ViT-B, learned for a ViT-S), and in hiding an exact number of patches
    (``pretext.block_masking.blocks``). What the optimizer adds in the official runs is that of
    DINO: AdamW with a weight decay that rises from 0.04 to 0.4 along a cosine, and each layer's
    gradient clipped at a norm of 3.

    Attributes:
        augment: global and local crops; ``num_local=0`` trains on the global ones alone.
        mask_prob: probability that patches of a global crop are hidden at all.
        mask_ratio: lowest and highest fraction of the patches that are hidden then.
        num_prototypes: M, the "vocabulary".
        student_temperature: T_s.
        teacher_temperature: T_t of class tokens from ``warmup_epochs`` on.
        patch_temperature: T_t of patch tokens from then on.
        warmup_temperature: both at the start.
        warmup_epochs: length of the line between them, epochs; 0: no warm-up.
        center_momentum: of both centres.
        teacher_momentum: at the start; nearer to 1 for small batches.
        freeze_epochs: how long the prototypes stay as they began, epochs.
        class_weight: of the class tokens' loss.
        patch_weight: of the hidden patches' loss.
        projector_width: features of the projector's two hidden layers.
        projector_dim: features that are compared with the prototypes.
        drop_path: rate of stochastic depth in the student; the authors: 0.1.

    Source: Zhou et al., iBOT: Image BERT Pre-Training with Online Tokenizer, 2021,
        arXiv:2111.07832, section 3; numbers of the runs in the README of github.com/bytedance/ibot
        (of its flags' defaults differ: a head of the student's patches of its own, no local crops,
        and a class temperature of 0.04 throughout).
    """

    augment: policies.MultiCrop = policies.dino(
        crop_scale=(0.25, 1.0), local_crop_scale=(0.05, 0.25), num_local=10
    )
    mask_prob: float = 0.5
    mask_ratio: tuple[float, float] = (0.1, 0.5)
    num_prototypes: int = 8192
    student_temperature: float = 0.1
    teacher_temperature: float = 0.07
    patch_temperature: float = 0.07
    warmup_temperature: float = 0.04
    warmup_epochs: float = 30.0
    center_momentum: float = 0.9
    teacher_momentum: float = 0.996
    freeze_epochs: float = 1.0
    class_weight: float = 1.0
    patch_weight: float = 1.0
    projector_width: int = 2048
    projector_dim: int = 256
    drop_path: float = 0.0

    def __post_init__(self):
        checks.in_range(self, 0, 1, "mask_prob", "mask_ratio", fix="The authors: 0.5, (0.1, 0.5).")
        checks.in_range(self, 0, 1, "drop_path", open_right=True, fix="The published rate is 0.1.")
        checks.in_range(self, 0, 1, "center_momentum", "teacher_momentum", fix=ema.PUBLISHED)
        temperatures = "student_temperature", "teacher_temperature", "patch_temperature"
        checks.above(self, 0, *temperatures, fix="Published values lie between 0.04 and 0.1.")
        checks.above(self, 0, "warmup_temperature", fix="The published value is 0.04.")
        checks.at_least(self, 0, "warmup_epochs", "freeze_epochs", fix="Use 0 to leave it out.")
        checks.at_least(self, 0, "class_weight", "patch_weight", fix="The authors have 1.")
        checks.at_least(self, 2, "num_prototypes", fix="The authors have 8192.")

    def build(self, encoder: nn.Module, *, axis_name: str | None) -> Method:
        """Binds the hyper-parameters; see ``types.Method``.

        Raises:
            ValueError: an encoder without patches or without a class token, or an image that is not
                a multiple of the patches.
        """
        grid = hidden_crops.check_encoder("IBOT", encoder, self.augment.size)
        depth = multi_crop.count_blocks_to_draw("IBOT", self.drop_path, encoder)
        projector = teacher.make_projector(encoder, self.projector_width, self.projector_dim)
        network = functional.WithHead(encoder, projector, "projector")
        layer = prototypes.Prototypes(self.num_prototypes, encoder.config.dtype)
        describe = teacher.Head(projector, layer)

        def init(key: Array, views: Views) -> tuple[PyTree, PyTree]:
            network_key, prototypes_key, token_key = jax.random.split(key, 3)
            params, state = network.init(network_key, views["global"][:, 0])
            rows = jnp.zeros((1, self.projector_dim), jnp.float32)
            params["prototypes"], state["prototypes"] = functional.init(layer, prototypes_key, rows)
            target = ema.start(params, state, tuple(params))
            params["mask_token"] = vits.init_mask_token(token_key, encoder)
            centers = {name: jnp.zeros(self.num_prototypes, jnp.float32) for name in _CENTERS}
            return params, state | {"target": target} | centers

        def learn(params: PyTree, views: Views) -> tuple[Array, Array]:
            """The student's scores of class tokens [B, V, M] and of patches [2 B, N, M]."""
            seen = hidden_crops.encode_seen(encoder, params, views, rate=self.drop_path)
            _, of_patches = describe(params, seen[0].tokens)
            scores = (describe(params, features.pooled)[1] for features in seen)
            batch = len(views["global"])
            by_size = [x.reshape(batch, -1, self.num_prototypes) for x in scores]
            return jnp.concatenate(by_size, axis=1), of_patches

        def teach(state: PyTree, views: Views) -> tuple[Array, Array, Array]:
            """The teacher's features and scores of class tokens, [B, 2, ...], and of patches."""
            params, crops = state["target"]["params"], views["global"]
            features = hidden_crops.encode(encoder, params, crops)
            rows, of_class = describe(params, features.pooled)
            _, of_patches = describe(params, features.tokens)
            rows, of_class = (x.reshape(*crops.shape[:2], -1) for x in (rows, of_class))
            return rows, of_class, of_patches

        def loss(params, state, views, key, clock):
            del key
            student_class, student_patches = learn(params, views)
            _, taught_class, taught_patches = jax.lax.stop_gradient(teach(state, views))
            temperature, patch_temperature = (
                schedules.warmup(self.warmup_temperature, end, clock.epoch, self.warmup_epochs)
                for end in (self.teacher_temperature, self.patch_temperature)
            )
            class_values = losses.dino(
                student_class,
                taught_class,
                center=state["class_center"],
                student_temperature=self.student_temperature,
                teacher_temperature=temperature,
            )
            hide = views["hide"]
            patch_values = losses.ibot(
                student_patches,
                taught_patches,
                hide.reshape(-1, hide.shape[-1]),
                center=state["patch_center"],
                student_temperature=self.student_temperature,
                teacher_temperature=patch_temperature,
            )
            patch_values = patch_values.reshape(hide.shape[:2]).mean(axis=1)
            answers = teacher.probabilities(taught_class, state["class_center"], temperature)
            metrics = {
                "class_loss": jax.lax.stop_gradient(class_values.mean()),
                "patch_loss": jax.lax.stop_gradient(patch_values.mean()),
                "teacher_entropy": teacher.entropy(answers).mean(),
            }
            centers = {
                name: losses.dino_center(
                    state[name], taught, momentum=self.center_momentum, axis_name=axis_name
                )
                for name, taught in zip(_CENTERS, (taught_class, taught_patches), strict=True)
            }
            values = self.class_weight * class_values + self.patch_weight * patch_values
            return values, (state | centers, metrics)

        def advance(params: PyTree, state: PyTree, clock: Clock) -> PyTree:
            momentum = schedules.cosine(self.teacher_momentum, 1.0, clock.progress)
            return state | {"target": ema.follow(state["target"], params, momentum)}

        def frozen(params: PyTree, clock: Clock) -> PyTree:
            return teacher.freeze_prototypes(params, clock, self.freeze_epochs)

        def embed(params: PyTree, state: PyTree, views: Views) -> Embeddings:
            del params
            rows, scores, _ = teach(state, views)
            center = state["class_center"]
            answers = teacher.probabilities(scores[:, 0], center, self.teacher_temperature)
            return Embeddings(rows[:, 0], rows[:, 1], answers)

        def show(params: PyTree, state: PyTree, views: Views) -> list[Picture]:
            del params
            return hidden_crops.show(network, **state["target"], views=views)

        view = functools.partial(
            hidden_crops.make_view,
            self.augment,
            depth=depth,
            grid=grid,
            prob=self.mask_prob,
            ratio=self.mask_ratio,
            min_patches=max(1, min(grid) // 3) ** 2,
        )
        return assembly.assemble(
            view, init, loss, size=self.augment.size, advance=advance,
            encoder=functional.target_variables, frozen=frozen, embed=embed, show=show,
        )  # fmt: skip
