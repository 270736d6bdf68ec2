"""Multi-crop: two large and several small views of one image."""

import dataclasses

import augment_reference as reference
import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxssl.augment import geometry, recipes

COUNT = 250
STILL = {"flip_prob": 0.0, "jitter_prob": 0.0, "grayscale_prob": 0.0, "crop_ratio": (0.8, 1.25)}
SHARP = {"blur_prob": 0.0, "second_blur_prob": 0.0, "local_blur_prob": 0.0}
MATT = {"solarize_prob": 0.0, "second_solarize_prob": 0.0, "local_solarize_prob": 0.0}
TINY = {"size": 12, "local_size": 6}


def mapped(function, image, count=COUNT, seed=0):
    keys = jax.random.split(jax.random.key(seed), count)
    made = jax.jit(jax.vmap(function, in_axes=(0, None)))(keys, image)
    return jax.tree.map(np.asarray, made)


@pytest.mark.parametrize("channels", [1, 3])
def test_views_of_two_sizes_are_float32_in_the_unit_interval_and_all_differ(channels):
    pixels = np.random.default_rng(0).integers(0, 256, (16, 14, channels), np.uint8)
    views = mapped(recipes.DINO(**TINY, num_local=5), jnp.asarray(pixels), count=3)
    assert views.keys() == {"global", "local"}
    assert views["global"].shape == (3, 2, 12, 12, channels)
    assert views["local"].shape == (3, 5, 6, 6, channels)
    for made in views.values():
        assert made.dtype == np.float32 and made.min() >= 0 and made.max() <= 1
    singles = [view.tobytes() for made in views.values() for group in made for view in group]
    assert len(set(singles)) == 3 * (2 + 5)


def test_without_local_views_there_is_no_entry_for_them(key):
    views = jax.eval_shape(recipes.SwAV(num_local=0), key, jnp.zeros((32, 32, 3), jnp.uint8))
    assert {name: made.shape for name, made in views.items()} == {"global": (2, 224, 224, 3)}


def test_global_views_are_the_pair_of_byol(key):
    image = jnp.asarray(np.random.default_rng(1).random((14, 15, 3), np.float32))
    recipe = recipes.DINO(**TINY, num_local=1)
    shared = {f.name: getattr(recipe, f.name) for f in dataclasses.fields(recipes.BYOL)}
    pair = jax.jit(recipes.BYOL(**shared).pair)(jax.random.split(key)[0], image)
    made = jax.jit(recipe)(key, image)["global"]
    np.testing.assert_allclose(made, np.stack(pair), atol=1e-6)


def test_local_views_equal_the_loops(key):
    """Every crop read off its key, then flip, grey, blur and solarisation one by one."""
    image = jnp.asarray(np.random.default_rng(1).random((30, 26, 3), np.float32))
    recipe = recipes.DINO(
        size=4,
        local_size=7,
        num_local=3,
        local_crop_scale=(0.1, 0.3),
        flip_prob=1.0,
        jitter_prob=0.0,
        grayscale_prob=1.0,
        local_blur_prob=1.0,
        blur_sigma=(0.6, 0.6),
        local_solarize_prob=1.0,
        solarize_threshold=0.45,
        **{name: 0.0 for name in ("blur_prob", "second_blur_prob", "second_solarize_prob")},
    )
    made = jax.jit(recipe)(key, image)["local"]
    for k, view in zip(jax.random.split(jax.random.split(key)[1], 3), made):
        box = geometry.sample_crop(k, 30, 26, scale=(0.1, 0.3), ratio=recipe.crop_ratio)
        top, left, height, width = (int(number) for number in box)
        steps = reference.crop_resize(image, top, left, height, width, 7, reference.keys_cubic)
        steps = reference.grayscale(reference.blur(reference.flip(steps), 0.6, 1))
        expected = reference.solarize(np.clip(steps, 0, 1), 0.45)
        np.testing.assert_allclose(view, expected, atol=5e-6)


def test_areas_lie_in_their_own_scales_and_are_independent():
    """Two ramps tell the sides of every box: a pixel's step over that of the image."""
    side, num_local = 40, 3
    ramp = np.arange(side, dtype=np.float32) / side
    image = jnp.asarray(np.stack(np.meshgrid(ramp, ramp, [0.0])[:2], axis=-1)[:, :, 0])
    recipe = recipes.MultiCrop(
        **(STILL | SHARP | MATT),
        size=40,  # at least the box: upscaling keeps a ramp exactly
        crop_scale=(0.4, 0.9),
        local_size=20,
        num_local=num_local,
        local_crop_scale=(0.06, 0.2),
        interpolation="linear",
    )
    views = mapped(recipe, image)

    def areas(made, size):
        middle = size // 2
        width = (made[:, :, middle, middle, 0] - made[:, :, middle, middle - 1, 0]) * side * size
        height = (made[:, :, middle, middle, 1] - made[:, :, middle - 1, middle, 1]) * side * size
        for length in (width, height):
            np.testing.assert_allclose(length, np.round(length), atol=0.02)
        return np.round(width), np.round(height)

    all_areas = []
    for made, size, (low, high) in (
        (views["global"], 40, recipe.crop_scale),
        (views["local"], 20, recipe.local_crop_scale),
    ):
        width, height = areas(made, size)
        total = side * side
        # Sides are rounded to whole pixels.
        assert np.all((width + 0.5) * (height + 0.5) >= low * total)
        assert np.all((width - 0.5) * (height - 0.5) <= high * total)
        share = width * height / total
        for column in share.T:
            assert stats.kstest(column, stats.uniform(low, high - low).cdf).pvalue > 0.01
        all_areas += list(share.T)
    correlation = np.corrcoef(all_areas) - np.eye(2 + num_local)
    assert np.abs(correlation).max() < 4 / np.sqrt(COUNT)


def test_blur_and_solarisation_come_with_each_crops_own_probability():
    """The ground, at 0.6, falls to 0.4 where solarised; the edge in the middle blurs."""
    columns = jnp.full((40,), 0.6).at[20].set(0.0)
    image = jnp.broadcast_to(columns[None, :, None], (40, 40, 1))
    whole = {"crop_scale": (1.0, 1.0), "local_crop_scale": (1.0, 1.0), "crop_ratio": (1.0, 1.0)}
    recipe = recipes.DINO(
        **(STILL | whole),
        size=40,
        local_size=40,
        num_local=2,
        blur_sigma=(0.5, 1.0),
        blur_prob=0.9,
        second_blur_prob=0.3,
        local_blur_prob=0.6,
        solarize_prob=0.1,
        second_solarize_prob=0.5,
        local_solarize_prob=0.3,
    )
    views = mapped(recipe, image)
    expected = [
        ("global", 0.9, 0.1),
        ("global", 0.3, 0.5),
        ("local", 0.6, 0.3),
        ("local", 0.6, 0.3),
    ]
    for index, (name, blur_prob, solarize_prob) in enumerate(expected):
        view = views[name][:, index % 2, 0, :, 0]
        blurred = np.abs(view[:, 19] - view[:, 0]) > 1e-3
        solarised = np.abs(view[:, 0] - 0.4) < 1e-3
        for events, probability in ((blurred, blur_prob), (solarised, solarize_prob)):
            assert stats.binomtest(int(events.sum()), COUNT, probability).pvalue > 0.01


def test_all_views_are_two_traced_ones_without_gather_or_branch(key, monkeypatch):
    traces = []
    trace = recipes.SimCLR._view
    monkeypatch.setattr(
        recipes.SimCLR, "_view", lambda *a, **k: (traces.append(1), trace(*a, **k))[1]
    )
    make = jax.jit(jax.vmap(recipes.DINO(**TINY, num_local=9)))
    images = jnp.zeros((2, 10, 9, 3), jnp.uint8)
    text = str(make.trace(jax.random.split(key, 2), images).jaxpr)
    for primitive in ("gather", "scatter", "dynamic_slice", "cond", "while", "conv_general"):
        assert f"{primitive}[" not in text
    assert text.count("dot_general[") == 2 * 4
    make.trace(jax.random.split(jax.random.key(1), 2), images)
    assert len(traces) == 2
    with jax.enable_x64(True):
        views = jax.eval_shape(recipes.DINO(**TINY), key, images[0])
    assert {made.dtype for made in views.values()} == {jnp.dtype("float32")}


def test_published_defaults_of_multicrop():
    swav, dino = recipes.SwAV(), recipes.DINO()
    for recipe in (swav, dino):
        assert (recipe.size, recipe.local_size) == (224, 96)
        assert (recipe.jitter_prob, recipe.grayscale_prob, recipe.flip_prob) == (0.8, 0.2, 0.5)
        assert recipe.blur_sigma == (0.1, 2.0) and recipe.jitter_strength == 1.0
    assert (swav.num_local, swav.crop_scale, swav.local_crop_scale) == (6, (0.14, 1), (0.05, 0.14))
    assert (dino.num_local, dino.crop_scale, dino.local_crop_scale) == (8, (0.4, 1), (0.05, 0.4))
    assert swav.jitter == (0.8, 0.8, 0.8, 0.2) and dino.jitter == (0.4, 0.4, 0.2, 0.1)
    assert (swav.interpolation, dino.interpolation) == ("linear", "cubic")

    def probs(recipe, name):
        return tuple(getattr(recipe, f"{which}{name}_prob") for which in ("", "second_", "local_"))

    assert probs(swav, "blur") == (0.5, 0.5, 0.5) and probs(swav, "solarize") == (0, 0, 0)
    assert probs(dino, "blur") == (1.0, 0.1, 0.5) and probs(dino, "solarize") == (0, 0.2, 0)

    # The table "Data augmentation and views" of the README of rbalestr-lab/lejepa.
    lejepa = recipes.LeJEPA()
    assert (lejepa.size, lejepa.local_size, lejepa.num_local) == (224, 98, 6)
    assert (lejepa.crop_scale, lejepa.local_crop_scale) == ((0.3, 1.0), (0.05, 0.3))
    assert lejepa.jitter == (0.4, 0.4, 0.2, 0.1) and lejepa.jitter_strength == 1.0
    assert (lejepa.jitter_prob, lejepa.grayscale_prob, lejepa.flip_prob) == (0.8, 0.2, 0.5)
    assert probs(lejepa, "blur") == (0.5, 0.5, 0.5)
    assert probs(lejepa, "solarize") == (0.2, 0.2, 0.2)
    assert (lejepa.interpolation, lejepa.blur_sigma) == ("linear", (0.1, 2.0))
    assert lejepa.solarize_threshold == 0.5


@pytest.mark.parametrize(
    "recipe, fields, message",
    [
        (
            recipes.DINO,
            {"local_size": 0},
            "DINO: local_size must be at least 1 pixel; got 0. "
            "Use the side the encoder expects, such as 32 or 224.",
        ),
        (
            recipes.SwAV,
            {"num_local": -1},
            "SwAV: num_local must be at least 0 views; got -1. "
            "Use 0 for the two global views alone.",
        ),
        (
            recipes.MultiCrop,
            {"size": 8, "local_crop_scale": (0.2, 0.1)},
            "MultiCrop: local_crop_scale must be a pair of areas 0 < low <= high <= 1; got "
            "(0.2, 0.1). For the whole image use (1.0, 1.0).",
        ),
        (
            recipes.DINO,
            {"local_blur_prob": 1.1},
            "DINO: local_blur_prob must be in [0, 1]; got 1.1. "
            "Use 0 to switch it off, 1 to apply it always.",
        ),
        (
            recipes.DINO,
            {"local_solarize_prob": -1},
            "DINO: local_solarize_prob must be in [0, 1]; got -1. "
            "Use 0 to switch it off, 1 to apply it always.",
        ),
    ],
)
def test_impossible_multicrops_are_refused(recipe, fields, message):
    with pytest.raises(ValueError) as error:
        recipe(**fields)
    assert str(error.value) == message


def test_a_batch_in_place_of_an_image_is_refused(key):
    with pytest.raises(ValueError, match=r"^DINO: an image must be \[H, W, C\], one example; got"):
        recipes.DINO()(key, jnp.zeros((2, 8, 8, 3)))
