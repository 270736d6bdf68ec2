"""Rotation with all four copies of an image: the mean over its questions, and their flat form."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import parity
import pytest
import tiny

from jaxssl import draws
from jaxssl.methods import rotation as rotation_method
from jaxssl.pretext import rotation

TINY_ENCODER = {"Rotation": "ViT"}

NUM_IMAGES = 8
ENCODER = tiny.ENCODERS["ViT"].build()
ONE = tiny.method("Rotation")
FOUR = dataclasses.replace(ONE, copies="four")
METHOD = FOUR.build(ENCODER, axis_name=None)


def loss(params, views, axis_name):
    method = FOUR.build(ENCODER, axis_name=axis_name)
    state = {"encoder": {}, "head": {}}
    return method.loss(params, state, views, jax.random.key(0), jnp.int32(0))[0]


@pytest.fixture(scope="module")
def drawn():
    """Views of both forms, parameters and state of the network, which both forms share."""
    keys = jax.random.split(jax.random.key(1), NUM_IMAGES)
    batch = {"image": tiny.images(NUM_IMAGES)}
    methods = [config.build(ENCODER, axis_name=None) for config in (ONE, FOUR)]
    one, four = jax.jit(lambda: [draws.make_views(method, batch, keys) for method in methods])()
    return one, four, *jax.jit(methods[1].init)(jax.random.key(0), four)


@pytest.fixture(scope="module")
def expected(drawn):
    _, four, params, _ = drawn
    return parity.unmapped(loss, params, four)


def test_four_copies_are_the_turns_of_the_view_that_one_draws_from(drawn):
    one, four, *_ = drawn
    assert four["image"].shape == (NUM_IMAGES, 4, tiny.SIZE, tiny.SIZE, 3)
    np.testing.assert_array_equal(four["label"], np.tile(np.arange(4), (NUM_IMAGES, 1)))
    for example, label in enumerate(one["label"]):
        np.testing.assert_array_equal(one["image"][example], four["image"][example, label])


def test_value_of_an_image_is_the_mean_of_its_four_cross_entropies(drawn, expected):
    _, four, params, state = drawn
    logits = np.float64(METHOD.answer(params, state, four)).reshape(NUM_IMAGES, 4, 4)
    for example in range(NUM_IMAGES):
        value = 0.0
        for turn in range(4):
            scores = logits[example, turn]
            value += np.log(np.exp(scores).sum()) - scores[turn]
        np.testing.assert_allclose(expected.values[example], value / 4, rtol=1e-5)


@pytest.mark.parametrize("devices, backend", [(2, "pmap"), (4, "shard_map")])
def test_four_copies_give_the_numbers_of_one_device(drawn, expected, devices, backend):
    _, four, params, _ = drawn
    outcome = parity.value_and_grad(loss, params, four, devices=devices, backend=backend)
    parity.assert_close(outcome, expected, tolerance=1e-4)


@pytest.mark.parametrize("config", [ONE, FOUR], ids=lambda config: config.copies)
def test_questions_are_asked_copy_by_copy(drawn, config):
    views = drawn[config is FOUR]
    method = config.build(ENCODER, axis_name=None)
    inputs, answers, num_answers = method.ask(views)
    copies = 4 if config is FOUR else 1
    assert inputs.shape == (copies * NUM_IMAGES, 1, tiny.SIZE, tiny.SIZE, 3)
    assert num_answers == 4 and answers.dtype == jnp.int32
    for example in range(NUM_IMAGES):
        for copy in range(copies):
            row = example * copies + copy
            upright = rotation.rotate90(inputs[row, 0], -answers[row])
            np.testing.assert_array_equal(upright, drawn[1]["image"][example, 0])
    logits = method.answer(*drawn[2:], views)
    assert logits.shape == (len(answers), 4) and logits.dtype == jnp.float32


def test_each_of_four_copies_is_turned_back_as_predicted(drawn):
    _, four, params, state = drawn
    (_, upright), *turned = METHOD.show(params, state, four)
    np.testing.assert_array_equal(upright, four["image"][:, 0])
    predicted = METHOD.answer(params, state, four).reshape(NUM_IMAGES, 4, 4).argmax(-1)
    assert len(turned) == 4
    for copy, (title, images) in enumerate(turned):
        right = 0
        for example in range(NUM_IMAGES):
            right += bool(predicted[example, copy] == copy)
            is_upright = bool(np.array_equal(images[example], upright[example]))
            assert is_upright == bool(predicted[example, copy] == copy)
        assert title == (
            f"turned {90 * copy} degrees, and back as predicted ({right} of {NUM_IMAGES} right)"
        )


def test_an_unknown_number_of_copies_is_refused():
    with pytest.raises(ValueError) as error:
        rotation_method.Rotation(copies="two")
    assert str(error.value) == (
        "Rotation: copies must be one of 'one', 'four'; got 'two'. "
        "Use 'four' for the paper's batch, 'one' for a quarter of its work."
    )
