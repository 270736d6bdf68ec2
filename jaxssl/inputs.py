"""What a network is fed: name, shape and type of each array of ONE example.

A method says it (``Method.inputs``), a checkpoint records it, and everything that feeds an encoder
asks there: pretraining, evaluation, reports, audits.
"""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import jax
import numpy as np

from jaxssl import jsonable
from jaxssl.types import Example, Method, PyTree


class Input(NamedTuple):
    """One array of one example.

    Attributes:
        name: the column of a data set that it is made of, such as "image".
        shape: without a batch axis.
        dtype: its name. Encoders take images as uint8 in [0, 255] or as float32 in [0, 1] alike.
    """

    name: str
    shape: tuple[int, ...]
    dtype: str


Inputs = tuple[Input, ...]


def of_image(size: int, channels: int) -> Inputs:
    """What an encoder of square images is fed."""
    return (Input("image", (size, size, channels), "float32"),)


def of_example(example: Mapping[str, Any]) -> Inputs:
    """What an example holds; anything with a shape and a dtype will do."""
    return tuple(
        Input(name, tuple(value.shape), np.dtype(value.dtype).name)
        for name, value in example.items()
    )


def of_method(method: Method, example: Inputs) -> Inputs:
    """What a method's encoder is fed in evaluation, where training reads such examples."""
    like = {name: jax.ShapeDtypeStruct(shape, dtype) for name, shape, dtype in example}
    # A method answers in the order of the encoder's arguments, which eval_shape would sort away.
    order: list[str] = []

    def ordered(example: Example) -> PyTree:
        made = method.inputs(example)
        order.extend(made)
        return made

    made = jax.eval_shape(ordered, like)
    return of_example({name: made[name] for name in order})


def shapes(inputs: Sequence[Input], batch_size: int = 1) -> dict[str, jax.ShapeDtypeStruct]:
    """A batch of such examples, for tracing."""
    return {
        name: jax.ShapeDtypeStruct((batch_size, *shape), dtype) for name, shape, dtype in inputs
    }


def read(inputs: Sequence[Input], batch: Mapping[str, Any]) -> list[Any]:
    """The arrays of a batch that an encoder is fed, in the order of its arguments."""
    return [batch[name] for name, _, _ in inputs]


def image_side(inputs: Sequence[Input]) -> tuple[int, int] | None:
    """Side and channels of the one square image that an encoder is fed; None where that is not so.

    Args:
        inputs: of the encoder.
    """
    if len(inputs) != 1 or len(inputs[0].shape) != 3 or inputs[0].shape[0] != inputs[0].shape[1]:
        return None
    size, _, channels = inputs[0].shape
    return size, channels


def square_side(inputs: Sequence[Input]) -> tuple[int, int]:
    """Side and channels of the one square image that an encoder is fed.

    Args:
        inputs: of the encoder.

    Raises:
        ValueError: it is fed something else.
    """
    if (found := image_side(inputs)) is None:
        shown = ", ".join(f"{each.name} {list(each.shape)}" for each in inputs) or "nothing"
        raise ValueError(f"the encoder must be fed one square image [S, S, C]; got {shown}.")
    return found


def to_json(inputs: Sequence[Input]) -> list[dict]:
    """As a checkpoint records it."""
    return [dict(each._asdict(), shape=list(each.shape)) for each in inputs]


def from_json(entries: Sequence[Mapping]) -> Inputs:
    """The inverse of ``to_json``, also after a trip through JSON."""
    return jsonable.read(Inputs, list(entries), "inputs")


def of_meta(meta: Mapping) -> Inputs:
    """What the encoder of a checkpoint is fed, by what was recorded beside it.

    Args:
        meta: ``RestoredEncoder.meta``; of earlier versions too, whose encoders were fed one image.
    """
    if "inputs" in meta:
        return from_json(meta["inputs"])
    return of_image(meta["image_size"], meta["channels"])


def example_of_meta(meta: Mapping) -> Inputs:
    """What an example of the training split of a checkpoint's run holds, without a label.

    Args:
        meta: ``RestoredEncoder.meta``; of earlier versions too, whose examples were images or clips
            of the data's size.
    """
    if "example" in meta:
        return from_json(meta["example"])
    data = meta["config"]["data"]
    shape = (data["image_size"], data["image_size"], data["channels"])
    num_frames = data.get("num_frames", 1)
    image = Input("image", shape, "uint8")
    seen = image if num_frames == 1 else Input("video", (num_frames, *shape), "uint8")
    return seen, Input("index", (), "int32")
