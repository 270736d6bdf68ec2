"""Context prediction: on which side of the first patch does the second one lie?"""

import dataclasses
import functools
from typing import ClassVar, Literal

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxssl import checks, losses
from jaxssl.augment import geometry, policies
from jaxssl.methods.shared import assembly, functional
from jaxssl.models import heads
from jaxssl.pretext import patches, shortcuts
from jaxssl.types import Array, Example, Features, Method, Picture, PyTree, Question, Views

COLORS = ("dropping", "projection", "none")


@dataclasses.dataclass(frozen=True)
class ContextPrediction:
    """Context prediction: two neighbouring patches of a 3 x 3 grid, which of 8 places?

    The grid lies anywhere in the image. Its centre and one of the 8 patches around it go through
    the same encoder, each alone; an MLP reads both pooled features and names the place of the
    second, seen from the first. Each pair is asked in both orders, with opposite answers, which
    costs the head only:

        loss = 1/2 (cross_entropy(head(f1, f2), k) + cross_entropy(head(f2, f1), 7 - k)).

    Lines and textures that run on from patch to patch would give the answer away, so there is a gap
    and a jitter; so would chromatic aberration, hence ``color``; and sharp pixels, hence
    ``resample_prob``. With 0, 0, "none" and 0 there are no counter-measures at all.

    The paper resizes an image to 150,000 - 450,000 pixels and samples grids there; the default crop
    of 400 pixels covers the same fractions. Different from it: one grid an image visit instead of
    four, batch norm in both hidden layers of the head (the official code: in the first), no
    rescaling of a patch to equal contrast (the code: to one root mean square), and coarse patches
    are antialiased.

    Attributes:
        augment: of the whole image, before patches are cut; a grid takes 3 · patch_size + 2 · gap +
            2 · jitter pixels of it.
        patch_size: side of a patch, pixels.
        gap: between patches of the grid, pixels.
        jitter: largest shift of each patch in each direction, pixels.
        color: "dropping" keeps one channel of each patch and fills two with noise, "projection"
            removes green against magenta, "none" leaves colours, and is all that images without
            exactly three channels allow.
        noise: of "dropping": "paper" or "code", see ``shortcuts.drop_colors``.
        resample_prob: probability that a patch is made coarse, by resizing it down and up again,
            before colours are taken away.
        resample_side: smallest side it is resized to, pixels; the number of pixels is uniform from
            its square to that of patch_size - 1.
        hidden_width: of the two hidden layers of the head.

    Source: Doersch et al., Unsupervised Visual Representation Learning by Context Prediction, 2015,
        arXiv:1505.05192, section 3 and figure 3; how patches are made coarse from prep_image of
        train.py in github.com/cdoersch/deepcontext.
    """

    PIXELS: ClassVar[tuple[str, ...]] = ("patch_size", "gap", "jitter", "resample_side")

    augment: policies.CropFlip = policies.CropFlip(
        size=400, crop_scale=(0.35, 1.0), crop_ratio=(1.0, 1.0), flip_prob=0.0
    )
    patch_size: int = 96
    gap: int = 48
    jitter: int = 7
    color: Literal["dropping", "projection", "none"] = "dropping"
    noise: Literal["paper", "code"] = "paper"
    resample_prob: float = 0.33
    resample_side: int = 10
    hidden_width: int = 4096

    def __post_init__(self):
        checks.at_least(self, 0, "gap", "jitter", fix="Use 0 to switch it off.")
        checks.choice(self, COLORS, "color", fix="Use 'none' for grey images.")
        checks.in_range(self, 0, 1, "resample_prob", fix="Use 0 to switch it off.")
        if self.resample_prob:
            fix = "A tenth of the patch is the paper's; resample_prob 0 switches it off."
            checks.in_range(self, 1, self.patch_size, "resample_side", fix=fix)

    def build(self, encoder: nn.Module, *, axis_name: str | None) -> Method:
        """Binds the hyper-parameters; see ``types.Method``.

        Raises:
            ValueError: while tracing, if the grid does not fit the image, or if ``color`` is not
                "none" and the images do not have three channels.
        """
        network = self._network(encoder, axis_name)

        def view(key: Array, example: Example) -> Views:
            augment_key, grid_key, label_key, patch_key = jax.random.split(key, 4)
            image = self.augment(augment_key, example["image"])
            corners = patches.grid_corners(
                grid_key,
                *image.shape[:2],
                size=self.patch_size,
                pitch=self.patch_size + self.gap,
                spread=2 * self.jitter,
            )
            label = jax.random.randint(label_key, (), 0, patches.NUM_NEIGHBOURS, jnp.int32)
            pair = patches.cut(image, corners[_pair(label)], size=self.patch_size)
            pair = jax.vmap(self._disguise)(jax.random.split(patch_key), pair)
            return {"image": image, "corners": corners, "patches": pair, "label": label}

        def init(key: Array, views: Views) -> tuple[PyTree, PyTree]:
            # Whole images, since a learned position embedding is made for the size it is given.
            return network.init(key, jnp.repeat(views["image"], 2, axis=0))

        def loss(params, state, views, key, clock):
            del key, clock
            logits, state = network.apply(params, state, _flat(views["patches"]))
            labels = jnp.concatenate([views["label"], patches.opposite(views["label"])])
            values = losses.cross_entropy(logits, labels)
            accuracy = jnp.mean((logits.argmax(-1) == labels).astype(jnp.float32))
            return values.reshape(2, -1).mean(axis=0), (state, {"accuracy": accuracy})

        return assembly.assemble(
            view,
            init,
            loss,
            size=self.augment.size,
            show=functools.partial(self._show, network),
            ask=_ask,
            answer=functools.partial(_answer, network),
        )

    def _show(
        self, network: functional.WithHead, params: PyTree, state: PyTree, views: Views
    ) -> list[Picture]:
        """The image, the two patches where they were cut, and the second where it is predicted.

        Returns:
            Titles and images float32 [B, H, W, C] in [0, 1]; patches are as the network sees them,
            on grey.
        """
        labels = views["label"]
        predicted = _answer(network, params, state, views).argmax(-1).astype(jnp.int32)
        right = int((predicted == labels).sum())

        def place(image: Array, pair: Array, corners: Array, label: Array) -> Array:
            canvas = jnp.full_like(image, shortcuts.GREY)
            return jnp.clip(patches.paste(canvas, pair, corners[_pair(label)]), 0, 1)

        parts = (views["image"], views["patches"], views["corners"])
        return [
            ("view", views["image"]),
            ("centre and neighbour, as the encoder sees each", jax.vmap(place)(*parts, labels)),
            (
                f"neighbour where it is predicted ({right} of {len(labels)} right)",
                jax.vmap(place)(*parts, predicted),
            ),
        ]

    def _network(self, encoder: nn.Module, axis_name: str | None) -> functional.WithHead:
        widths = (self.hidden_width, self.hidden_width, patches.NUM_NEIGHBOURS)
        head = heads.MLP(widths, dtype=encoder.config.dtype, axis_name=axis_name)
        return functional.WithHead(encoder, head, read=_both_orders)

    def _disguise(self, key: Array, patch: Array) -> Array:
        """One patch, sometimes made coarse, then with colours taken away.

        In the order of the official code, where the filling noise is as fine in a coarse patch as
        in any other; the paper's text names the colours first.
        """
        color_key, gate_key, area_key = jax.random.split(key, 3)
        if self.resample_prob:
            is_coarse = jax.random.uniform(gate_key) < self.resample_prob
            side = jnp.where(is_coarse, self._coarse_side(area_key), self.patch_size)
            matrix = _coarsening(side, self.patch_size)
            patch = geometry.apply(patch, matrix, matrix)
        if self.color == "dropping":
            return shortcuts.drop_colors(color_key, patch, noise=self.noise)
        if self.color == "projection":
            return shortcuts.project_colors(patch)
        return patch

    def _coarse_side(self, key: Array) -> Array:
        """A whole number of pixels, float32: the root of a uniform number of pixels, cut off."""
        least = self.resample_side
        largest = max(least, self.patch_size - 1)
        draw = jax.random.uniform(key, (), jnp.float32)
        return jnp.floor(jnp.sqrt(geometry.between(draw, float(least**2), float(largest**2))))


def _ask(views: Views) -> Question:
    """Which place has the second of two patches [B, 2, P, P, C]?"""
    return Question(views["patches"], views["label"], patches.NUM_NEIGHBOURS)


def _answer(network: functional.WithHead, params: PyTree, state: PyTree, views: Views) -> Array:
    """Logits [B, 8] float32 of the places, in evaluation mode."""
    logits = network.predict(params, state, _flat(views["patches"]))
    return logits[: len(views["label"])]


def _pair(label: Array) -> Array:
    """The cells of the first and the second patch, int32 [2]."""
    return jnp.stack([jnp.int32(patches.CENTRE), patches.neighbour_cell(label)])


def _flat(pairs: Array) -> Array:
    return pairs.reshape(-1, *pairs.shape[2:])


def _both_orders(features: Features) -> Array:
    """[2B, 2D] of the features of B pairs: first those of (first, second), then the reverse."""
    first, second = features.pooled[::2], features.pooled[1::2]
    return jnp.concatenate(
        [jnp.concatenate(pair, axis=-1) for pair in ((first, second), (second, first))]
    )


def _coarsening(side: Array, size: int) -> Array:
    """[size, size] that resizes ``size`` pixels to ``side``, a traced number, and back."""
    step = size / side
    # One matrix row for each coarse pixel; those from ``side`` on repeat the last and are not read.
    starts = step * jnp.minimum(jnp.arange(size, dtype=jnp.float32), side - 1)
    down = jax.vmap(lambda start: geometry.resize_matrix(start, step, length=size, size=1)[0])(
        starts
    )
    return geometry.compose(geometry.resize_matrix(0.0, side, length=size, size=size), down)
