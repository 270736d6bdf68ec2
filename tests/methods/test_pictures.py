"""What the methods show in a report: true to the views, and to what the network says of them."""

import dataclasses
import functools

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny

from jaxssl import draws
from jaxssl.pretext import rotation

NUM_IMAGES = 4


@functools.cache
def shown(name, encoder, **changes):
    """Views, and the pictures of an untrained network by title."""
    config = dataclasses.replace(tiny.method(name), **changes)
    architecture = tiny.ENCODERS[encoder]
    if (
        len(getattr(architecture, "mean", ())) == 1
    ):  # what an encoder subtracts must not show in a picture
        architecture = dataclasses.replace(architecture, mean=(0.4,), std=(0.3,))
    module = architecture.build()
    method = config.build(module, axis_name=None)
    keys = jax.random.split(jax.random.key(1), NUM_IMAGES)
    batch = {name: column[:NUM_IMAGES] for name, column in tiny.batch(encoder).items()}
    batch |= {"label": np.arange(NUM_IMAGES, dtype=np.int32)}
    views = jax.jit(lambda: draws.make_views(method, batch, keys))()
    params, state = jax.jit(method.init)(jax.random.key(0), views)
    return views, method.show and method.show(params, state, views)


@pytest.mark.slow
@pytest.mark.parametrize("name, encoder", tiny.CASES)
def test_pictures_are_titled_images_or_texts(name, encoder):
    _, pictures = shown(name, encoder)
    if pictures is None:
        pytest.skip("shows its views alone")
    titles = [title for title, _ in pictures]
    assert len(set(titles)) == len(titles) >= 2
    for _, images in pictures:
        if jnp.issubdtype(images.dtype, jnp.integer):  # texts
            assert len(images) == NUM_IMAGES and images.ndim in (2, 3)
            continue
        assert images.shape == (NUM_IMAGES, tiny.SIZE, tiny.SIZE, 3)
        assert images.dtype == jnp.float32
        assert 0 <= images.min() and images.max() <= 1


def test_rotation_is_undone_as_predicted():
    views, ((_, upright), (_, turned), (title, undone)) = shown("Rotation", "ViT")
    np.testing.assert_array_equal(turned, views["image"])
    right = 0
    for example in range(NUM_IMAGES):
        back = rotation.rotate90(views["image"][example], -views["label"][example])
        np.testing.assert_array_equal(upright[example], back)
        right += bool(np.array_equal(undone[example], back))
    assert f"({right} of {NUM_IMAGES} right)" in title


def test_simclr_shows_one_of_the_second_views_for_each_first():
    views, pictures = shown("SimCLR", "ResNet")
    title, chosen = pictures[-1]
    twins = [
        [bool(np.array_equal(image, other)) for other in views["b"]] for image in chosen
    ]  # [chosen, b]
    assert np.array_equal(np.sum(twins, axis=1), np.ones(NUM_IMAGES))
    assert f"({np.trace(twins)} of {NUM_IMAGES} right)" in title
