"""The pairs of views that two-view methods compare. What one view is: test_policies."""

import dataclasses
import json

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxssl import jsonable
from jaxssl.augment import policies

COUNT = 1500
WHOLE = {"crop_scale": (1.0, 1.0), "crop_ratio": (1.0, 1.0)}
STILL = WHOLE | {"flip_prob": 0.0, "jitter_prob": 0.0, "grayscale_prob": 0.0}
VIEW = policies.View(8, blur_prob=0.7, solarize_prob=0.3)
# What a second view may be, and how many views are traced to make the pair.
SECONDS = {
    "none": (None, 2),
    "the same": (VIEW, 1),
    "other probabilities": (dataclasses.replace(VIEW, blur_prob=0.1, solarize_prob=0.0), 1),
    "another crop": (dataclasses.replace(VIEW, crop_scale=(0.1, 0.3)), 2),
    "another strength": (dataclasses.replace(VIEW, jitter_strength=0.2, blur_prob=0.0), 2),
    "another size": (dataclasses.replace(VIEW, size=5), 2),
}
POLICIES = {
    "crop": policies.CropFlip(32),
    "pad": policies.PadCropFlip(),
    "resize": policies.Resize(32),
    "view": policies.View(32),
} | {
    name: getattr(policies, name)()
    for name in (
        "simclr", "moco_v1", "moco_v2", "moco_v3", "byol", "swav", "dino", "lejepa", "mae",
    )
}  # fmt: skip


def random_image(height=12, width=12, channels=3):
    draws = np.random.default_rng(4).uniform(0.0, 1.0, (height, width, channels))
    return jnp.asarray(draws, jnp.float32)


def mapped(function, image, count=COUNT, seed=0):
    keys = jax.random.split(jax.random.key(seed), count)
    made = jax.jit(jax.vmap(function, in_axes=(0, None)))(keys, image)
    return jax.tree.map(np.asarray, made)


@pytest.fixture
def traces(monkeypatch):
    """A list that grows by one whenever a view is traced."""
    made, trace = [], policies.View.with_probabilities
    monkeypatch.setattr(
        policies.View,
        "with_probabilities",
        lambda *args, **options: (made.append(1), trace(*args, **options))[1],
    )
    return made


@pytest.mark.parametrize("name", SECONDS)
def test_a_pair_is_two_calls_with_keys_of_their_own(name, key, traces):
    second, num_traces = SECONDS[name]
    augment, image = policies.Pair(VIEW, second), random_image(9, 10)
    pair = jax.jit(augment.pair)
    view_of_first, view_of_second = jax.jit(VIEW), jax.jit(second or VIEW)
    made = [pair(k, image) for k in jax.random.split(key, 6)]
    assert len(traces) == num_traces
    for k, (view_a, view_b) in zip(jax.random.split(key, 6), made):
        key_a, key_b = jax.random.split(k)
        np.testing.assert_allclose(view_a, view_of_first(key_a, image), atol=1e-6)
        np.testing.assert_allclose(view_b, view_of_second(key_b, image), atol=1e-6)
    assert augment.size == 8
    np.testing.assert_array_equal(jax.jit(augment)(key, image), view_of_first(key, image))


def test_blur_and_solarisation_come_with_each_views_own_probability():
    """An impulse spreads where it is blurred; the ground, at 0.6, falls to 0.4 where solarised."""
    image = jnp.full((5, 5, 1), 0.6).at[2, 2].set(0.0)
    first = policies.View(5, **STILL, blur_sigma=(0.5, 1.0), blur_prob=0.7, solarize_prob=0.25)
    second = dataclasses.replace(first, blur_prob=0.1, solarize_prob=0.6)
    pair = mapped(policies.Pair(first, second).pair, image)
    events = []
    for view, blur_prob, solarize_prob in zip(pair, (0.7, 0.1), (0.25, 0.6)):
        blurred = np.abs(view[:, 2, 1, 0] - view[:, 0, 0, 0]) > 1e-3
        solarised = np.abs(view[:, 0, 0, 0] - 0.4) < 1e-3
        assert np.all(solarised | (np.abs(view[:, 0, 0, 0] - 0.6) < 1e-3))
        for happened, probability in ((blurred, blur_prob), (solarised, solarize_prob)):
            assert stats.binomtest(int(happened.sum()), COUNT, probability).pvalue > 0.01
        events += [blurred, solarised]
    # Four independent events: no two of them go together.
    correlation = np.corrcoef(np.array(events, float)) - np.eye(4)
    assert np.abs(correlation).max() < 4 / np.sqrt(COUNT)


@pytest.mark.parametrize("channels", [1, 3])
def test_pairs_are_two_different_float32_views_in_the_unit_interval(channels):
    pixels = np.random.default_rng(0).integers(0, 256, (10, 9, channels), np.uint8)
    view_a, view_b = mapped(policies.byol(8).pair, jnp.asarray(pixels), count=4)
    for view in (view_a, view_b):
        assert view.shape == (4, 8, 8, channels) and view.dtype == np.float32
        assert view.min() >= 0 and view.max() <= 1
    assert len({view.tobytes() for view in (*view_a, *view_b)}) == 8


def test_an_asymmetric_pair_is_one_view_without_gather_or_branch(key, traces):
    pair = jax.jit(jax.vmap(policies.byol(8).pair))
    keys, images = jax.random.split(key, 2), jnp.zeros((2, 10, 9, 3), jnp.uint8)
    text = str(pair.trace(keys, images).jaxpr)
    for primitive in ("gather", "scatter", "dynamic_slice", "cond", "while", "conv_general"):
        assert f"{primitive}[" not in text
    assert text.count("dot_general[") == 4
    for k in jax.random.split(key, 2):
        pair(jax.random.split(k, 2), images)
    assert len(traces) == 1
    with jax.enable_x64(True):
        views = jax.eval_shape(policies.byol(8).pair, key, images[0])
    assert all(view.dtype == jnp.float32 for view in views)


@pytest.mark.parametrize("name", POLICIES)
def test_every_policy_survives_json(name):
    augment = POLICIES[name]
    written = json.loads(json.dumps(jsonable.to_json(augment)))
    assert jsonable.from_json(type(augment), written) == augment
    assert hash(augment) == hash(jsonable.from_json(type(augment), written))


def test_published_defaults_of_pairs():
    byol, v3 = policies.byol(), policies.moco_v3()
    for pair in (byol, v3):
        for view in (pair.first, pair.second):
            assert view.size == 224
            assert view.crop_scale == (0.08, 1.0) and view.jitter == (0.4, 0.4, 0.2, 0.1)
            assert (view.jitter_prob, view.grayscale_prob) == (0.8, 0.2)
            assert view.solarize_threshold == 0.5
        assert (pair.first.blur_prob, pair.second.blur_prob) == (1.0, 0.1)
        assert (pair.first.solarize_prob, pair.second.solarize_prob) == (0.0, 0.2)
    assert {view.interpolation for view in (byol.first, byol.second)} == {"cubic"}
    assert {view.interpolation for view in (v3.first, v3.second)} == {"linear"}
    v1, v2 = policies.moco_v1(), policies.moco_v2()
    assert v1.second is None and v2.second is None and v1.size == v2.size == 224
    v1, v2 = v1.first, v2.first
    assert v1.crop_scale == v2.crop_scale == (0.2, 1.0)
    assert (v1.jitter, v1.jitter_prob, v1.blur_prob) == ((0.4, 0.4, 0.4, 0.4), 1.0, 0.0)
    assert (v2.jitter, v2.jitter_prob, v2.blur_prob) == ((0.4, 0.4, 0.4, 0.1), 0.8, 0.5)
    assert v1.grayscale_prob == v2.grayscale_prob == 0.2


@pytest.mark.parametrize("name", ["simclr", "moco_v1", "moco_v2", "moco_v3", "byol"])
def test_changes_hold_for_both_views(name):
    published = getattr(policies, name)()
    changes = {"size": 32, "blur_prob": 0.3, "crop_scale": (0.5, 1.0)}
    changed = getattr(policies, name)(**changes)
    assert changed == published.change_views(**changes)
    assert changed.first == dataclasses.replace(published.first, **changes)
    expected = published.second and dataclasses.replace(published.second, **changes)
    assert changed.second == expected


def test_a_record_of_flat_fields_is_read():
    flat = jsonable.to_json(VIEW)
    assert jsonable.from_json(policies.Pair, flat) == policies.Pair(VIEW)
    flat |= {"second_blur_prob": 0.1, "second_solarize_prob": 0}
    second, _ = SECONDS["other probabilities"]
    assert jsonable.from_json(policies.Pair, flat) == policies.Pair(VIEW, second)
    with pytest.raises(ValueError, match=r"^View: a field must be one of .*; got 'blurs'\."):
        jsonable.from_json(policies.Pair, flat | {"blurs": 1})


def test_impossible_changes_are_refused():
    with pytest.raises(ValueError) as error:
        policies.moco_v1(8, jitter_strength=2.0)
    assert str(error.value) == (
        "View: jitter[3] · jitter_strength must be at most 0.5 turns of hue; got 0.4 · 2.0. "
        "Half a turn reaches every hue."
    )


def test_who_stacks_the_views_refuses_two_sizes():
    for name, (second, _) in SECONDS.items():
        if name != "another size":
            policies.Pair(VIEW, second).check_one_size("owner")
    with pytest.raises(ValueError) as error:
        policies.Pair(VIEW, SECONDS["another size"][0]).check_one_size("owner")
    assert str(error.value) == (
        "owner: first and second views must have one size, as they are stacked; got 8 and 5 "
        "pixels. Set the size of both."
    )


def test_a_batch_in_place_of_an_image_is_refused(key):
    with pytest.raises(ValueError, match=r"^View: an image must be \[H, W, C\], one example; got"):
        policies.byol(8).pair(key, jnp.zeros((2, 8, 8, 3)))
