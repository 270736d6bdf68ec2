import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from scipy import stats

from jaxssl import draws
from jaxssl.methods import context_prediction

# Pixels, on images of 16 x 16.
TINY = {"ContextPrediction": {"patch_size": 4, "gap": 1, "jitter": 1, "resample_side": 2}}

OFFSETS = [(-1, -1), (-1, 0), (-1, 1), (0, -1), (0, 1), (1, -1), (1, 0), (1, 1)]
PLAIN = {"color": "none", "resample_prob": 0.0}
NUM_EXAMPLES = 16


def built(**changes):
    config = dataclasses.replace(tiny.method("ContextPrediction"), **changes)
    return config, config.build(tiny.ENCODERS["ViT"].build(), axis_name=None)


def views_of(images, seed=0, **changes):
    _, method = built(**changes)
    keys = jax.random.split(jax.random.key(seed), len(images))
    make = jax.jit(lambda batch: draws.make_views(method, batch, keys))
    return jax.tree.map(np.asarray, make({"image": images}))


@pytest.fixture(scope="module")
def plain():
    return views_of(tiny.images(NUM_EXAMPLES), **PLAIN)


def test_patches_are_the_centre_and_the_neighbour_that_the_label_names(plain):
    for image, corners, pair, label in zip(
        plain["image"], plain["corners"], plain["patches"], plain["label"], strict=True
    ):
        down, right = OFFSETS[label]
        for patch, cell in zip(pair, (4, 3 * (1 + down) + 1 + right), strict=True):
            top, left = corners[cell]
            np.testing.assert_array_equal(patch, image[top : top + 4, left : left + 4])
        # Seen from the first patch, the second lies where the label says, up to the jitter.
        steps = corners[3 * (1 + down) + 1 + right] - corners[4]
        assert np.all(np.abs(steps - 5 * np.array([down, right])) <= 2)


def test_labels_are_uniform():
    labels = views_of(np.zeros((2000, 16, 16, 1), np.uint8), **PLAIN)["label"]
    assert labels.dtype == np.int32
    assert stats.chisquare(np.bincount(labels, minlength=8)).pvalue > 0.01


@pytest.mark.parametrize("channels", [1, 3])
def test_without_counter_measures_the_grid_is_tight(channels):
    images = tiny.images(4)[..., :channels]
    views = views_of(images, gap=0, jitter=0, **PLAIN)
    for image, corners, pair, label in zip(
        views["image"], views["corners"], views["patches"], views["label"], strict=True
    ):
        down, right = OFFSETS[label]
        top, left = corners[4] + 4 * np.array([down, right])
        np.testing.assert_array_equal(pair[1], image[top : top + 4, left : left + 4])


def test_projection_and_dropping_act_on_each_patch_alone(plain):
    images = tiny.images(NUM_EXAMPLES)
    projected = views_of(images, color="projection", resample_prob=0.0)["patches"]
    a = np.array([-1.0, 2.0, -1.0])
    original = plain["patches"].astype(np.float64)
    expected = original - (original @ a)[..., None] * a / 6
    np.testing.assert_allclose(projected, expected, atol=1e-6)
    dropped = views_of(images, color="dropping", resample_prob=0.0)["patches"]
    centred = 0.5 + original - original.mean(axis=(2, 3), keepdims=True)
    kept = np.abs(dropped - centred).max(axis=(2, 3)) < 1e-5  # [B, 2, C]
    np.testing.assert_array_equal(kept.sum(axis=-1), 1)
    assert np.any(kept[:, 0] != kept[:, 1])  # channels of the two patches are drawn independently


def test_some_patches_are_coarse(plain):
    images = tiny.images(NUM_EXAMPLES)
    often = views_of(images, color="none", resample_prob=0.5, resample_side=1)["patches"]
    same = np.all(often == plain["patches"], axis=(2, 3, 4))
    assert 0.25 < same.mean() < 0.75  # of 32; sides are 1 and 2, never the patch's 4
    assert np.any(same[:, 0] != same[:, 1])


def test_colours_are_dropped_after_the_patch_was_made_coarse():
    """The kept channel has the ranks of a coarse patch without its mean; the noise has all."""
    coarse = {"patch_size": 5, "gap": 0, "jitter": 0, "resample_prob": 1.0, "resample_side": 2}
    dropped = views_of(tiny.images(8), color="dropping", noise="code", **coarse)["patches"]
    whole = views_of(tiny.images(8), color="none", **coarse)["patches"].astype(np.float64)
    centred = 0.5 + whole - whole.mean(axis=(2, 3), keepdims=True)
    kept = np.abs(dropped - centred).max(axis=(2, 3)) < 1e-5  # [B, 2, C]
    np.testing.assert_array_equal(kept.sum(axis=-1), 1)
    planes = np.moveaxis(dropped - 0.5, -1, 2)  # [B, 2, C, P, P]
    assert np.linalg.matrix_rank(np.moveaxis(whole, -1, 2), tol=1e-5).max() <= 3
    assert np.all(np.linalg.matrix_rank(planes[~kept], tol=1e-7) == 5)
    assert np.abs(planes[~kept]).max() <= 0.5 / 255 + 1e-6


def test_the_number_of_pixels_of_a_coarse_patch_is_uniform():
    """int(sqrt(u · (95² - 10²) + 10²)) of the official code, drawn by NumPy."""
    keys = jax.random.split(jax.random.key(3), 20_000)
    config = context_prediction.ContextPrediction()
    sides = np.asarray(jax.jit(jax.vmap(config._coarse_side))(keys))
    draws = np.random.default_rng(0).random(20_000)
    official = np.array([int(np.sqrt(u * (95 * 95 - 10 * 10) + 10 * 10)) for u in draws])
    assert (sides.min(), sides.max()) == (10, 94) and np.all(sides == np.floor(sides))
    assert stats.ks_2samp(sides, official).pvalue > 0.01


def test_coarsening_keeps_as_many_numbers_as_the_small_side():
    matrices = jax.jit(jax.vmap(lambda side: context_prediction._coarsening(side, 8)))(
        jnp.arange(1, 9, dtype=jnp.float32)
    )
    np.testing.assert_array_equal(matrices[7], np.eye(8))
    np.testing.assert_allclose(matrices.sum(axis=2), 1, atol=1e-6)
    for side in range(1, 9):
        assert np.linalg.matrix_rank(np.asarray(matrices[side - 1]), tol=1e-4) == side
    up = jax.image.resize(jnp.eye(4), (8, 4), "linear")
    pairs = np.kron(np.eye(4), [[0.5, 0.5]])
    np.testing.assert_allclose(matrices[3], up @ pairs, atol=1e-6)


def test_a_pair_is_asked_in_both_orders():
    """The value of (first, second, k) is that of (second, first, 7 - k)."""
    _, method = built()
    views = views_of(tiny.images(NUM_EXAMPLES))
    swapped = views | {"patches": views["patches"][:, ::-1], "label": 7 - views["label"]}
    params, state = jax.jit(method.init)(jax.random.key(0), views)
    loss = jax.jit(lambda views: method.loss(params, state, views, None, None))
    (values, (_, metrics)), (reverse, _) = loss(views), loss(swapped)
    assert values.shape == (NUM_EXAMPLES,)
    np.testing.assert_allclose(values, reverse, rtol=1e-4)
    wrong, _ = loss(views | {"label": 7 - views["label"]})
    assert np.all(np.abs(wrong - values) > 1e-4)
    assert 0 <= metrics["accuracy"] <= 1


def test_pictures_put_both_patches_where_they_belong(plain, monkeypatch):
    predicted = (plain["label"] + (np.arange(NUM_EXAMPLES) % 4 == 0)) % 8
    monkeypatch.setattr(context_prediction, "_answer", lambda *_: jax.nn.one_hot(predicted, 8))
    _, method = built(**PLAIN)
    views = jax.tree.map(jnp.asarray, plain)
    (_, whole), (_, placed), (title, guessed) = method.show(None, None, views)
    np.testing.assert_array_equal(whole, plain["image"])
    assert "(12 of 16 right)" in title
    for example in range(NUM_EXAMPLES):
        for shown, label in ((placed, plain["label"]), (guessed, predicted)):
            expected = np.full((16, 16, 3), 0.5, np.float32)
            down, right = OFFSETS[label[example]]
            cells = (4, 3 * (1 + down) + 1 + right)
            for patch, cell in zip(plain["patches"][example], cells, strict=True):
                top, left = plain["corners"][example, cell]
                expected[top : top + 4, left : left + 4] = patch
            np.testing.assert_array_equal(shown[example], expected)


def test_the_first_of_two_patches_is_asked_about():
    """Not the second order too, though the loss has it."""
    _, method = built()
    views = views_of(tiny.images(NUM_EXAMPLES))
    inputs, answers, num_answers = method.ask(views)
    np.testing.assert_array_equal(inputs, views["patches"])
    np.testing.assert_array_equal(answers, views["label"])
    assert num_answers == 8


@pytest.mark.parametrize("color", ["dropping", "projection"])
def test_grey_images_have_no_colours_to_hide(color):
    with pytest.raises(ValueError, match=r'must have 3 colour channels; got 1.*use color="none"'):
        views_of(tiny.images(2)[..., :1], color=color)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"gap": -1}, r"gap must be at least 0; got -1. Use 0"),
        ({"jitter": -2}, r"jitter must be at least 0; got -2"),
        ({"color": "grey"}, r"color must be one of 'dropping', 'projection', 'none'; got 'grey'"),
        ({"resample_prob": 1.5}, r"resample_prob must be in \[0, 1\]; got 1.5"),
        ({"resample_side": 5}, r"resample_side must be in \[1, 4\]; got 5\. A tenth of"),
    ],
)
def test_impossible_values_are_refused(changes, message):
    with pytest.raises(ValueError, match=f"ContextPrediction: {message}"):
        built(**changes)


def test_the_published_grid_fits_its_image():
    config = context_prediction.ContextPrediction()
    extent = 3 * config.patch_size + 2 * config.gap + 2 * config.jitter
    assert extent == 398 <= config.augment.size
