"""MSN: what is left of a view is assigned to the prototypes that a whole other view has."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxssl import checks, losses, schedules
from jaxssl.augment import policies
from jaxssl.methods.shared import assembly, ema, functional, multi_crop, teacher, vits
from jaxssl.models import patches, prototypes
from jaxssl.pretext import masking
from jaxssl.types import Array, Clock, Embeddings, Example, Method, Picture, PyTree, Views


@dataclasses.dataclass(frozen=True)
class MSN:
    """Masked Siamese networks: soft assignments of a masked view, predicted as those of another.

    Encoder and projector, and a target that follows by an exponential moving average; prototypes
    are shared. The target sees one global crop; the anchors are the visible patches of another one,
    which the encoder is given alone, and local crops:

        P = softmax(scores / T),   P+ = sinkhorn of softmax(target's scores / (T · sharpening))
        loss = mean over anchors of  -P+ . log P  + memax_weight · ``losses.mean_entropy`` of them

    The momentum of the target rises along a line from ``target_momentum``; it would reach 1 after
    1.25 times the run. Evaluation reads the target encoder. Metrics: ``assignment_loss`` and
    ``memax_loss``.

    It differs from the official code in patches that are dropped for each image by itself (there
    alike for all images of a device), in the encoder's fixed positions (there learned; take
    ``position="learned"``, and ``initialization="dino"``). What the optimizer adds in the official
    runs: AdamW with a weight decay that rises from 0.04 to 0.4 along a cosine and spares the
    prototypes, and gradients clipped at a norm of 3.

    Attributes:
        augment: global and local crops.
        mask_ratio: fraction of the anchor's patches that are dropped; 0.15 for a ViT-S, 0.3 for a
            ViT-B, 0.7 for a ViT-L.
        num_prototypes: M.
        temperature: T.
        sharpening: of targets; 1: none.
        balance: whether targets are balanced over the global batch.
        memax_weight: of what keeps all prototypes in use.
        target_momentum: at the start.
        projector_width: features of the projector's two hidden layers, with BatchNorm.
        projector_dim: features that are compared with the prototypes.

    Source: Assran et al., Masked Siamese Networks for Label-Efficient Learning, 2022,
        arXiv:2204.07141, section 3, eqs. 1 and 2; numbers from configs/pretrain/msn_vits16.yaml of
        github.com/facebookresearch/msn.
    """

    augment: policies.MultiCrop = policies.swav(
        crop_scale=(0.3, 1.0), local_crop_scale=(0.05, 0.3), num_local=10, jitter_strength=0.5
    )
    mask_ratio: float = 0.15
    num_prototypes: int = 1024
    temperature: float = 0.1
    sharpening: float = 0.25
    balance: bool = True
    memax_weight: float = 1.0
    target_momentum: float = 0.996
    projector_width: int = 2048
    projector_dim: int = 256

    def __post_init__(self):
        checks.in_range(self, 0, 1, "target_momentum", fix=ema.PUBLISHED)
        checks.above(self, 0, "temperature", "sharpening", fix="The authors have 0.1 and 0.25.")
        checks.at_least(self, 0, "memax_weight", fix="The authors have 1.")
        checks.at_least(self, 2, "num_prototypes", fix="The authors have 1024.")

    def build(self, encoder: nn.Module, *, axis_name: str | None) -> Method:
        """Binds the hyper-parameters; see ``types.Method``.

        Raises:
            ValueError: an encoder without patches, an image that is not a multiple of them, or a
                mask that leaves none or all of them.
        """
        vits.check_encoder("MSN", encoder, can="encode visible patches alone")
        size, patch_size = self.augment.size, encoder.config.patch_size
        rows, columns = patches.patch_grid(size, size, patch_size, caller="MSN")
        projector = teacher.make_projector(
            encoder, self.projector_width, self.projector_dim, batch_norm=True, axis_name=axis_name
        )
        network = functional.WithHead(encoder, projector, "projector")
        layer = prototypes.Prototypes(self.num_prototypes, encoder.config.dtype)

        def view(key: Array, example: Example) -> Views:
            crop_key, mask_key = jax.random.split(key)
            keep, _ = masking.random_masking(mask_key, rows * columns, self.mask_ratio)
            return multi_crop.make_view(self.augment, crop_key, example) | {"keep": keep}

        def init(key: Array, views: Views) -> tuple[PyTree, PyTree]:
            network_key, prototypes_key = jax.random.split(key)
            params, state = network.init(network_key, views["global"][:, 0])
            target = ema.start(params, state, network.names)
            like = jnp.zeros((1, self.projector_dim), jnp.float32)
            params["prototypes"], state["prototypes"] = functional.init(layer, prototypes_key, like)
            return params, state | {"target": target}

        def project(params: PyTree, state: PyTree, crops: Array, **options) -> tuple[Array, PyTree]:
            """Rows [B, V, D] of crops [B, V, H, W, C], and the projector's state."""
            images = crops.reshape(-1, *crops.shape[2:])
            features = encoder.apply({"params": params["encoder"]}, images, **options)
            projected, of_projector = functional.apply(
                projector,
                params["projector"],
                state["projector"],
                features.pooled,  # type: ignore[union-attr]
            )
            return projected.reshape(*crops.shape[:2], -1), state | {"projector": of_projector}

        def score(params: PyTree, projected: Array) -> Array:
            return layer.apply({"params": params["prototypes"]}, projected)  # type: ignore[return-value]

        def loss(params, state, views, key, clock):
            del key, clock
            anchors, new_state = project(params, state, views["global"][:, 1:], keep=views["keep"])
            if "local" in views:
                local, new_state = project(params, new_state, views["local"])
                anchors = jnp.concatenate([anchors, local], axis=1)
            target = state["target"]
            aim, target_state = project(target["params"], target["state"], views["global"][:, :1])
            scores = score(params, anchors)
            targets = jax.lax.stop_gradient(self._assign(score(params, aim)[:, 0], axis_name))
            targets = jnp.broadcast_to(targets[:, None], scores.shape)
            values = losses.soft_cross_entropy(scores / self.temperature, targets).mean(axis=1)
            memax = losses.mean_entropy(scores, temperature=self.temperature, axis_name=axis_name)
            metrics = {
                "assignment_loss": jax.lax.stop_gradient(values.mean()),
                "memax_loss": jax.lax.stop_gradient(memax),
            }
            new_state = new_state | {"target": target | {"state": target_state}}
            return values + self.memax_weight * memax, (new_state, metrics)

        def advance(params: PyTree, state: PyTree, clock: Clock) -> PyTree:
            momentum = schedules.warmup(self.target_momentum, 1.0, clock.progress, 1.25)
            return state | {"target": ema.follow(state["target"], params, momentum)}

        def embed(params: PyTree, state: PyTree, views: Views) -> Embeddings:
            target = state["target"]
            projected, _ = project(target["params"], target["state"], views["global"])
            answers = jax.nn.softmax(score(params, projected[:, 0]) / self.temperature, axis=-1)
            return Embeddings(projected[:, 0], projected[:, 1], answers)

        def show(params: PyTree, state: PyTree, views: Views) -> list[Picture]:
            """What is left of an anchor, and which global views the target takes for a pair."""
            del params
            dropped = ~vits.where_of(views["keep"], rows * columns)
            left = vits.cover(views["global"][:, 1], dropped, patch_size)
            pictures = multi_crop.show(network, **state["target"], views=views)
            return [*pictures, ("what the encoder sees of view b", left)]

        return assembly.assemble(
            view, init, loss, size=size, advance=advance,
            encoder=functional.target_variables, embed=embed, show=show,
        )  # fmt: skip

    def _assign(self, scores: Array, axis_name: str | None) -> Array:
        """P+ [B, M] of the target's scores [B, M]."""
        log_prob = jax.nn.log_softmax(scores / (self.temperature * self.sharpening), axis=-1)
        if not self.balance:
            return jnp.exp(log_prob)
        return losses.sinkhorn(log_prob, epsilon=1.0, axis_name=axis_name)
