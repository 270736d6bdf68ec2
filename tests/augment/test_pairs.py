"""Solarisation, and the pairs of views that two-view methods compare."""

import dataclasses

import augment_reference as reference
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxssl import jsonable
from jaxssl.augment import color, geometry, recipes

COUNT = 1500
WHOLE = {"crop_scale": (1.0, 1.0), "crop_ratio": (1.0, 1.0)}
STILL = WHOLE | {"flip_prob": 0.0, "jitter_prob": 0.0, "grayscale_prob": 0.0, "blur_prob": 0.0}
CLASSES = [getattr(recipes, name) for name in recipes.__all__ if name != "CROP_RATIO"]
NAMED = [recipes.BYOL, recipes.MoCoV1, recipes.MoCoV2, recipes.MoCoV3]


def random_image(height=12, width=12, channels=3):
    draws = np.random.default_rng(4).uniform(0.0, 1.0, (height, width, channels))
    return jnp.asarray(draws, jnp.float32)


def mapped(function, image, count=COUNT, seed=0):
    keys = jax.random.split(jax.random.key(seed), count)
    made = jax.jit(jax.vmap(function, in_axes=(0, None)))(keys, image)
    return jax.tree.map(np.asarray, made)


def assert_happens(events, probability):
    assert stats.binomtest(int(events.sum()), len(events), probability).pvalue > 0.01


@pytest.mark.parametrize("threshold", [0.0, 0.3, 0.5, 1.0])
def test_solarisation_inverts_from_the_threshold_on(threshold):
    image = random_image(5, 4).at[0, 0].set(0.5).at[1, 1].set(1.0).at[2, 2].set(0.0)
    out = color.solarize(image, threshold)
    np.testing.assert_allclose(out, reference.solarize(image, threshold), atol=1e-7)
    assert out.dtype == jnp.float32


def test_solarisation_is_the_last_operation():
    """The same keys with and without it: it acts on the finished view."""
    sure = {"jitter_prob": 1.0, "jitter": (0.9, 0.5, 0.0, 0.0), "grayscale_prob": 1.0}
    plain = recipes.SimCLR(6, **(STILL | sure))
    solarising = dataclasses.replace(plain, solarize_prob=1.0, solarize_threshold=0.4)
    image = random_image(6, 6)
    for view, made in zip(mapped(plain, image, count=4), mapped(solarising, image, count=4)):
        np.testing.assert_allclose(made, reference.solarize(view, 0.4), atol=1e-6)


def test_views_without_solarisation_are_those_of_before():
    """One pixel each of four views, as SimCLR made them before it could solarise."""
    ramp = jnp.arange(6 * 7 * 3, dtype=jnp.float32).reshape(6, 7, 3) / (6 * 7 * 3)
    before = [
        [0.09689328819513321, 0.09743882715702057, 0.13113440573215485],
        [0.031754136085510254, 0.038504745811223984, 0.034156862646341324],
        [0.3631303906440735, 0.3631303906440735, 0.3631303906440735],
        [0.6759692430496216, 0.6839057207107544, 0.691842257976532],
    ]
    view = jax.jit(recipes.SimCLR(5))
    for seed, pixel in enumerate(before):
        made = view(jax.random.key(seed), ramp)[seed, 4 - seed]
        np.testing.assert_allclose(made, pixel, atol=1e-6)


def test_a_pair_is_two_calls_with_keys_of_their_own(key):
    image = random_image(8, 8)
    recipe = recipes.SimCLR(8)
    view = jax.jit(recipe)
    for made, k in zip(jax.jit(recipe.pair)(key, image), jax.random.split(key)):
        np.testing.assert_allclose(made, view(k, image), atol=1e-6)


def test_views_of_the_asymmetric_pair_are_calls_with_first_and_second_probabilities(key):
    image = random_image(8, 8)
    recipe = recipes.BYOL(8, solarize_prob=0.3)
    second = dataclasses.replace(
        recipe,
        blur_prob=recipe.second_blur_prob,
        solarize_prob=recipe.second_solarize_prob,
    )
    pair, view_of_first, view_of_second = jax.jit(recipe.pair), jax.jit(recipe), jax.jit(second)
    for k in jax.random.split(key, 8):
        key_a, key_b = jax.random.split(k)
        view_a, view_b = pair(k, image)
        np.testing.assert_allclose(view_a, view_of_first(key_a, image), atol=1e-6)
        np.testing.assert_allclose(view_b, view_of_second(key_b, image), atol=1e-6)


def test_the_pair_equals_the_loops(key):
    """Both crops read off their keys, then flip, grey, blur and solarisation one by one."""
    image = random_image(16, 20)
    recipe = recipes.BYOL(
        9,
        crop_scale=(0.3, 0.9),
        flip_prob=1.0,
        jitter_prob=0.0,
        grayscale_prob=1.0,
        blur_prob=1.0,
        blur_sigma=(0.7, 0.7),
        second_blur_prob=0.0,
        second_solarize_prob=1.0,
        solarize_threshold=0.45,
    )
    expected = []
    for k in jax.random.split(key):
        box = geometry.sample_crop(k, 16, 20, scale=(0.3, 0.9), ratio=recipe.crop_ratio)
        top, left, height, width = (int(number) for number in box)
        cut = reference.crop_resize(image, top, left, height, width, 9, reference.keys_cubic)
        expected.append(reference.flip(cut))
    expected[0] = np.clip(reference.grayscale(reference.blur(expected[0], 0.7, 1)), 0, 1)
    grey = np.clip(reference.grayscale(expected[1]), 0, 1)
    expected[1] = reference.solarize(grey, 0.45)
    assert (grey >= 0.45).any() and (grey < 0.45).any()
    for view, loops in zip(jax.jit(recipe.pair)(key, image), expected):
        np.testing.assert_allclose(view, loops, atol=5e-6)


def test_blur_and_solarisation_come_with_each_views_own_probability():
    """An impulse spreads where it is blurred; the ground, at 0.6, falls to 0.4 where solarised."""
    image = jnp.full((5, 5, 1), 0.6).at[2, 2].set(0.0)
    recipe = recipes.BYOL(
        5,
        **(STILL | {"blur_prob": 0.7}),
        blur_sigma=(0.5, 1.0),
        second_blur_prob=0.1,
        solarize_prob=0.25,
        second_solarize_prob=0.6,
    )
    pair = mapped(recipe.pair, image)
    events = []
    for view, blur_prob, solarize_prob in zip(pair, (0.7, 0.1), (0.25, 0.6)):
        blurred = np.abs(view[:, 2, 1, 0] - view[:, 0, 0, 0]) > 1e-3
        solarised = np.abs(view[:, 0, 0, 0] - 0.4) < 1e-3
        assert np.all(solarised | (np.abs(view[:, 0, 0, 0] - 0.6) < 1e-3))
        assert_happens(blurred, blur_prob)
        assert_happens(solarised, solarize_prob)
        events += [blurred, solarised]
    # Four independent events: no two of them go together.
    correlation = np.corrcoef(np.array(events, float)) - np.eye(4)
    assert np.abs(correlation).max() < 4 / np.sqrt(COUNT)


@pytest.mark.parametrize("channels", [1, 3])
def test_pairs_are_two_different_float32_views_in_the_unit_interval(channels):
    pixels = np.random.default_rng(0).integers(0, 256, (10, 9, channels), np.uint8)
    view_a, view_b = mapped(recipes.BYOL(8).pair, jnp.asarray(pixels), count=4)
    for view in (view_a, view_b):
        assert view.shape == (4, 8, 8, channels) and view.dtype == np.float32
        assert view.min() >= 0 and view.max() <= 1
    assert len({view.tobytes() for view in (*view_a, *view_b)}) == 8


def test_an_asymmetric_pair_is_one_view_without_gather_or_branch(key, monkeypatch):
    traces = []
    trace = recipes.SimCLR._view
    monkeypatch.setattr(
        recipes.SimCLR, "_view", lambda *a, **k: (traces.append(1), trace(*a, **k))[1]
    )
    pair = jax.jit(jax.vmap(recipes.BYOL(8).pair))
    keys, images = jax.random.split(key, 2), jnp.zeros((2, 10, 9, 3), jnp.uint8)
    text = str(pair.trace(keys, images).jaxpr)
    for primitive in ("gather", "scatter", "dynamic_slice", "cond", "while", "conv_general"):
        assert f"{primitive}[" not in text
    assert text.count("dot_general[") == 4
    for k in jax.random.split(key, 2):
        pair(jax.random.split(k, 2), images)
    assert len(traces) == 1
    with jax.enable_x64(True):
        views = jax.eval_shape(recipes.BYOL(8).pair, key, images[0])
    assert all(view.dtype == jnp.float32 for view in views)


@pytest.mark.parametrize("recipe", CLASSES, ids=lambda recipe: recipe.__name__)
def test_every_recipe_survives_json(recipe):
    made = recipe() if recipe is recipes.PadCropFlip else recipe(size=32)
    assert jsonable.from_json(recipe, jsonable.to_json(made)) == made


def test_published_defaults_of_pairs():
    byol, v1, v2, v3 = (recipe(224) for recipe in NAMED)
    for recipe in (byol, v3):
        assert recipe.crop_scale == (0.08, 1.0) and recipe.jitter == (0.4, 0.4, 0.2, 0.1)
        assert (recipe.blur_prob, recipe.second_blur_prob) == (1.0, 0.1)
        assert (recipe.solarize_prob, recipe.second_solarize_prob) == (0.0, 0.2)
        assert (recipe.jitter_prob, recipe.grayscale_prob) == (0.8, 0.2)
        assert recipe.solarize_threshold == 0.5
    assert (byol.interpolation, v3.interpolation) == ("cubic", "linear")
    assert v1.crop_scale == v2.crop_scale == (0.2, 1.0)
    assert (v1.jitter, v1.jitter_prob, v1.blur_prob) == ((0.4, 0.4, 0.4, 0.4), 1.0, 0.0)
    assert (v2.jitter, v2.jitter_prob, v2.blur_prob) == ((0.4, 0.4, 0.4, 0.1), 0.8, 0.5)
    assert v1.grayscale_prob == v2.grayscale_prob == 0.2


@pytest.mark.parametrize(
    "recipe, fields, message",
    [
        (
            recipes.MoCoV2,
            {"solarize_prob": -0.1},
            "MoCoV2: solarize_prob must be in [0, 1]; got -0.1. "
            "Use 0 to switch it off, 1 to apply it always.",
        ),
        (
            recipes.SimCLR,
            {"solarize_threshold": 128},
            "SimCLR: solarize_threshold must be in [0, 1], as pixels are; got 128. "
            "The published threshold is 0.5.",
        ),
        (
            recipes.BYOL,
            {"second_blur_prob": 2.0},
            "BYOL: second_blur_prob must be in [0, 1]; got 2.0. "
            "Use 0 to switch it off, 1 to apply it always.",
        ),
        (
            recipes.MoCoV3,
            {"second_solarize_prob": 1.5},
            "MoCoV3: second_solarize_prob must be in [0, 1]; got 1.5. "
            "Use 0 to switch it off, 1 to apply it always.",
        ),
        (
            recipes.MoCoV1,
            {"jitter_strength": 2.0},
            "MoCoV1: jitter[3] · jitter_strength must be at most 0.5 turns of hue; got 0.4 · 2.0. "
            "Half a turn reaches every hue.",
        ),
    ],
)
def test_impossible_pairs_are_refused(recipe, fields, message):
    with pytest.raises(ValueError) as error:
        recipe(8, **fields)
    assert str(error.value) == message


def test_a_batch_in_place_of_an_image_is_refused(key):
    with pytest.raises(ValueError, match=r"^BYOL: an image must be \[H, W, C\], one example; got"):
        recipes.BYOL(8).pair(key, jnp.zeros((2, 8, 8, 3)))
