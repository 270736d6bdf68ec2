"""Supervised learning: the method whose label is the data set's."""

import dataclasses
from typing import ClassVar, Self

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxssl import checks, collectives, losses, pooling
from jaxssl.augment import mixing, policies
from jaxssl.methods.shared import assembly, ema, functional, multi_crop
from jaxssl.models import drop_path, heads
from jaxssl.types import Array, Clock, Example, Features, Method, PyTree, Question, Views


@dataclasses.dataclass(frozen=True)
class Supervised:
    """Classification by the labels of the data set: fine-tuning, and the supervised baseline.

    The one method that reads labels. A linear head on the pooled features names the class, or with
    a grid on the means of the cells of the encoder's map:

        value = cross_entropy(head(encoder(view)), label)

    With mixup or cutmix, the image at position p of the global batch of G is mixed with the one at
    G - 1 - p, by numbers of its own, and pays by its share w for either label:

        value = w cross_entropy(·, label) + (1 - w) cross_entropy(·, partner's label)

    The defaults are those of fine-tuning with few labels: crop and flip alone. Those of masked
    autoencoders on all labels: two operations of RandAugment of magnitude 9, label smoothing 0.1,
    mixup 0.8, cutmix 1.0, drop-path 0.1, and in the optimizer a layer decay of 0.75.

    Attributes:
        augment: the view; its colours, blur and solarisation are off by default.
        rand_augment: operations after it.
        class_names: one per class, which a run takes from its data set.
        grid: side S of the grid that the tokens are averaged to for the head, [B, S · S · D], as
            ``pooling.grid_pool`` does it; 1: the encoder's pooled features. Small images whose
            things all lie alike gain much by it with few labels.
        label_smoothing: in [0, 1).
        mixup: alpha of its Beta distribution; 0 leaves it out.
        cutmix: alpha of its Beta distribution; 0 leaves it out.
        drop_path: rate of stochastic depth, if the encoder is a ViT; see ``models.drop_path``.
        ema_momentum: of an average of the weights, which evaluation then reads, warmed up as
            ``ema.warm_up`` says; 0 keeps none.

    Source: the recipe: He et al., Masked Autoencoders Are Scalable Vision Learners, 2021,
        arXiv:2111.06377, table 9; crop and flip alone: Chen et al., SimCLR, 2020,
        arXiv:2002.05709, appendix B.5; the averaged weights: Polyak and Juditsky, Acceleration of
        Stochastic Approximation by Averaging, 1992.
    """

    READS_LABEL: ClassVar[bool] = True

    augment: policies.View = policies.View(
        size=224, jitter_prob=0.0, grayscale_prob=0.0, blur_prob=0.0
    )
    rand_augment: policies.RandAugment = policies.RandAugment()
    class_names: tuple[str, ...] = ()
    grid: int = 1
    label_smoothing: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    drop_path: float = 0.0
    ema_momentum: float = 0.0

    def __post_init__(self):
        checks.at_least(self, 1, "grid", fix="1 is the encoder's pooled features.")
        fix = "The published value is 0.1."
        checks.in_range(self, 0, 1, "label_smoothing", "drop_path", open_right=True, fix=fix)
        checks.at_least(self, 0, "mixup", "cutmix", fix="Use 0 to leave it out.")
        checks.in_range(self, 0, 1, "ema_momentum", open_right=True, fix=ema.PUBLISHED)

    def with_classes(self, names: tuple[str, ...]) -> Self:
        """The same for a data set of so many classes; see ``types.MethodConfig``."""
        return dataclasses.replace(self, class_names=tuple(names))

    def with_classifier(
        self, params: PyTree, state: PyTree, kernel: Array, bias: Array
    ) -> tuple[PyTree, PyTree]:
        """The first state with another head; see ``types.MethodConfig``."""
        params = params | {"head": {"layer1": {"kernel": kernel, "bias": bias}}}
        if self.ema_momentum:
            state = state | {"target": ema.start(params, state, ("encoder", "head"))}
        return params, state

    def read_features(self, features: Features) -> Array:
        """What the head is given of the encoder's output; see ``types.MethodConfig``."""
        if self.grid == 1:
            return features.pooled
        side = min(features.maps[-1].shape[1:3]) if features.maps else 1
        fix = "The encoder's map has no more cells a side."
        checks.in_range(self, 1, side, "grid", fix=fix)
        # Tokens and not the map, which in a ViT has not gone through the final norm.
        return pooling.grid_pool(features.tokens.reshape(features.maps[-1].shape), self.grid)

    def build(self, encoder: nn.Module, *, axis_name: str | None) -> Method:
        """Binds the hyper-parameters; see ``types.Method``."""
        num_classes = len(self.class_names)
        if num_classes < 2:
            raise ValueError(
                f"Supervised: there must be at least two classes; got {num_classes}"
                f"{': ' if num_classes else ''}{', '.join(self.class_names)}. A run takes them "
                "from its data set: give one with several classes."
            )
        depth = multi_crop.count_blocks_to_draw("Supervised", self.drop_path, encoder)
        head = heads.MLP(
            (num_classes,), kernel_init=nn.initializers.normal(0.01), dtype=encoder.config.dtype
        )
        network = functional.WithHead(encoder, head, read=self.read_features)
        mixes = self.mixup > 0 or self.cutmix > 0

        def view(key: Array, example: Example) -> Views:
            keys = jax.random.split(key, 4)
            image = self.rand_augment(keys[1], self.augment(keys[0], example["image"]))
            views: Views = {"image": image, "label": example["label"]}
            if mixes:
                size = self.augment.size
                views["mix"] = mixing.draw(keys[2], mixup=self.mixup, cutmix=self.cutmix, size=size)
            if depth:
                views["branch"] = jax.random.uniform(keys[3], (depth, 2))
            return views

        def init(key: Array, views: Views) -> tuple[PyTree, PyTree]:
            params, state = network.init(key, views["image"])
            if self.ema_momentum:
                state["target"] = ema.start(params, state, network.names)
            return params, state

        def loss(params, state, views, key, clock):
            del key, clock
            images, labels = views["image"], views["label"]
            if mixes:
                partners, others = collectives.reversed_rows((images, labels), axis_name)
                images, shares = mixing.apply(images, partners, views["mix"])
            options = {}
            if depth:
                scale = drop_path.branch_scale(views["branch"], rate=self.drop_path)
                options["branch_scale"] = scale
            logits, new_state = network.apply(params, state, images, **options)
            values = losses.cross_entropy(logits, labels, label_smoothing=self.label_smoothing)
            if mixes:
                theirs = losses.cross_entropy(logits, others, label_smoothing=self.label_smoothing)
                values = shares * values + (1 - shares) * theirs
                labels = jnp.where(shares >= 0.5, labels, others)
            accuracy = jnp.mean((logits.argmax(-1) == labels).astype(jnp.float32))
            return values, (state | new_state, {"accuracy": accuracy})

        def advance(params: PyTree, state: PyTree, clock: Clock) -> PyTree:
            momentum = ema.warm_up(self.ema_momentum, clock.step)
            kept = {name: state[name] for name in network.names}
            now = {"params": params, "state": kept}
            return state | {"target": ema.update(state["target"], now, momentum)}

        def evaluated(params: PyTree, state: PyTree) -> tuple[PyTree, PyTree]:
            if not self.ema_momentum:
                return params, state
            return state["target"]["params"], state["target"]["state"]

        def export(params: PyTree, state: PyTree) -> PyTree:
            return functional.encoder_variables(*evaluated(params, state))

        def answer(params: PyTree, state: PyTree, views: Views) -> Array:
            return network.predict(*evaluated(params, state), views["image"])

        return assembly.assemble(
            view,
            init,
            loss,
            size=self.augment.size,
            advance=advance if self.ema_momentum else None,
            encoder=export,
            ask=lambda views: Question(views["image"][:, None], views["label"], num_classes),
            answer=answer,
            reads_label=True,
        )
