"""iGPT against a float64 loop over the pixels of each image."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from jaxssl import draws, models, schedules
from jaxssl.methods.shared import vits

TINY = {"IGPT": {"num_clusters": 6}}
TINY_ENCODER = {"IGPT": "Pixels"}

KEY = jax.random.key(0)
CLOCK = schedules.clock_at(4, steps_per_epoch=4, total_steps=12)
SIZE = 4
MODULE = tiny.ENCODERS["Pixels"].build()
METHOD = tiny.method("IGPT")
CONFIG = dataclasses.replace(METHOD, augment=dataclasses.replace(METHOD.augment, size=SIZE))
COLORS = np.array(CONFIG.palette)


@pytest.fixture(scope="module")
def made():
    method = CONFIG.build(MODULE, axis_name=None)
    batch = {"image": tiny.images(5)}
    views = jax.jit(lambda: draws.make_views(method, batch, jax.random.split(KEY, 5)))()
    params, state = jax.jit(method.init)(KEY, views)
    random = np.random.default_rng(1)
    params = jax.tree.map(lambda x: x + np.float32(0.2 * random.normal(size=x.shape)), params)
    return method, views, params, state


def scores_of(params, images):
    """Scores of all clusters at every pixel, [B, N, M]."""
    tokens = jax.jit(MODULE.apply)({"params": params["encoder"]}, images).tokens
    head = vits.linear_head(MODULE, len(COLORS))
    return np.float64(jax.jit(head.apply)({"params": params["head"]}, tokens))


def log_softmax(scores):
    return scores - scores.max() - np.log(np.sum(np.exp(scores - scores.max())))


def test_the_view_has_the_nearest_colours(made):
    _, views, *_ = made
    image = np.asarray(views["image"]).reshape(5, -1, 3)
    for place in np.ndindex(5, SIZE * SIZE):
        np.testing.assert_allclose(image[place], COLORS[views["clusters"][place]], atol=1e-6)
    exact = jax.jit(CONFIG.augment)(jax.random.key(3), tiny.images(1)[0])
    method = CONFIG.build(MODULE, axis_name=None)
    got = jax.jit(method.view)(jax.random.key(3), {"image": tiny.images(1)[0]})["clusters"]
    for pixel, cluster in zip(np.float64(exact).reshape(-1, 3), got, strict=True):
        assert cluster == np.argmin([np.sum((pixel - color) ** 2) for color in COLORS])


def test_loss_is_the_price_of_every_pixel_after_those_before_it(made):
    method, views, params, state = made
    values, (_, metrics) = jax.jit(method.loss)(params, state, views, KEY, CLOCK)
    scores, clusters = scores_of(params, views["image"]), np.asarray(views["clusters"])
    right = []
    for example in range(5):
        prices = []
        for pixel in range(1, SIZE * SIZE):
            before, cluster = scores[example, pixel - 1], clusters[example, pixel]
            prices.append(-log_softmax(before)[cluster])
            right.append(before.argmax() == cluster)
        np.testing.assert_allclose(values[example], np.mean(prices), rtol=1e-4)
    np.testing.assert_allclose(metrics["accuracy"], np.mean(right), rtol=1e-5)


def test_no_pixel_knows_of_those_behind_it_in_evaluation_either(made):
    _, views, params, _ = made
    changed = views["image"].at[:, 2, 1].add(0.3)  # pixel 9, counted from 0
    apply = jax.jit(lambda images: MODULE.apply({"params": params["encoder"]}, images, train=False))
    before, after = apply(views["image"]).tokens, apply(changed).tokens
    moved = np.any(np.asarray(before != after), axis=(0, 2))
    np.testing.assert_array_equal(moved, np.arange(SIZE * SIZE) >= 9)


def test_pictures_are_named_pixels_and_a_lower_half_of_drawn_ones(made):
    method, views, params, state = made
    show = lambda *of: [image for _, image in method.show(*of)]  # noqa: E731
    view, named, drawn = jax.jit(show)(params, state, views)
    np.testing.assert_array_equal(view, views["image"])
    answers = scores_of(params, view)[:, :-1].argmax(axis=-1)
    first, rest = np.split(np.asarray(named).reshape(5, -1, 3), [1], axis=1)
    np.testing.assert_allclose(rest, COLORS[answers], atol=1e-6)
    np.testing.assert_array_equal(first[:, 0], view[:, 0, 0])
    np.testing.assert_array_equal(drawn[:, : SIZE // 2], view[:, : SIZE // 2])
    # A pixel is drawn from what stands above and before it in the picture itself.
    scores = scores_of(params, drawn)
    for place in range(SIZE // 2 * SIZE, SIZE * SIZE):
        key = jax.random.fold_in(jax.random.key(0), place)
        expected = jax.random.categorical(key, jnp.float32(scores[:, place - 1]))
        pixels = np.asarray(drawn).reshape(5, -1, 3)[:, place]
        np.testing.assert_allclose(pixels, COLORS[expected], atol=1e-6)


@pytest.mark.parametrize(
    ("changes", "encoder", "text"),
    [
        ({}, models.ResNetConfig(depth=18), "IGPT: the encoder must be a ViT, which can read pix"),
        ({}, tiny.ENCODERS["Lightness"], "IGPT: the encoder must see the pixels"),
        ({}, tiny.ENCODERS["ViT"], "must be single pixels, which are named; got patches of 4. Set"),
        (
            {},
            dataclasses.replace(tiny.ENCODERS["ViT"], patch_size=1),
            "must not see the pixels it is asked for; got causal False. Set --encoder.causal.",
        ),
        (
            {"augment": dataclasses.replace(CONFIG.augment, size=1)},
            MODULE.config,
            "IGPT: size must be at least 2; got 1",
        ),
        ({"num_clusters": 1}, MODULE.config, "IGPT: num_clusters must be at least 2; got 1"),
        ({"palette": ()}, MODULE.config, "IGPT: palette must be that of a data set; got none"),
    ],
)
def test_what_cannot_be_is_refused(changes, encoder, text):
    with pytest.raises(ValueError, match=text):
        dataclasses.replace(CONFIG, **changes).build(encoder.build(), axis_name=None)
