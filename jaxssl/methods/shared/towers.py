"""What the methods of images with texts share: both in one space, and what a report shows."""

from collections.abc import Callable, Mapping

import flax.linen as nn
import jax.numpy as jnp

from jaxssl import models
from jaxssl.augment import policies
from jaxssl.methods.shared import assembly, functional
from jaxssl.types import Array, Embeddings, Example, Exhibit, Method, Metrics, PyTree, Views

LEARNED = "similarity"  # where the numbers beside the encoder are in params

Price = Callable[[Array, Array, Mapping[str, Array]], tuple[Array, Metrics]]


def assemble(
    encoder: nn.Module,
    augment: policies.CropFlip,
    numbers: Mapping[str, float],
    price: Price,
    *,
    method: str,
    project: Callable[[PyTree], PyTree] | None = None,
) -> Method:
    """The method that prices images and texts by where both point in the space that they share.

    Args:
        encoder: of two towers.
        augment: the view of an image.
        numbers: what is learned beside the encoder, by name, with where it begins.
        price: ``(images [B, D], texts [B, D], numbers) -> (values [B], metrics)``.
        method: its name, for messages.
        project: see ``types.Method``.

    Raises:
        ValueError: another encoder.
    """
    if not isinstance(encoder, models.Dual):
        raise ValueError(
            f"{method}: the encoder must be a Dual, which has a network of images and one of "
            f"texts; got {type(encoder).__name__}. Use models.DualConfig in the recipe."
        )

    def view(key: Array, example: Example) -> Views:
        if "tokens" not in example:
            raise ValueError(
                f"{method}: an example must have an image and tokens; got {', '.join(example)}. "
                "Use data.PairData in the recipe."
            )
        return {
            "image": augment(key, example["image"]),
            "tokens": example["tokens"].astype(jnp.int32),
        }

    def init(key: Array, views: Views) -> tuple[PyTree, PyTree]:
        params, state = functional.init(encoder, key, views["image"], views["tokens"])
        learned = {name: jnp.float32(value) for name, value in numbers.items()}
        return {"encoder": params, LEARNED: learned}, {"encoder": state}

    def both(params: PyTree, state: PyTree, views: Views) -> tuple[tuple[Array, Array], PyTree]:
        embedded, encoder_state = functional.apply(
            encoder,
            params["encoder"],
            state["encoder"],
            views["image"],
            views["tokens"],
            method="embed",
        )
        return embedded, {"encoder": encoder_state}

    def loss(params, state, views, key, clock):
        del key, clock
        (images, texts), new_state = both(params, state, views)
        values, metrics = price(images, texts, params[LEARNED])
        return values, (new_state, metrics)

    def embed(params: PyTree, state: PyTree, views: Views) -> Embeddings:
        return Embeddings(*both(params, state, views)[0])

    def show(params: PyTree, state: PyTree, views: Views) -> list[Exhibit]:
        return _show(encoder, functional.encoder_variables(params, state), views)

    return assembly.assemble(
        view, init, loss, size=augment.size, embed=embed, show=show, project=project
    )


def _show(encoder: nn.Module, variables: PyTree, views: Views) -> list[Exhibit]:
    """The image, its text, and the text of the batch that is most like it, in evaluation mode."""
    images, texts = (
        rows / jnp.maximum(jnp.linalg.norm(rows, axis=1, keepdims=True), 1e-12)  # type: ignore[operator]
        for rows in encoder.apply(variables, views["image"], views["tokens"], method="embed")
    )
    chosen = views["tokens"][(images @ texts.T).argmax(axis=1)]
    right = int((chosen == views["tokens"]).all(axis=1).sum())
    return [
        ("view", views["image"]),
        ("its text", views["tokens"]),
        (f"the text most like it ({right} of {len(chosen)} right)", chosen),
    ]
