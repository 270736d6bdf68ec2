"""data2vec against float64 loops over the tokens of its own networks."""

import dataclasses

import jax
import numpy as np
import pytest
import tiny

from jaxssl import draws, models, schedules
from jaxssl.methods.shared import vits

TINY = {"Data2Vec": {"num_layers": 2, "min_block": 4, "mask_ratio": 0.6}}
TINY_ENCODER = {"Data2Vec": "ViT"}

KEY = jax.random.key(0)
CLOCK = schedules.clock_at(3, steps_per_epoch=4, total_steps=12)
# A class token goes along, and is no target.
MODULE = models.ViTConfig(width=16, depth=3, num_heads=2, patch_size=4).build()
CONFIG = dataclasses.replace(tiny.method("Data2Vec"), beta=0.5)


@pytest.fixture(scope="module")
def made():
    """The method, views of four images, params that have left the teacher behind, and state."""
    method = CONFIG.build(MODULE, axis_name=None)
    batch = {"image": tiny.images(4)}
    views = jax.jit(lambda: draws.make_views(method, batch, jax.random.split(KEY, 4)))()
    params, state = jax.jit(method.init)(KEY, views)
    random = np.random.default_rng(1)
    params = jax.tree.map(lambda x: x + np.float32(0.05 * random.normal(size=x.shape)), params)
    return method, views, params, state


def normalize(token):
    return (token - token.mean()) / np.sqrt(token.var() + 1e-5)


def targets(state, images):
    """y of every image and patch, from the teacher's tokens after its last two of three blocks."""
    teacher = {"params": state["target"]["params"]["encoder"]}
    maps = jax.jit(MODULE.apply)(teacher, images).maps
    blocks = [np.float64(map_).reshape(len(images), 16, 16) for map_ in maps]
    made = np.zeros((len(images), 16, 16))
    for example, patch in np.ndindex(len(images), 16):
        made[example, patch] = sum(normalize(block[example, patch]) for block in blocks[1:]) / 2
        made[example, patch] = normalize(made[example, patch])
    return made


def test_loss_is_the_smooth_distance_to_the_average_of_the_last_blocks(made):
    method, views, params, state = made
    values, _ = jax.jit(method.loss)(params, state, views, KEY, CLOCK)
    network = vits.WithHidden(MODULE, vits.linear_head(MODULE, 16))
    prediction, _ = jax.jit(network.apply)(params, state, views["image"], views["hide"])
    prediction, target = np.float64(prediction), targets(state, views["image"])
    for example in range(4):
        hidden = np.flatnonzero(views["hide"][example])
        assert len(hidden) == 10  # 0.6 · 16, rounded
        distances = []
        for error in (prediction[example, hidden] - target[example, hidden]).ravel():
            distances.append(error**2 if abs(error) < 0.5 else abs(error) - 0.25)
        np.testing.assert_allclose(values[example], np.mean(distances), rtol=1e-4)


def test_the_average_of_the_targets_is_what_is_watched(made):
    method, views, params, state = made
    watched = jax.jit(method.embed)(params, state, views)
    expected = targets(state, views["image"]).mean(axis=1)
    np.testing.assert_allclose(watched.first, expected, rtol=1e-3, atol=1e-4)
    assert watched.second is None


def test_the_teacher_follows_and_the_student_is_evaluated(made):
    method, _, params, state = made
    after = jax.jit(method.advance)(params, state, CLOCK)["target"]["params"]["encoder"]
    expected = jax.tree.map(
        lambda old, new: 0.9998 * np.float64(old) + 0.0002 * np.float64(new),
        state["target"]["params"]["encoder"],
        params["encoder"],
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), after, expected
    )
    exported = method.encoder(params, state)["params"]
    jax.tree.map(np.testing.assert_array_equal, exported, params["encoder"])


def test_published_numbers_hide_120_of_196(key):
    method = type(CONFIG)().build(models.ViTConfig().build(), axis_name=None)
    views = jax.jit(method.view)(key, {"image": np.zeros((32, 32, 3), np.uint8)})
    assert views["image"].shape == (224, 224, 3)
    assert views["hide"].shape == (196,) and views["hide"].sum() == 120


@pytest.mark.parametrize(
    ("changes", "encoder", "text"),
    [
        ({}, models.ResNetConfig(depth=18), "Data2Vec: the encoder must be a ViT, which can have"),
        ({"num_layers": 4}, MODULE.config, r"num_layers must be in \[1, 3\]; got 4. The last of"),
        (
            {"mask_ratio": 1.0},
            MODULE.config,
            r"least 1 of 16 patches; got 1.0, which hides 16",
        ),
        ({"beta": -1.0}, MODULE.config, r"Data2Vec: beta must be at least 0; got -1.0"),
        ({"min_block": 0}, MODULE.config, r"Data2Vec: min_block must be at least 1; got 0"),
        ({"teacher_momentum": 2.0}, MODULE.config, r"teacher_momentum must be in \[0, 1\]; got 2"),
    ],
)
def test_what_cannot_be_is_refused(changes, encoder, text):
    with pytest.raises(ValueError, match=text):
        dataclasses.replace(CONFIG, **changes).build(encoder.build(), axis_name=None)
