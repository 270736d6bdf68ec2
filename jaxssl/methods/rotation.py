"""Rotation prediction: which of four quarter turns was applied to the image?"""

import dataclasses

import flax.linen as nn
import jax
import jax.numpy as jnp

from jaxssl import losses
from jaxssl.augment import recipes
from jaxssl.models import functional, heads
from jaxssl.pretext import rotation
from jaxssl.types import Array, Example, Method, PyTree, Views


@dataclasses.dataclass(frozen=True)
class Rotation:
    """Rotation prediction, one random quarter turn an image.

    The image is augmented, turned by 0, 90, 180 or 270 degrees by an exact permutation of its
    pixels (interpolation would leave a trace to cheat by), and a linear head on the pooled features
    names the turn: loss = cross_entropy(head(encoder(image)), turn).

    The paper puts all four copies of an image in a batch; one random turn an image is the form of
    VISSL, with the same expectation for a quarter of the work.

    Attributes:
        augment: crop and flip before the turn.

    Source: Gidaris et al., Unsupervised Representation Learning by Predicting Image Rotations,
        2018, arXiv:1803.07728, eq. 2 and 3.
    """

    augment: recipes.CropFlip = recipes.CropFlip(size=224)

    def build(self, encoder: nn.Module, *, axis_name: str | None) -> Method:
        """Binds the hyper-parameters; see ``types.Method``."""
        del axis_name  # the head has no batch norm
        head = _head(encoder)

        def view(key: Array, example: Example) -> Views:
            augment_key, rotation_key = jax.random.split(key)
            image = self.augment(augment_key, example["image"])
            image, label = rotation.random_rotation(rotation_key, image)
            return {"image": image, "label": label}

        def init(key: Array, views: Views) -> tuple[PyTree, PyTree]:
            encoder_key, head_key = jax.random.split(key)
            params, state = functional.init(encoder, encoder_key, views["image"])
            features = encoder.apply(functional.variables(params, state), views["image"])
            head_params, _ = functional.init(head, head_key, features.pooled)
            return {"encoder": params, "head": head_params}, {"encoder": state}

        def loss(params, state, views, key, step):
            del key, step
            features, encoder_state = functional.apply(
                encoder, params["encoder"], state["encoder"], views["image"]
            )
            logits, _ = functional.apply(head, params["head"], {}, features.pooled)
            values = losses.cross_entropy(logits, views["label"])
            accuracy = jnp.mean((logits.argmax(-1) == views["label"]).astype(jnp.float32))
            return values, ({"encoder": encoder_state}, {"accuracy": accuracy})

        return Method(
            view=view,
            init=init,
            loss=loss,
            advance=functional.unchanged,
            encoder=functional.encoder_variables,
        )

    def pictures(
        self, encoder: nn.Module, params: PyTree, state: PyTree, views: Views
    ) -> list[tuple[str, Array]]:
        """The views before and after their turn, and turned back as predicted: as before if right.

        Args:
            encoder: the linen module, built without an axis name.
            params: from a checkpoint.
            state: from a checkpoint.
            views: of a batch.

        Returns:
            Titles and images float32 [B, H, W, C] in [0, 1].
        """
        images, labels = views["image"], views["label"]
        variables = functional.encoder_variables(params, state)
        features = encoder.apply(variables, images, train=False)
        logits = _head(encoder).apply({"params": params["head"]}, features.pooled)
        predicted = logits.argmax(-1)
        right = int((predicted == labels).sum())
        turn = jax.vmap(rotation.rotate90)
        return [
            ("view", turn(images, -labels)),
            ("turned, as the encoder sees it", images),
            (
                f"turned back as predicted ({right} of {len(images)} right)",
                turn(images, -predicted),
            ),
        ]


def _head(encoder: nn.Module) -> nn.Module:
    return heads.MLP((rotation.NUM_ROTATIONS,), dtype=encoder.config.dtype)
