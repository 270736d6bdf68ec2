"""Multi-crop: two large and several small views of one image."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import jsonable
from jaxssl.augment import policies

TINY = {"size": 12, "local_size": 6}


@pytest.mark.parametrize("channels", [1, 3])
def test_views_of_two_sizes_are_float32_in_the_unit_interval_and_all_differ(channels):
    pixels = np.random.default_rng(0).integers(0, 256, (16, 14, channels), np.uint8)
    keys = jax.random.split(jax.random.key(0), 3)
    augment = jax.jit(jax.vmap(policies.dino(**TINY, num_local=5), in_axes=(0, None)))
    views = jax.tree.map(np.asarray, augment(keys, jnp.asarray(pixels)))
    assert views.keys() == {"global", "local"}
    assert views["global"].shape == (3, 2, 12, 12, channels)
    assert views["local"].shape == (3, 5, 6, 6, channels)
    for made in views.values():
        assert made.dtype == np.float32 and made.min() >= 0 and made.max() <= 1
    singles = [view.tobytes() for made in views.values() for group in made for view in group]
    assert len(set(singles)) == 3 * (2 + 5)


def test_without_local_views_there_is_no_entry_for_them(key):
    views = jax.eval_shape(policies.swav(num_local=0), key, jnp.zeros((32, 32, 3), jnp.uint8))
    assert {name: made.shape for name, made in views.items()} == {"global": (2, 224, 224, 3)}


@pytest.mark.parametrize("name", ["swav", "dino", "lejepa"])
def test_views_are_the_pair_and_calls_of_the_local_view(name, key):
    image = jnp.asarray(np.random.default_rng(1).random((14, 15, 3), np.float32))
    augment = getattr(policies, name)(**TINY, num_local=3)
    assert augment.size == augment.pair.size == 12
    made = jax.jit(augment)(key, image)
    global_key, local_key = jax.random.split(key)
    pair = jax.jit(augment.pair.pair)(global_key, image)
    np.testing.assert_allclose(made["global"], np.stack(pair), atol=1e-6)
    local = jax.jit(augment.local)
    for k, view in zip(jax.random.split(local_key, 3), made["local"], strict=True):
        np.testing.assert_allclose(view, local(k, image), atol=1e-6)


def test_global_views_may_differ_in_their_crops(key):
    first = policies.View(12)
    pair = policies.Pair(first, dataclasses.replace(first, crop_scale=(0.1, 0.2)))
    augment = policies.MultiCrop(pair, policies.View(6), num_local=1)
    image = jnp.asarray(np.random.default_rng(1).random((14, 15, 3), np.float32))
    expected = jax.jit(pair.pair)(jax.random.split(key)[0], image)
    np.testing.assert_allclose(jax.jit(augment)(key, image)["global"], expected, atol=1e-6)


def test_all_views_are_two_traced_ones_without_gather_or_branch(key, monkeypatch):
    traces = []
    trace = policies.View.with_probabilities
    monkeypatch.setattr(
        policies.View,
        "with_probabilities",
        lambda *args, **options: (traces.append(1), trace(*args, **options))[1],
    )
    make = jax.jit(jax.vmap(policies.dino(**TINY, num_local=9)))
    images = jnp.zeros((2, 10, 9, 3), jnp.uint8)
    text = str(make.trace(jax.random.split(key, 2), images).jaxpr)
    for primitive in ("gather", "scatter", "dynamic_slice", "cond", "while", "conv_general"):
        assert f"{primitive}[" not in text
    assert text.count("dot_general[") == 2 * 4
    make.trace(jax.random.split(jax.random.key(1), 2), images)
    assert len(traces) == 2
    with jax.enable_x64(True):
        views = jax.eval_shape(policies.dino(**TINY), key, images[0])
    assert {made.dtype for made in views.values()} == {jnp.dtype("float32")}


def all_views(augment):
    return augment.pair.first, augment.pair.second, augment.local


def values(augment, name):
    return tuple(getattr(view, name) for view in all_views(augment))


def test_published_defaults_of_multicrop():
    swav, dino, lejepa = policies.swav(), policies.dino(), policies.lejepa()
    for augment in (swav, dino, lejepa):
        for view in all_views(augment):
            assert (view.jitter_prob, view.grayscale_prob, view.flip_prob) == (0.8, 0.2, 0.5)
            assert view.blur_sigma == (0.1, 2.0) and view.jitter_strength == 1.0
            assert view.solarize_threshold == 0.5 and view.crop_ratio == (3 / 4, 4 / 3)
    assert swav.num_local == 6 and values(swav, "size") == (224, 224, 96)
    assert values(swav, "crop_scale") == ((0.14, 1), (0.14, 1), (0.05, 0.14))
    assert values(swav, "jitter") == 3 * ((0.8, 0.8, 0.8, 0.2),)
    assert values(swav, "interpolation") == 3 * ("linear",)
    assert values(swav, "blur_prob") == (0.5, 0.5, 0.5)
    assert values(swav, "solarize_prob") == (0, 0, 0)

    assert dino.num_local == 8 and values(dino, "size") == (224, 224, 96)
    assert values(dino, "crop_scale") == ((0.4, 1), (0.4, 1), (0.05, 0.4))
    assert values(dino, "jitter") == 3 * ((0.4, 0.4, 0.2, 0.1),)
    assert values(dino, "interpolation") == 3 * ("cubic",)
    assert values(dino, "blur_prob") == (1.0, 0.1, 0.5)
    assert values(dino, "solarize_prob") == (0, 0.2, 0)

    # The table "Data augmentation and views" of the README of rbalestr-lab/lejepa.
    assert lejepa.num_local == 6 and values(lejepa, "size") == (224, 224, 98)
    assert values(lejepa, "crop_scale") == ((0.3, 1), (0.3, 1), (0.05, 0.3))
    assert values(lejepa, "jitter") == 3 * ((0.4, 0.4, 0.2, 0.1),)
    assert values(lejepa, "interpolation") == 3 * ("linear",)
    assert values(lejepa, "blur_prob") == (0.5, 0.5, 0.5)
    assert values(lejepa, "solarize_prob") == (0.2, 0.2, 0.2)


@pytest.mark.parametrize("name", ["swav", "dino", "lejepa"])
def test_changes_hold_for_all_views(name):
    """But for sizes and crops, which global and local views have of their own."""
    crops = TINY | {"num_local": 3, "crop_scale": (0.5, 1.0), "local_crop_scale": (0.2, 0.3)}
    changed = getattr(policies, name)(**crops, blur_prob=0.0, jitter_strength=0.4)
    published = getattr(policies, name)(**crops)
    assert values(changed, "size") == (12, 12, 6) and changed.num_local == 3
    assert values(changed, "crop_scale") == ((0.5, 1.0), (0.5, 1.0), (0.2, 0.3))
    for view, default in zip(all_views(changed), all_views(published)):
        assert view == dataclasses.replace(default, blur_prob=0.0, jitter_strength=0.4)
    assert changed == published.change_views(blur_prob=0.0, jitter_strength=0.4)


def test_a_record_of_flat_fields_is_read():
    dino = policies.dino(grayscale_prob=0.1)
    flat = jsonable.to_json(dino.pair.first) | {
        "second_blur_prob": 0.1,
        "second_solarize_prob": 0.2,
        "local_size": 96,
        "num_local": 8,
        "local_crop_scale": [0.05, 0.4],
        "local_blur_prob": 0.5,
        "local_solarize_prob": 0.0,
    }
    assert jsonable.from_json(policies.MultiCrop, flat) == dino


def test_impossible_multicrops_are_refused():
    with pytest.raises(ValueError) as error:
        policies.swav(num_local=-1)
    assert str(error.value) == (
        "MultiCrop: num_local must be at least 0; got -1. Use 0 for the two global views alone."
    )
    with pytest.raises(ValueError, match=r"^View: size must be at least 1; got 0\."):
        policies.dino(local_size=0)
    pair = policies.Pair(policies.View(8), policies.View(9))
    with pytest.raises(ValueError, match=r"^MultiCrop: first and second views must have one size"):
        policies.MultiCrop(pair, policies.View(4), num_local=2)


def test_a_batch_in_place_of_an_image_is_refused(key):
    with pytest.raises(ValueError, match=r"^View: an image must be \[H, W, C\], one example; got"):
        policies.dino()(key, jnp.zeros((2, 8, 8, 3)))
