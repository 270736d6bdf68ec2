"""DINOv3: DINOv2 whose patches go on to resemble each other as they did earlier."""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxssl import checks, losses
from jaxssl.methods import dino_v2
from jaxssl.methods.shared import hidden_crops
from jaxssl.types import Array, Clock, Features, Method, Metrics, PyTree, Views


@dataclasses.dataclass(frozen=True)
class DINOv3(dino_v2.DINOv2):
    """Self-distillation as in DINOv2, and Gram anchoring of the student's patches.

    In long runs class tokens go on improving while patches lose their place. From ``gram_epoch`` on
    the cosines between the student's patches are held to those of an earlier teacher, the anchor:

        loss = (that of ``DINOv2``) + gram_weight · (``losses.gram`` of the student's patches and
               the anchor's, mean over global crops)

    The anchor is the teacher as it was at ``gram_epoch``, taken anew ``gram_updates`` times, every
    ``gram_every`` epochs; until then it is the teacher as it is. The fields are those of DINOv2 and
    four more, with a momentum that stays. Its encoder: ``position="rope"``, 4 registers,
    ``layer_scale=1e-5``, ``mlp="swiglu"`` in the largest, patches of 16 pixels. Metrics:
    ``gram_loss`` too.

    It differs from the official code in what DINOv2 differs in; in an anchor that sees the
    student's crops (there crops of twice the size without colours, its patches averaged down, which
    the paper calls high-resolution anchoring and adds to what is here); in a weight that begins at
    once (there along a cosine of 1000 steps); and in leaving out the halved weight of local crops,
    norms of their own for class tokens of local crops, and coordinates that are rescaled at random.

    Attributes:
        gram_weight: of the anchoring.
        gram_epoch: when it begins, epochs; the authors': of 1000 steps each.
        gram_every: epochs until the anchor is taken anew.
        gram_updates: how often it is; 0: it stays.

    Source: Siméoni et al., DINOv3, 2025, arXiv:2508.10104, sections 3 and 4; numbers from
        configs/train/dinov3_vit7b16_pretrain.yaml and dinov3_vit7b16_gram_anchor.yaml of
        github.com/facebookresearch/dinov3, but for the heads of its network of 7B parameters, for
        which ssl_default_config.yaml has those below.
    """

    num_prototypes: int = 65536
    patch_prototypes: int = 65536
    projector_dim: int = 256
    warmup_epochs: float = 100.0
    final_momentum: float = 0.994
    freeze_epochs: float = 5.0
    gram_weight: float = 2.0
    gram_epoch: float = 1000.0
    gram_every: float = 10.0
    gram_updates: int = 3

    def __post_init__(self):
        super().__post_init__()
        checks.at_least(self, 0, "gram_weight", fix="The authors have 2.")
        checks.at_least(self, 0, "gram_epoch", "gram_updates", fix="The authors: 1000 and 3.")
        checks.above(self, 0, "gram_every", fix="The authors take it anew every 10 epochs.")

    def build(self, encoder: nn.Module, *, axis_name: str | None) -> Method:
        """Binds the hyper-parameters; see ``DINOv2.build``."""

        def anchoring(
            params: PyTree, state: PyTree, views: Views, learnt: Features, clock: Clock
        ) -> tuple[Array, Metrics]:
            del params
            crops = views["global"]
            anchor = hidden_crops.encode(encoder, {"encoder": state["anchor"]}, crops).tokens
            values = losses.gram(learnt.tokens, jax.lax.stop_gradient(anchor))
            values = values.reshape(crops.shape[:2]).mean(axis=1)
            weight = jnp.where(clock.epoch < self.gram_epoch, 0.0, self.gram_weight)
            return weight * values, {"gram_loss": jax.lax.stop_gradient(values.mean())}

        method = self.build_with(anchoring, encoder, axis_name=axis_name)

        def init(key: Array, views: Views) -> tuple[PyTree, PyTree]:
            params, state = method.init(key, views)
            anchor = jax.tree.map(jnp.copy, params["encoder"])
            return params, state | {"anchor": anchor, "anchored": jnp.int32(0)}

        def advance(params: PyTree, state: PyTree, clock: Clock) -> PyTree:
            state = method.advance(params, state, clock)
            since = (clock.epoch - self.gram_epoch) / self.gram_every
            anchored = jnp.clip(jnp.floor(since), 0, self.gram_updates).astype(jnp.int32)
            is_due = (since < 0) | (anchored > state["anchored"])
            taught = state["target"]["params"]["encoder"]
            anchor = jax.tree.map(
                lambda new, old: jnp.where(is_due, new, old), taught, state["anchor"]
            )
            return state | {"anchor": anchor, "anchored": anchored}

        return method._replace(init=init, advance=advance)
