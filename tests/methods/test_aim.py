"""AIM against a float64 loop over the patches of each image."""

import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from jaxssl import draws, models, schedules
from jaxssl.models import residual_mlp

TINY_ENCODER = {"AIM": "ViT"}

KEY = jax.random.key(0)
CLOCK = schedules.clock_at(4, steps_per_epoch=4, total_steps=12)
MODULE = dataclasses.replace(tiny.ENCODERS["ViT"], mean=(0.4,), std=(0.2,)).build()
CONFIG = tiny.method("AIM")


def make(config, num_images=6):
    method = config.build(MODULE, axis_name=None)
    batch = {"image": tiny.images(num_images)}
    keys = jax.random.split(KEY, num_images)
    views = jax.jit(lambda: draws.make_views(method, batch, keys))()
    return method, views, *jax.jit(method.init)(KEY, views)


@pytest.mark.parametrize("normalize", [True, False])
def test_loss_prices_the_patches_behind_the_prefix_from_the_tokens_before_them(normalize):
    method, views, params, state = make(dataclasses.replace(CONFIG, normalize_target=normalize))
    values, _ = jax.jit(method.loss)(params, state, views, KEY, CLOCK)
    prefix = np.asarray(views["prefix"])
    tokens = jax.jit(MODULE.apply)({"params": params["encoder"]}, views["image"], prefix=prefix)
    head = residual_mlp.ResidualMLP(48, CONFIG.head_width, CONFIG.head_depth)
    predicted = np.float64(jax.jit(head.apply)({"params": params["head"]}, tokens.tokens))
    for b in range(6):
        image = (np.float64(views["image"][b]) - 0.4) / 0.2
        prices = []
        for n in range(prefix[b], 16):
            row, column = divmod(n, 4)
            target = image[4 * row : 4 * row + 4, 4 * column : 4 * column + 4].ravel()
            if normalize:
                target = (target - target.mean()) / np.sqrt(target.var(ddof=1) + 1e-6)
            prices.append(np.mean((predicted[b, n - 1] - target) ** 2))
        np.testing.assert_allclose(values[b], np.mean(prices), rtol=1e-4)


@pytest.mark.slow
def test_a_prediction_knows_nothing_of_its_patch_nor_of_those_behind_it():
    """Patch 10 changes: what is said of patches 1 to 10 stays, behind the prefix."""
    _, views, params, _ = make(CONFIG, 1)
    views = views | {"prefix": jnp.array([3])}
    changed = views | {"image": views["image"].at[:, 8:12, 8:12].add(0.2)}  # row 2, column 2
    head = residual_mlp.ResidualMLP(48, CONFIG.head_width, CONFIG.head_depth)

    @jax.jit
    def predict(images):
        variables = {"params": params["encoder"]}
        tokens = MODULE.apply(variables, images, prefix=views["prefix"]).tokens
        return head.apply({"params": params["head"]}, tokens)[:, :-1]

    moved = np.any(predict(views["image"]) != predict(changed["image"]), axis=-1)[0]
    np.testing.assert_array_equal(moved, np.arange(1, 16) > 10)


def test_prefixes_are_uniform_and_leave_a_patch_to_predict():
    for prefix, expected in ((True, np.arange(1, 16)), (False, [1])):
        _, views, *_ = make(dataclasses.replace(CONFIG, prefix=prefix), 600)
        found, counts = np.unique(views["prefix"], return_counts=True)
        np.testing.assert_array_equal(found, expected)
        assert np.all(np.abs(counts - 600 / len(expected)) < 5 * np.sqrt(600 / len(expected)))


def test_pictures_are_the_prefix_and_what_follows_it():
    method, views, params, state = make(CONFIG)
    (_, view), (_, seen), (title, rebuilt) = method.show(params, state, views)
    assert title == "reconstruction"
    for b, prefix in enumerate(np.asarray(views["prefix"])):
        for n in range(16):
            row, column = (4 * i for i in divmod(n, 4))
            part = np.s_[b, row : row + 4, column : column + 4]
            assert np.array_equal(seen[part], view[part]) == (n < prefix)
            assert n >= prefix or np.array_equal(rebuilt[part], view[part])
            assert 0 <= rebuilt[part].min() and rebuilt[part].max() <= 1


def test_the_head_matches_a_loop_and_reads_tokens_one_by_one():
    head = residual_mlp.ResidualMLP(5, width=8, depth=2)
    x = np.random.default_rng(0).normal(size=(1, 3, 6)).astype(np.float32)
    params = jax.device_get(jax.jit(head.init)(KEY, x)["params"])
    random = np.random.default_rng(1)
    params = jax.tree.map(lambda x: random.normal(0, 0.3, x.shape).astype("f4"), params)

    def dense(y, name):
        return y @ np.float64(params[name]["kernel"]) + params[name]["bias"]

    def norm(y, name):
        scale, bias = params[name]["scale"], params[name]["bias"]
        return (y - y.mean()) / np.sqrt(y.var() + 1e-6) * scale + bias

    for n in range(3):
        y = dense(np.float64(x[0, n]), "embedding")
        for index in range(2):
            hidden = dense(norm(y, f"norm_{index}"), f"in_{index}")
            y = y + dense(np.float64(jax.nn.gelu(hidden, approximate=False)), f"out_{index}")
        expected = dense(norm(y, "norm"), "prediction")
        got = jax.jit(head.apply)({"params": params}, x)[0, n]
        np.testing.assert_allclose(got, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize(
    ("encoder", "size", "text"),
    [
        (models.ResNetConfig(depth=18), 16, "AIM: the encoder must be a ViT, which can read patch"),
        (tiny.ENCODERS["Lightness"], 16, "AIM: the encoder must see the pixels it reconstructs"),
        (tiny.ENCODERS["ViT"], 4, r"AIM: an image must have at least 2 patches, .*got 4x4 pixels"),
    ],
)
def test_what_cannot_be_is_refused(encoder, size, text):
    config = dataclasses.replace(CONFIG, augment=dataclasses.replace(CONFIG.augment, size=size))
    with pytest.raises(ValueError, match=text):
        config.build(encoder.build(), axis_name=None)
