"""Contrastive predictive coding as a whole: views, value, collapse, pictures and errors."""

import dataclasses
import math

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from jaxssl import draws
from jaxssl.methods import cpc as cpc_method
from jaxssl.methods.shared import functional

# Pixels, on images of 16 x 16.
TINY = {"CPC": {"patch_size": 8, "stride": 4, "patch_crop": 6, "min_offset": 1, "max_offset": 2}}

NUM_IMAGES = 3
ENCODER = tiny.ENCODERS["ViT"].build()
CONFIG = tiny.method("CPC")
FOUR = dataclasses.replace(CONFIG, num_directions=4, target_dim=0, patch_crop=0, grey=False)


def views_of(config, images):
    method = config.build(ENCODER, axis_name=None)
    keys = jax.random.split(jax.random.key(1), len(images))
    return jax.jit(lambda: draws.make_views(method, {"image": images}, keys))()


@pytest.fixture(scope="module")
def four():
    """Views, parameters and state of the form with contexts from every side."""
    views = views_of(FOUR, tiny.images(NUM_IMAGES))
    return views, *jax.jit(FOUR.build(ENCODER, axis_name=None).init)(jax.random.key(0), views)


@pytest.fixture(scope="module")
def priced(four):
    """The loss as a function of the parameters, compiled once."""
    views, _, state = four
    method = FOUR.build(ENCODER, axis_name=None)
    return jax.jit(lambda params: method.loss(params, state, views, jax.random.key(0), 0))


def test_views_are_grey_or_keep_their_colours():
    grey, coloured = (views_of(config, tiny.images(2)) for config in (CONFIG, FOUR))
    for leaf in (grey["image"], grey["patches"]):
        assert np.ptp(leaf, axis=-1).max() < 1e-6
    assert np.ptp(coloured["image"], axis=-1).max() > 0.1
    one_channel = views_of(CONFIG, tiny.images(2)[..., :1])
    assert one_channel["patches"].shape == (2, 3, 3, 8, 8, 1)
    luma = np.asarray(coloured["image"]) @ np.array([0.299, 0.587, 0.114], np.float32)
    np.testing.assert_allclose(grey["image"][..., 0], luma, atol=1e-5)


def test_patches_are_cropped_only_where_asked():
    whole, cropped = (views_of(config, tiny.images(2)) for config in (FOUR, CONFIG))
    np.testing.assert_array_equal(whole["patches"][:, 1, 2], whole["image"][:, 4:12, 8:16])
    border = np.ones((8, 8), bool)
    border[1:7, 1:7] = False
    assert np.all(np.asarray(cropped["patches"])[..., border, :] == 0)
    assert np.all(np.asarray(cropped["patches"])[..., ~border, :].max(axis=(-1, -2)) > 0)


def test_value_is_the_mean_over_directions_offsets_and_places(four, priced):
    views, params, _ = four
    patches = views["patches"].reshape(-1, 8, 8, 3)
    latents = jax.jit(ENCODER.apply)({"params": params["encoder"]}, patches).pooled
    predictions, targets = jax.jit(FOUR._predictor(ENCODER).apply)(
        {"params": params["predictor"]}, latents.reshape(NUM_IMAGES, 3, 3, -1)
    )
    predictions, targets = np.float64(predictions), np.float64(targets)
    expected, right = np.zeros(NUM_IMAGES), []
    for direction in range(4):
        for index, offset in enumerate((1, 2)):
            for image in range(NUM_IMAGES):
                prices = []
                for row in range(3 - offset):
                    for column in range(3):
                        context = predictions[direction, index, image, row, column]
                        scores = targets[direction].reshape(-1, targets.shape[-1]) @ context
                        own = image * 9 + (row + offset) * 3 + column
                        prices.append(math.log(np.exp(scores).sum()) - scores[own])
                        right.append(scores.argmax() == own)
                expected[image] += np.mean(prices) / 8
    values, (_, metrics) = priced(params)
    np.testing.assert_allclose(values, expected, rtol=1e-4)
    # Metrics weigh offsets alike, however many places each has.
    sizes = [3 * NUM_IMAGES * (3 - offset) for _ in range(4) for offset in (1, 2)]
    parts = np.split(np.array(right), np.cumsum(sizes)[:-1])
    np.testing.assert_allclose(metrics["accuracy"], np.mean([np.mean(p) for p in parts]), atol=1e-6)


def test_a_collapse_costs_the_log_of_the_candidates_and_is_never_right(four, priced):
    values, (_, metrics) = priced(jax.tree.map(jnp.zeros_like, four[1]))
    np.testing.assert_allclose(values, math.log(9 * NUM_IMAGES), rtol=1e-6)
    assert metrics["accuracy"] == 0


def test_the_picked_patch_is_pasted_below_the_rows_read(four):
    views, params, state = four
    method = FOUR.build(ENCODER, axis_name=None)
    (_, images), (title, spread), (picked_title, shown) = method.show(params, state, views)
    np.testing.assert_array_equal(images, views["image"])
    assert title == "patches, every 2 of 3 rows and columns"
    np.testing.assert_array_equal(spread[:, 8:15, 0:7], views["patches"][:, 2, 0, :7, :7])
    assert np.all(spread[:, 7] == 0.5)
    # The context in row 1 has read 12 pixels; its patch starts at row 2, column 1 of the grid.
    np.testing.assert_array_equal(shown[:, :8], images[:, :8])
    assert np.all(shown[:, 12:, 12:] == 0.5)
    candidates = np.asarray(views["patches"]).reshape(-1, 8, 8, 3)
    right = 0
    for example in range(NUM_IMAGES):
        pasted = np.asarray(shown[example, 8:16, 4:12])
        matches = np.flatnonzero((candidates == pasted[None]).all(axis=(1, 2, 3)))
        assert len(matches) == 1
        right += int(matches[0] == example * 9 + 2 * 3 + 1)
    assert picked_title == (
        f"rows read, and the patch picked 1 rows below ({right} of {NUM_IMAGES} right)"
    )


def test_the_exported_encoder_reads_whole_images(four):
    views, params, state = four
    variables = functional.encoder_variables(params, state)
    assert ENCODER.apply(variables, views["image"]).tokens.shape == (NUM_IMAGES, 16, 16)


@pytest.mark.parametrize(
    "changes, text",
    [
        (
            {"min_offset": 0},
            r"offsets must be 1 <= min_offset <= max_offset < rows of patches; "
            r"got 0, 6 and 7 rows\. Use at most max_offset 6",
        ),
        ({"max_offset": 7}, r"offsets must be .*; got 2, 7 and 7 rows\."),
        ({"min_offset": 5, "max_offset": 4}, r"offsets must be .*; got 5, 4 and 7 rows\."),
        ({"patch_crop": 65}, r"patch_crop must be in \[0, 64\]; got 65\. Use 0"),
        ({"num_directions": 2}, r"num_directions must be one of 1, 4; got 2\."),
    ],
)
def test_errors(changes, text):
    with pytest.raises(ValueError, match="CPC: " + text):
        cpc_method.CPC(**changes)


def test_patches_that_do_not_cover_the_image_are_refused():
    with pytest.raises(
        ValueError, match=r"grid_rows: patches must cover .*got size 256.*stride 30"
    ):
        cpc_method.CPC(stride=30)
