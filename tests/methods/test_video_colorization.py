import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import oracles
import pytest
import tiny

from jaxssl import colorspace, models
from jaxssl.pretext import temporal

TINY_ENCODER = {"VideoColorization": "SmallLightness"}

ENCODER = tiny.ENCODERS["Lightness"]
KEY = jax.random.key(0)


@functools.cache
def built():
    config = tiny.method("VideoColorization")
    return config, config.build(ENCODER.build(), axis_name=None)


def clips(count=4):
    """uint8 [B, 4, 16, 16, 3]: an image that moves by a pixel a frame."""
    images = tiny.images(count)
    return np.stack([np.roll(images, frame, axis=2) for frame in range(4)], axis=1)


@functools.cache
def outcome():
    _, method = built()
    keys = jax.random.split(KEY, 4)
    views = jax.vmap(lambda key, video: method.view(key, {"video": video}))(keys, clips())
    params, state = jax.jit(method.init)(KEY, views)
    loss = jax.jit(lambda views: method.loss(params, state, views, KEY, jnp.int32(0)))
    return views, params, state, loss


def test_all_frames_of_a_clip_are_cropped_alike():
    config, method = built()
    still = np.repeat(tiny.images(1), 4, axis=0)
    frames = method.view(KEY, {"video": still})["video"]
    assert frames.shape == (4, 16, 16, 3) and frames.dtype == jnp.float32
    for frame in frames:
        np.testing.assert_allclose(frame, config.augment(KEY, still[0]), atol=1e-5)


def test_a_still_image_becomes_frames_that_differ():
    _, method = built()
    frames = np.asarray(method.view(KEY, {"image": tiny.images(1)[0]})["video"])
    assert frames.shape == (4, 16, 16, 3)
    assert len({frame.tobytes() for frame in frames}) == 4


def test_loss_is_the_papers_on_the_cells_middle_pixels():
    config, _ = built()
    views, params, _, loss = outcome()
    values, (_, metrics) = loss(views)
    centres = np.array(config.centres)
    encoder = ENCODER.build()
    right = in_place = 0
    for example, video in enumerate(np.asarray(views["video"])):
        features = np.asarray(encoder.apply({"params": params["encoder"]}, video).tokens)
        head = params["head"]["layer1"]
        embeddings = features @ np.asarray(head["kernel"]) + np.asarray(head["bias"])  # [T, N, D]
        labels = np.zeros((4, 16), int)
        for frame in range(4):
            for cell in range(16):
                pixel = video[frame, 4 * (cell // 4) + 2, 4 * (cell % 4) + 2]
                ab = colorspace.rgb_to_lab(pixel.astype(np.float64))[1:]
                labels[frame, cell] = np.argmin(((ab - centres) ** 2).sum(-1))
        inputs = (embeddings[3:], embeddings[:3].reshape(1, 48, -1))
        expected = oracles.copy_cross_entropy(
            *inputs, labels[3:], labels[:3].reshape(1, 48), temperature=1.0, floor=1e-4
        )
        np.testing.assert_allclose(values[example], expected.mean(), rtol=1e-4)
        one_hot = np.eye(16)[labels[:3].reshape(1, 48)]
        copied = oracles.copy_values(*inputs, one_hot, temperature=1.0)[0].argmax(-1)
        right += np.mean(copied == labels[3]) / 4
        in_place += np.mean(labels[2] == labels[3]) / 4
    assert metrics["accuracy"] == pytest.approx(right)
    assert metrics["accuracy_in_place"] == pytest.approx(in_place)


def test_colours_of_the_target_are_asked_for_and_never_seen():
    views, _, _, loss = outcome()
    video = views["video"]
    grey = colorspace.lab_to_rgb(
        jnp.concatenate([colorspace.lightness(video), jnp.zeros_like(video[..., :2])], axis=-1)
    )
    # All references grey and the target too: one label everywhere, copied for nothing.
    np.testing.assert_array_equal(loss({"video": grey})[0], 0)
    only_target = video.at[:, -1].set(grey[:, -1])
    assert not np.allclose(loss({"video": only_target})[0], loss(views)[0])


def test_clusters_are_those_of_the_frames():
    config = dataclasses.replace(built()[0], centres=(), num_clusters=2)
    colours = np.array([[200, 30, 30], [30, 30, 200]], np.uint8)
    images = np.tile(colours[:, None, None], (1, 4, 4, 1))
    centres = np.array(config.prepare(2, lambda: images).centres)
    expected = colorspace.rgb_to_lab(colours / 255.0)[:, 1:]
    np.testing.assert_allclose(
        np.sort(centres, axis=0), np.sort(np.round(expected, 1), axis=0), atol=1e-9
    )
    labels = temporal.nearest_centre(jnp.asarray(expected), jnp.asarray(centres))
    assert len(set(np.asarray(labels).tolist())) == 2


def test_what_cannot_work_is_said():
    config, method = built()
    with pytest.raises(
        ValueError, match=r"encoder must see lightness alone.*got 'rgb'\. Set color"
    ):
        config.build(tiny.ENCODERS["ViT"].build(), axis_name=None)
    with pytest.raises(
        ValueError, match=r"centres must be those of a data set; got none\. Call pr"
    ):
        dataclasses.replace(config, centres=()).build(ENCODER.build(), axis_name=None)
    with pytest.raises(
        ValueError, match=r"must have num_references \+ 1 = 4 frames; got 3\. Set --"
    ):
        method.view(KEY, {"video": clips()[0, :3]})
    with pytest.raises(ValueError, match=r"num_references must be at least 1; got 0"):
        dataclasses.replace(config, num_references=0)
    with pytest.raises(ValueError, match=r"max_shift must be in \[0, 1\); got 1\.0\. The defau"):
        dataclasses.replace(config, max_shift=1.0)


def test_cells_that_do_not_divide_the_view_are_refused():
    config, _ = built()
    encoder = models.ResNetConfig(
        depth=10, width_multiplier=1 / 16, stem="imagenet", color_space="lightness"
    ).build()
    config = dataclasses.replace(config, augment=dataclasses.replace(config.augment, size=80))
    method = config.build(encoder, axis_name=None)
    views = {"video": jax.ShapeDtypeStruct((2, 4, 80, 80, 3), jnp.float32)}
    params, state = jax.eval_shape(method.init, KEY, views)
    with pytest.raises(ValueError, match=r"side divides the view's; got 9 cells of 80 pixels"):
        jax.eval_shape(method.loss, params, state, views, KEY, jnp.int32(0))
