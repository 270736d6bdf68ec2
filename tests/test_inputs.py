"""What an encoder is fed: of a method, of a record of today and of before."""

import json

import jax
import numpy as np
import pytest
import tiny

from jaxssl import inputs
from jaxssl.inputs import Input
from jaxssl.types import Method


def method_of(function):
    return Method(*[None] * 5, inputs=function)


def test_of_an_image_method_it_is_the_image_at_the_size_of_the_views():
    config = tiny.method("SimCLR")
    method = config.build(tiny.ENCODERS["Small"].build(), axis_name=None)
    example = (Input("image", (20, 24, 3), "uint8"), Input("index", (), "int32"))
    size = tiny.SIZE
    assert inputs.of_method(method, example) == (Input("image", (size, size, 3), "float32"),)
    film = (Input("video", (5, 20, 24, 3), "uint8"), Input("index", (), "int32"))
    assert inputs.of_method(method, film) == inputs.of_image(size, 3)


def test_arrays_come_in_the_order_of_the_arguments():
    """JAX sorts the names of a dictionary; an encoder's arguments are not sorted."""
    method = method_of(lambda example: {"tokens": example["tokens"], "image": example["image"]})
    example = (Input("image", (2, 2, 1), "uint8"), Input("tokens", (7,), "int32"))
    fed = inputs.of_method(method, example)
    assert [each.name for each in fed] == ["tokens", "image"]
    assert inputs.from_json(json.loads(json.dumps(inputs.to_json(fed)))) == fed
    batch = {"image": 1, "tokens": 2, "label": 3}
    assert inputs.read(fed, batch) == [2, 1]
    assert list(inputs.shapes(fed, 5)) == ["tokens", "image"]
    assert inputs.shapes(fed, 5)["image"] == jax.ShapeDtypeStruct((5, 2, 2, 1), "uint8")
    assert inputs.image_side(fed) is None and inputs.image_side(fed[1:]) == (2, 1)
    assert inputs.square_side(fed[1:]) == (2, 1)
    with pytest.raises(ValueError, match=r"one square image \[S, S, C\]; got \w+ \["):
        inputs.square_side(fed)


def test_of_an_example():
    example = {"image": np.zeros((4, 4, 3), np.uint8), "index": np.int32(3)}
    assert inputs.of_example(example) == (
        Input("image", (4, 4, 3), "uint8"),
        Input("index", (), "int32"),
    )


@pytest.mark.parametrize("num_frames", [1, 5])
def test_records_of_before_said_size_and_channels(num_frames):
    data = {"image_size": 9, "channels": 3, "num_frames": num_frames}
    meta = {"image_size": 8, "channels": 3, "config": {"data": data}}
    assert inputs.of_meta(meta) == (Input("image", (8, 8, 3), "float32"),)
    seen, index = inputs.example_of_meta(meta)
    shape = (9, 9, 3) if num_frames == 1 else (5, 9, 9, 3)
    assert seen == Input("image" if num_frames == 1 else "video", shape, "uint8")
    assert index == Input("index", (), "int32")
