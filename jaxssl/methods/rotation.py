"""Rotation prediction: which of four quarter turns was applied to the image?"""

import dataclasses
import functools
from typing import Literal, get_args

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxssl import checks, losses
from jaxssl.augment import policies
from jaxssl.methods.shared import assembly, functional
from jaxssl.models import heads
from jaxssl.pretext import rotation
from jaxssl.types import Array, Example, Method, Picture, PyTree, Question, Views

Copies = Literal["one", "four"]


@dataclasses.dataclass(frozen=True)
class Rotation:
    """Rotation prediction, from one random quarter turn of an image or from all four.

    The image is augmented, turned by 0, 90, 180 or 270 degrees by an exact permutation of its
    pixels (interpolation would leave a trace to cheat by), and a linear head on the pooled features
    names the turn:

        value = mean over the copies y shown of cross_entropy(head(encoder(turn(image, y))), y)

    Attributes:
        augment: crop and flip before the turn, the same for all copies of an image.
        copies: "four" puts all four turns of every image in the batch, as the paper does, so that
            the encoder runs on 4B images; "one" draws one of them, the form of VISSL, with the same
            expectation for a quarter of the work.

    Source: Gidaris et al., Unsupervised Representation Learning by Predicting Image Rotations,
        2018, arXiv:1803.07728, eq. 2 and 3; four copies: sec. 3.1.
    """

    augment: policies.CropFlip = policies.CropFlip(size=224)
    copies: Copies = "one"

    def __post_init__(self):
        fix = "Use 'four' for the paper's batch, 'one' for a quarter of its work."
        checks.choice(self, get_args(Copies), "copies", fix=fix)

    def build(self, encoder: nn.Module, *, axis_name: str | None) -> Method:
        """Binds the hyper-parameters; see ``types.Method``."""
        del axis_name  # the head has no batch norm
        head = heads.MLP((rotation.NUM_ROTATIONS,), dtype=encoder.config.dtype)
        network = functional.WithHead(encoder, head)

        def view(key: Array, example: Example) -> Views:
            augment_key, rotation_key = jax.random.split(key)
            image = self.augment(augment_key, example["image"])
            if self.copies == "four":
                image, label = rotation.all_rotations(image)  # [4, H, W, C]
            else:
                image, label = rotation.random_rotation(rotation_key, image)
            return {"image": image, "label": label}

        def init(key: Array, views: Views) -> tuple[PyTree, PyTree]:
            return network.init(key, _flatten_copies(views)[0])

        def loss(params, state, views, key, clock):
            del key, clock
            images, labels = _flatten_copies(views)
            logits, state = network.apply(params, state, images)
            values = losses.cross_entropy(logits, labels).reshape(len(views["label"]), -1)
            accuracy = jnp.mean((logits.argmax(-1) == labels).astype(jnp.float32))
            return values.mean(axis=1), (state, {"accuracy": accuracy})

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
        """The views before and after their turn, and turned back as predicted: as before if right.

        Returns:
            Titles and images float32 [B, H, W, C] in [0, 1]; with four copies, each turn's images
            turned back have a title of their own and the turned ones are left out.
        """
        predicted = _answer(network, params, state, views).argmax(-1)
        images, labels = views["image"], views["label"]
        predicted = predicted.reshape(labels.shape)
        right = (predicted == labels).sum(axis=0)
        turn = jax.vmap(rotation.rotate90)
        if self.copies == "four":
            return [("view", images[:, 0])] + [
                (
                    f"turned {90 * copy} degrees, and back as predicted "
                    f"({right[copy]} of {len(images)} right)",
                    turn(images[:, copy], -predicted[:, copy]),
                )
                for copy in range(rotation.NUM_ROTATIONS)
            ]
        return [
            ("view", turn(images, -labels)),
            ("turned, as the encoder sees it", images),
            (
                f"turned back as predicted ({right} of {len(images)} right)",
                turn(images, -predicted),
            ),
        ]


def _ask(views: Views) -> Question:
    """Which turn has each image [B, 1, H, W, C]? The four copies of an image come in a row."""
    images, labels = _flatten_copies(views)
    return Question(images[:, None], labels, rotation.NUM_ROTATIONS)


def _answer(network: functional.WithHead, params: PyTree, state: PyTree, views: Views) -> Array:
    """Logits of the four turns in evaluation mode, float32 [B, 4]; 4B rows with four copies."""
    return network.predict(params, state, _flatten_copies(views)[0])


def _flatten_copies(views: Views) -> tuple[Array, Array]:
    """Every copy as an example of its own: images [B or 4B, H, W, C] and labels, int32."""
    images, labels = views["image"], views["label"]
    return images.reshape(-1, *images.shape[-3:]), labels.reshape(-1)
