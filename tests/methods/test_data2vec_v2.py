"""data2vec 2.0 against float64 loops over masks, patches and values of its own networks."""

import dataclasses

import jax
import numpy as np
import pytest
import tiny

from jaxssl import draws, models, schedules
from jaxssl.models import grid_decoder

TINY = {
    "Data2VecV2": {
        "num_layers": 2,
        "num_masks": 2,
        "block_side": 2,
        "mask_ratio": 0.7,
        "decoder_width": 8,
        "decoder_depth": 2,
        "decoder_groups": 2,
    }
}
TINY_ENCODER = {"Data2VecV2": "ViT"}

KEY = jax.random.key(0)
CLOCK = schedules.clock_at(3, steps_per_epoch=4, total_steps=12)  # a quarter of the run
# A class token goes along: it is compared with the average of the targets, and is no target.
MODULE = models.ViTConfig(width=16, depth=3, num_heads=2, patch_size=4).build()
CONFIG = dataclasses.replace(tiny.method("Data2VecV2"), class_weight=0.5, noise=0.3)
DECODER = grid_decoder.GridDecoder(16, 8, 2, groups=2)


@pytest.fixture(scope="module")
def made():
    """The method, views of three images, params that have left the teacher behind, and state."""
    method = CONFIG.build(MODULE, axis_name=None)
    batch = {"image": tiny.images(3)}
    views = jax.jit(lambda: draws.make_views(method, batch, jax.random.split(KEY, 3)))()
    params, state = jax.jit(method.init)(KEY, views)
    random = np.random.default_rng(1)
    params = jax.tree.map(lambda x: x + np.float32(0.05 * random.normal(size=x.shape)), params)
    return method, views, params, state


def standardise(values):
    return (values - values.mean()) / np.sqrt(values.var() + 1e-5)


def targets(state, images):
    """y of every image and patch, from the teacher's tokens after its last two of three blocks."""
    teacher = {"params": state["target"]["params"]["encoder"]}
    maps = jax.jit(MODULE.apply)(teacher, images).maps
    made = np.zeros((len(images), 16, 16))
    for block in maps[1:]:
        block = np.float64(block).reshape(len(images), 16, 16)
        for example, channel in np.ndindex(len(images), 16):
            made[example, :, channel] += standardise(block[example, :, channel]) / 2
    for example, patch in np.ndindex(len(images), 16):
        made[example, patch] = standardise(made[example, patch])
    return made


def described(params, views, mask):
    """Class tokens [B, D] and predictions [B, N, D] of one mask, in float64."""
    keep = views["keep"][:, mask]
    encoder = jax.jit(MODULE.apply)
    features = encoder({"params": params["encoder"]}, views["image"], keep=keep)
    grids = np.zeros((3, 16, 16), np.float32)
    for example in range(3):
        key = jax.random.wrap_key_data(views["noise"][example, mask], impl="threefry2x32")
        grids[example] = 0.3 * jax.random.normal(key, (16, 16))
        for place, patch in enumerate(keep[example]):
            grids[example, patch] = features.tokens[example, place]
    prediction = DECODER.apply({"params": params["decoder"]}, grids, grid=(4, 4))
    return np.float64(features.pooled), np.float64(prediction)


def test_loss_is_the_scaled_error_of_what_each_mask_hides_and_of_the_class_token(made):
    method, views, params, state = made
    values, _ = jax.jit(method.loss)(params, state, views, KEY, CLOCK)
    target = targets(state, views["image"])
    assert views["keep"].shape == (3, 2, 4)  # int(16 · 0.3)
    expected = np.zeros(3)
    for mask in range(2):
        pooled, prediction = described(params, views, mask)
        for example in range(3):
            hidden = [patch for patch in range(16) if patch not in views["keep"][example, mask]]
            errors = [prediction[example, patch] - target[example, patch] for patch in hidden]
            whole = pooled[example] - target[example].mean(axis=0)
            expected[example] += np.square(errors).mean() + 0.5 * np.square(whole).mean()
    np.testing.assert_allclose(values, 4 * expected / 2, rtol=1e-4)  # sqrt(16), two masks


def test_decoder_is_its_grouped_convolutions_in_loops(key):
    tokens = np.float32(np.random.default_rng(0).normal(size=(1, 6, 4)))
    decoder = grid_decoder.GridDecoder(3, width=4, depth=2, groups=2)
    params = decoder.init(key, tokens, grid=(2, 3))["params"]
    got = decoder.apply({"params": params}, tokens, grid=(2, 3))
    x = np.float64(tokens).reshape(2, 3, 4)
    for layer in ("conv0", "conv1"):
        kernel, bias = np.float64(params[layer]["kernel"]), np.float64(params[layer]["bias"])
        y = np.zeros((2, 3, 4))
        for row, column, out in np.ndindex(2, 3, 4):
            y[row, column, out] = bias[out]
            for i, j, channel in np.ndindex(3, 3, 2):
                there = (row + i - 1, column + j - 1)
                if 0 <= there[0] < 2 and 0 <= there[1] < 3:
                    seen = x[*there, 2 * (out // 2) + channel]
                    y[row, column, out] += kernel[i, j, channel, out] * seen
        for row, column in np.ndindex(2, 3):
            y[row, column] = np.float64(jax.nn.gelu(standardise(y[row, column]), approximate=False))
        x = x + y
    last = params["prediction"]
    expected = x.reshape(6, 4) @ np.float64(last["kernel"]) + np.float64(last["bias"])
    np.testing.assert_allclose(got[0], expected, rtol=1e-4, atol=1e-5)


def test_the_teacher_follows_along_a_line_and_the_student_is_evaluated(made):
    method, _, params, state = made
    after = jax.jit(method.advance)(params, state, CLOCK)["target"]["params"]["encoder"]
    momentum = 0.9998 + (0.99999 - 0.9998) * 0.25 / 0.27
    expected = jax.tree.map(
        lambda old, new: momentum * np.float64(old) + (1 - momentum) * np.float64(new),
        state["target"]["params"]["encoder"],
        params["encoder"],
    )
    jax.tree.map(
        lambda a, b: np.testing.assert_allclose(a, b, rtol=1e-5, atol=1e-6), after, expected
    )
    exported = method.encoder(params, state)["params"]
    jax.tree.map(np.testing.assert_array_equal, exported, params["encoder"])


def test_published_numbers_keep_39_of_196(key):
    method = type(CONFIG)().build(models.ViTConfig().build(), axis_name=None)
    views = jax.jit(method.view)(key, {"image": np.zeros((32, 32, 3), np.uint8)})
    assert views["image"].shape == (224, 224, 3)
    assert views["keep"].shape == (16, 39)
    assert len({tuple(map(int, mask)) for mask in views["keep"]}) == 16  # each its own


@pytest.mark.parametrize(
    ("changes", "encoder", "text"),
    [
        ({}, models.ResNetConfig(depth=18), "Data2VecV2: the encoder must be a ViT, which can"),
        ({"num_layers": 4}, MODULE.config, r"num_layers must be in \[1, 3\]; got 4. The last of"),
        ({"mask_ratio": 1.0}, MODULE.config, "got mask ratio 1.0, which keeps 0 of 16"),
        ({"num_masks": 0}, MODULE.config, "num_masks must be at least 1; got 0. The authors have"),
        ({"noise": -1.0}, MODULE.config, "Data2VecV2: noise must be at least 0; got -1.0"),
        ({"final_momentum": 2.0}, MODULE.config, r"final_momentum must be in \[0, 1\]; got 2"),
        ({"momentum_rise": 2.0}, MODULE.config, r"momentum_rise must be in \[0, 1\]; got 2"),
    ],
)
def test_what_cannot_be_is_refused(changes, encoder, text):
    with pytest.raises(ValueError, match=text):
        method = dataclasses.replace(CONFIG, **changes).build(encoder.build(), axis_name=None)
        jax.eval_shape(method.view, KEY, {"image": np.zeros((16, 16, 3), np.uint8)})


@pytest.mark.parametrize(
    ("fields", "text"),
    [
        ({"kernel": 2}, "GridDecoder: kernel must be odd; got 2."),
        ({"groups": 3}, "multiples of groups; got 16, 8 and 3 groups."),
        ({"depth": 0}, "GridDecoder: depth must be at least 1; got 0"),
    ],
)
def test_decoders_that_cannot_be_are_refused(fields, text):
    decoder = grid_decoder.GridDecoder(**{"out_dim": 16, "width": 8, "groups": 2} | fields)
    with pytest.raises(ValueError, match=text):
        jax.eval_shape(lambda: decoder.init(KEY, np.zeros((1, 16, 16), np.float32), grid=(4, 4)))
