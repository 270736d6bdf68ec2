"""CLIP and SigLIP against loops from the formulas, what is learned beside the encoder, shows."""

import jax
import jax.numpy as jnp
import numpy as np
import optax
import pytest
import tiny

from jaxssl import draws, methods, models, schedules
from jaxssl.methods.clip import CLIP
from jaxssl.methods.siglip import SigLIP
from jaxssl.training import step as training_step

TINY_ENCODER = {"CLIP": "SmallDual", "SigLIP": "SmallDual"}
KEY = jax.random.key(0)
CLOCK = schedules.clock_at(0, steps_per_epoch=1, total_steps=1)
ENCODER = tiny.ENCODERS["SmallDual"]


def made(name, **fields):
    """The method, a batch of views, params and state."""
    config = tiny.method(name)
    config = type(config)(**{"augment": config.augment, **fields})
    method = config.build(ENCODER.build(), axis_name=None)
    batch = tiny.batch("SmallDual")
    views = jax.jit(lambda: draws.make_views(method, batch, jax.random.split(KEY, 16)))()
    return method, views, *jax.jit(method.init)(KEY, views)


def cosines(params, state, views):
    """float64 [B, B], image by text, in training mode."""
    rows, _ = ENCODER.build().apply(
        {"params": params["encoder"], **state["encoder"]},
        views["image"],
        views["tokens"],
        train=True,
        method="embed",
        mutable=["batch_stats"],
    )
    images, texts = (np.asarray(each, np.float64) for each in rows)
    images /= np.linalg.norm(images, axis=1, keepdims=True)
    texts /= np.linalg.norm(texts, axis=1, keepdims=True)
    return images @ texts.T


def test_clip_prices_both_directions():
    method, views, params, state = made("CLIP")
    values, (_, metrics) = jax.jit(method.loss)(params, state, views, KEY, CLOCK)
    assert float(metrics["temperature"]) == pytest.approx(0.07)
    logits = cosines(params, state, views) / 0.07
    for row in range(16):
        total = 0.0
        for direction in (logits[row], logits[:, row]):
            total += np.log(np.exp(direction).sum()) - direction[row]
        np.testing.assert_allclose(values[row], total / 2, rtol=1e-4)


def test_siglip_prices_every_pair():
    method, views, params, state = made("SigLIP")
    values, (_, metrics) = jax.jit(method.loss)(params, state, views, KEY, CLOCK)
    assert float(metrics["temperature"]) == pytest.approx(0.1)
    assert float(metrics["bias"]) == -10
    logits = cosines(params, state, views) / 0.1 - 10
    signs = 2 * np.eye(16) - 1
    expected = np.log1p(np.exp(-signs * logits)).sum(axis=1)
    np.testing.assert_allclose(values, expected, rtol=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["CLIP", "SigLIP"])
def test_tiles_give_the_same_values(name):
    method, views, params, state = made(name)
    tiled, *_ = made(name, block_size=4)
    expected, got = (
        jax.jit(each.loss)(params, state, views, KEY, CLOCK)[0] for each in (method, tiled)
    )
    np.testing.assert_allclose(got, expected, rtol=1e-5)


@pytest.mark.slow
def test_no_step_takes_the_temperature_below_its_bound():
    """A step that would is stopped at the bound, and one that goes up again is free."""
    config = CLIP(augment=tiny.method("CLIP").augment, temperature=0.012)
    method = config.build(ENCODER.build(), axis_name=None)
    batch = tiny.batch("SmallDual")

    def temperature_after(gradient):
        loss = lambda params, state, *_: (  # noqa: E731
            gradient * params["similarity"]["log_temperature"] * jnp.ones(16),
            (state, {}),
        )
        pushed, optimizer = method._replace(loss=loss), optax.sgd(1.0)
        state = training_step.init_state(pushed, optimizer, batch, seed=0)
        step = jax.jit(training_step.make_step(pushed, optimizer, seed=0))
        return float(jnp.exp(step(state, batch)[0].params["similarity"]["log_temperature"]))

    assert temperature_after(5.0) == pytest.approx(0.01)
    assert temperature_after(0.1) == pytest.approx(0.012 * np.exp(-0.1))
    assert temperature_after(-1.0) == pytest.approx(0.012 * np.exp(1.0), rel=1e-5)


def test_what_is_shown_is_the_text_of_the_batch_most_like_the_image():
    method, views, params, state = made("CLIP")
    (_, image), (_, own), (title, chosen) = method.show(params, state, views)
    np.testing.assert_array_equal(image, views["image"])
    np.testing.assert_array_equal(own, views["tokens"])
    rows = ENCODER.build().apply(
        {"params": params["encoder"], **state["encoder"]},
        views["image"],
        views["tokens"],
        method="embed",
    )
    images, texts = (np.asarray(each) for each in rows)
    best = (images @ (texts / np.linalg.norm(texts, axis=1, keepdims=True)).T).argmax(1)
    np.testing.assert_array_equal(chosen, views["tokens"][best])
    right = (np.asarray(chosen) == np.asarray(own)).all(axis=1).sum()
    assert title == f"the text most like it ({right} of 16 right)"


@pytest.mark.parametrize("name", ["CLIP", "SigLIP"])
def test_other_encoders_and_data_without_texts_are_refused(name):
    config = methods.all_configs()[name]()
    with pytest.raises(ValueError, match=f"{name}: the encoder must be a Dual, .*; got Small. Use"):
        config.build(tiny.ENCODERS["Small"].build(), axis_name=None)
    method = config.build(ENCODER.build(), axis_name=None)
    with pytest.raises(
        ValueError, match=f"{name}: an example must have an image and tokens; got im"
    ):
        method.view(KEY, {"image": tiny.images(1)[0]})


def test_numbers_that_cannot_be_are_refused():
    with pytest.raises(ValueError, match=r"CLIP: temperature must be at least 0.01; got 0.001"):
        CLIP(temperature=0.001)
    with pytest.raises(ValueError, match="CLIP: min_temperature must be finite and above 0; got 0"):
        CLIP(min_temperature=0)
    with pytest.raises(ValueError, match="SigLIP: temperature must be finite and above 0; got -1"):
        SigLIP(temperature=-1)


def test_defaults_are_those_of_the_papers():
    assert models.DualConfig().text.length == 77
    assert (CLIP().temperature, CLIP().min_temperature) == (0.07, 0.01)
    assert (SigLIP().temperature, SigLIP().bias) == (0.1, -10.0)
