"""DINOv2: iBOT with a head for patches, balanced answers, and class tokens that keep apart."""

import dataclasses
import functools
import math
from collections.abc import Callable
from typing import Any

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
from jaxssl.types import Array, Clock, Embeddings, Features, Method, Metrics, Picture, PyTree, Views

# Of (params, state, views, the student's features of global crops, clock): a value per example.
Term = Callable[[PyTree, PyTree, Views, Features, Clock], tuple[Array, Metrics]]


@dataclasses.dataclass(frozen=True)
class DINOv2:
    """Self-distillation of class tokens and hidden patches, spread and balanced.

    Student and teacher are a ViT with a class token and two heads, projector and prototypes, one
    for class tokens and one for patches; the teacher follows by an exponential moving average. The
    student sees global crops of which blocks of patches may be hidden behind a learned token, and
    local crops; the teacher sees the global crops whole. What it answers is balanced over the
    global batch, so that all prototypes are used alike (``losses.sinkhorn``, with its temperature
    for softness): class tokens of both crops together, hidden patches together.

        loss = class_weight · (cross-entropy of class tokens, mean over crops s != t)
             + patch_weight · (cross-entropy of hidden patches, mean over global crops)
             + koleo_weight · (``losses.koleo`` of its class tokens, sum over global crops)

    The momentum of the teacher goes along a cosine from ``teacher_momentum`` to ``final_momentum``,
    its temperature along a line. Evaluation reads the teacher's encoder. Metrics: ``class_loss``,
    ``patch_loss`` and ``koleo_loss``.

    It differs from the official code in searching neighbours in the global batch (there in each
    device's); in masks drawn for each crop by itself, in exact numbers (there half of a device's
    crops have one, their ratios evenly spread); in a mask token that does not begin at 0; in
    prototypes whose length is fixed; and in stochastic depth that grows with the block (there the
    same everywhere). The authors' encoder: ``layer_scale=1e-5``, ``position="learned"``,
    ``initialization="dino"``, patches of 14 pixels (local crops then of 98), later 4 registers, and
    in the largest ``mlp="swiglu"``. What the optimizer adds in the official runs: AdamW with a
    weight decay that rises from 0.04 to 0.2 along a cosine, a rate of the patch embedding that is a
    fifth of the others', and gradients of encoder and heads clipped at a norm of 3.

    Attributes:
        augment: global and local crops; ``num_local=0`` trains on the global ones alone.
        mask_prob: probability that patches of a global crop are hidden at all.
        mask_ratio: lowest and highest fraction of the patches that are hidden then.
        min_patches: of the smallest block.
        num_prototypes: M, of class tokens.
        patch_prototypes: M of patches.
        student_temperature: T_s.
        teacher_temperature: T_t from ``warmup_epochs`` on.
        warmup_temperature: T_t at the start.
        warmup_epochs: length of the line between them, epochs; 0: no warm-up.
        num_iterations: of balancing.
        teacher_momentum: at the start; nearer to 1 for small batches.
        final_momentum: at the end.
        freeze_epochs: how long all prototypes stay as they began, epochs.
        class_weight: of the class tokens' loss.
        patch_weight: of the hidden patches' loss.
        koleo_weight: of what keeps class tokens apart.
        projector_width: features of both projectors' two hidden layers.
        projector_dim: features that are compared with the prototypes of class tokens.
        patch_projector_dim: features that are compared with those of patches.
        drop_path: rate of stochastic depth in the student; the authors: 0.4.

    Source: Oquab et al., DINOv2: Learning Robust Visual Features without Supervision, 2023,
        arXiv:2304.07193, section 4; numbers from configs/train/vitl14.yaml of
        github.com/facebookresearch/dinov2.
    """

    augment: policies.MultiCrop = policies.dino(
        crop_scale=(0.32, 1.0), local_crop_scale=(0.05, 0.32), num_local=8
    )
    mask_prob: float = 0.5
    mask_ratio: tuple[float, float] = (0.1, 0.5)
    min_patches: int = 4
    num_prototypes: int = 131072
    patch_prototypes: int = 131072
    student_temperature: float = 0.1
    teacher_temperature: float = 0.07
    warmup_temperature: float = 0.04
    warmup_epochs: float = 30.0
    num_iterations: int = 3
    teacher_momentum: float = 0.994
    final_momentum: float = 1.0
    freeze_epochs: float = 1.0
    class_weight: float = 1.0
    patch_weight: float = 1.0
    koleo_weight: float = 0.1
    projector_width: int = 2048
    projector_dim: int = 384
    patch_projector_dim: int = 256
    drop_path: float = 0.0

    def __post_init__(self):
        checks.in_range(self, 0, 1, "mask_prob", "mask_ratio", fix="The authors: 0.5, (0.1, 0.5).")
        checks.in_range(self, 0, 1, "drop_path", open_right=True, fix="The published rate is 0.4.")
        checks.in_range(self, 0, 1, "teacher_momentum", "final_momentum", fix=ema.PUBLISHED)
        temperatures = "student_temperature", "teacher_temperature", "warmup_temperature"
        checks.above(self, 0, *temperatures, fix="Published values lie between 0.04 and 0.1.")
        checks.at_least(self, 0, "warmup_epochs", "freeze_epochs", fix="Use 0 to leave it out.")
        weights = "class_weight", "patch_weight", "koleo_weight"
        checks.at_least(self, 0, *weights, fix="The authors have 1, 1 and 0.1.")
        checks.at_least(self, 1, "num_iterations", "min_patches", fix="The authors: 3 and 4.")
        checks.at_least(self, 2, "num_prototypes", "patch_prototypes", fix="The authors: 131072.")

    def build(self, encoder: nn.Module, *, axis_name: str | None) -> Method:
        """Binds the hyper-parameters; see ``types.Method``.

        Raises:
            ValueError: an encoder without patches or without a class token, or an image that is not
                a multiple of the patches.
        """
        return self.build_with(None, encoder, axis_name=axis_name)

    def build_with(self, term: Term | None, encoder: nn.Module, *, axis_name: str | None) -> Method:
        """``build`` with one more term of the loss, or None."""
        owner = type(self).__name__
        grid = hidden_crops.check_encoder(owner, encoder, self.augment.size)
        depth = multi_crop.count_blocks_to_draw(owner, self.drop_path, encoder)
        most_hidden = max(1, math.ceil(self.mask_ratio[1] * grid[0] * grid[1]))
        of_class, of_patch = (
            teacher.Head(
                teacher.make_projector(encoder, self.projector_width, dim),
                prototypes.Prototypes(num_prototypes, encoder.config.dtype),
                prefix,
            )
            for prefix, dim, num_prototypes in (
                ("", self.projector_dim, self.num_prototypes),
                ("patch_", self.patch_projector_dim, self.patch_prototypes),
            )
        )
        network = functional.WithHead(encoder, of_class.projector, "projector")

        def init(key: Array, views: Views) -> tuple[PyTree, PyTree]:
            encoder_key, class_key, patch_key, token_key = jax.random.split(key, 4)
            encoder_params, encoder_state = functional.init(
                encoder, encoder_key, views["global"][:, 0]
            )
            params, state = {"encoder": encoder_params}, {"encoder": encoder_state}
            tokens = jnp.zeros((1, encoder.config.dimensions.width), jnp.float32)
            for head, head_key in ((of_class, class_key), (of_patch, patch_key)):
                head_params, head_state = head.init(head_key, tokens)
                params, state = params | head_params, state | head_state
            target = ema.start(params, state, tuple(params))
            params["mask_token"] = vits.init_mask_token(token_key, encoder)
            return params, state | {"target": target}

        def teach(state: PyTree, views: Views) -> tuple[Array, Array, Features]:
            """Features and scores of class tokens, [B, 2, ...], and features of global crops."""
            params, crops = state["target"]["params"], views["global"]
            features = hidden_crops.encode(encoder, params, crops)
            rows, scores = of_class(params, features.pooled)
            rows, scores = (x.reshape(*crops.shape[:2], -1) for x in (rows, scores))
            return rows, scores, features

        def balance(scores: Array, temperature: Array, where: Array | None = None) -> Array:
            rows = scores.reshape(-1, scores.shape[-1])
            codes = losses.sinkhorn(
                rows, num_iterations=self.num_iterations, epsilon=temperature, where=where,
                axis_name=axis_name,
            )  # fmt: skip
            return codes.reshape(scores.shape)

        def loss(params, state, views, key, clock):
            del key
            batch = len(views["global"])
            temperature = schedules.warmup(
                self.warmup_temperature, self.teacher_temperature, clock.epoch, self.warmup_epochs
            )
            _, taught_class, taught = jax.lax.stop_gradient(teach(state, views))
            seen = hidden_crops.encode_seen(encoder, params, views, rate=self.drop_path)
            scores = (of_class(params, features.pooled)[1] for features in seen)
            class_values = losses.swav(
                jnp.concatenate([x.reshape(batch, -1, x.shape[-1]) for x in scores], axis=1),
                balance(taught_class, temperature),
                temperature=self.student_temperature,
            )

            asked, is_hidden = hidden_crops.first_hidden(views["hide"], most_hidden)
            _, learnt_patches = of_patch(params, hidden_crops.pick(seen[0], asked))
            _, taught_patches = of_patch(
                state["target"]["params"], hidden_crops.pick(taught, asked)
            )
            patch_values = losses.hidden_cross_entropy(
                learnt_patches,
                balance(jax.lax.stop_gradient(taught_patches), temperature, is_hidden.ravel()),
                is_hidden,
                temperature=self.student_temperature,
            )
            patch_values = patch_values.reshape(batch, -1).mean(axis=1)

            class_tokens = seen[0].pooled.reshape(batch, -1, seen[0].pooled.shape[-1])
            koleo_values: Any = sum(
                losses.koleo(class_tokens[:, crop], axis_name=axis_name)
                for crop in range(class_tokens.shape[1])
            )
            values = (
                self.class_weight * class_values
                + self.patch_weight * patch_values
                + self.koleo_weight * koleo_values
            )
            parts = {"class": class_values, "patch": patch_values, "koleo": koleo_values}
            metrics = {
                f"{name}_loss": jax.lax.stop_gradient(part.mean()) for name, part in parts.items()
            }
            if term is not None:
                more, more_metrics = term(params, state, views, seen[0], clock)
                values, metrics = values + more, metrics | more_metrics
            return values, (state, metrics)

        def advance(params: PyTree, state: PyTree, clock: Clock) -> PyTree:
            momentum = schedules.cosine(self.teacher_momentum, self.final_momentum, clock.progress)
            return state | {"target": ema.follow(state["target"], params, momentum)}

        def frozen(params: PyTree, clock: Clock) -> PyTree:
            names = ("prototypes", "patch_prototypes")
            return teacher.freeze_prototypes(params, clock, self.freeze_epochs, names)

        def embed(params: PyTree, state: PyTree, views: Views) -> Embeddings:
            del params
            rows, scores, _ = teach(state, views)
            answers = jax.nn.softmax(scores[:, 0] / self.teacher_temperature, axis=-1)
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
            min_patches=self.min_patches,
        )
        return assembly.assemble(
            view, init, loss, size=self.augment.size, advance=advance,
            encoder=functional.target_variables, frozen=frozen, embed=embed, show=show,
        )  # fmt: skip
