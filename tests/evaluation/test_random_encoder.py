"""The random encoder: residual branches open, batch statistics of images, weights by seed."""

import jax
import numpy as np
import pytest
import tiny

from jaxssl import checkpoints, data, models
from jaxssl.evaluation import random_encoder

RESNET = models.ResNetConfig(depth=10, width_multiplier=1 / 16, stem="small")


def restored(config):
    meta = {"image_size": tiny.SIZE, "channels": 3}
    return checkpoints.RestoredEncoder(config.build(), {}, meta)


def test_residual_branches_are_open_and_statistics_are_those_of_the_images():
    images = tiny.images(8)
    drawn = random_encoder.draw(restored(RESNET), 3, [{"image": images}] * 60)
    assert not drawn.module.config.zero_init_residual
    scale = drawn.variables["params"]["stage1_block1"]["norm2"]["scale"]
    np.testing.assert_array_equal(scale, 1)
    # Of the stem, the mean of its convolution over the images, by NumPy.
    kernel = np.asarray(drawn.variables["params"]["stem_conv"]["kernel"], np.float64)
    padded = np.pad(images / 255, ((0, 0), (1, 1), (1, 1), (0, 0)))
    side = tiny.SIZE
    mean = sum(
        padded[:, y : y + side, x : x + side].mean((0, 1, 2)) @ kernel[y, x]
        for y in range(3)
        for x in range(3)
    )
    found = drawn.variables["batch_stats"]["stem_norm"]["mean"]
    np.testing.assert_allclose(found, mean * (1 - 0.9**60), rtol=1e-4, atol=1e-5)


def test_halves_of_a_split_are_open_too():
    config = random_encoder._with_open_branches(models.SplitConfig(RESNET))
    assert not config.half.zero_init_residual and config.half.depth == 10


def test_weights_follow_the_seed_and_no_batch_is_drawn_for_a_vit():
    def never():
        pytest.fail("a ViT has no batch statistics")
        yield

    encoder = restored(tiny.ENCODERS["ViT"])
    a, b, again = (random_encoder.draw(encoder, seed, never()).variables for seed in (0, 1, 0))
    assert jax.tree.all(jax.tree.map(lambda x, y: bool((x == y).all()), a, again))
    kernels = [tree["params"]["patch_embedding"]["kernel"] for tree in (a, b)]
    assert not np.allclose(*kernels)


def test_images_come_shuffled_and_without_labels():
    images = tiny.images(16)
    source = data.from_arrays(images, np.arange(16))
    batches = list(random_encoder.shuffled_batches(source, 4, seed=0))
    assert (
        len(batches) == random_encoder.MIN_BATCHES and batches[0]["image"].shape == images[:4].shape
    )
    first_pass = np.concatenate([batch["image"] for batch in batches[:4]])
    assert not np.array_equal(first_pass, images)
    assert {each.tobytes() for each in first_pass} == {each.tobytes() for each in images}
    assert "label" not in batches[0]
    assert len(next(random_encoder.shuffled_batches(source, 99, seed=0))["image"]) == 16
