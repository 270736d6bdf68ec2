import jax
import jax.numpy as jnp
import numpy as np
import pytest
from scipy import stats

from jaxssl.pretext import rotation


@pytest.fixture
def image():
    return np.random.default_rng(0).integers(0, 256, (6, 6, 3), np.uint8)


@pytest.mark.parametrize("label", [0, 1, 2, 3])
@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_labels_count_right_angles_counter_clockwise(image, label, dtype):
    turned = rotation.rotate90(jnp.asarray(image.astype(dtype)), label)
    assert turned.dtype == dtype
    np.testing.assert_array_equal(turned, np.rot90(image, label))


@pytest.mark.parametrize("label", [0, 1, 2, 3])
def test_undoing_recovers_the_image_bit_for_bit(image, label):
    image = jnp.asarray(image / np.float32(255))
    there = rotation.rotate90(image, jnp.int32(label))
    np.testing.assert_array_equal(rotation.rotate90(there, jnp.int32(-label)), image)


def test_random_labels_are_uniform_and_tell_the_turn(image, key):
    keys = jax.random.split(key, 2000)
    turned, labels = jax.jit(jax.vmap(rotation.random_rotation, in_axes=(0, None)))(
        keys, jnp.asarray(image)
    )
    assert labels.dtype == jnp.int32
    counts = np.bincount(np.asarray(labels))
    assert len(counts) == 4 and stats.chisquare(counts).pvalue > 0.01
    for view, label in list(zip(turned, labels))[:20]:
        np.testing.assert_array_equal(view, np.rot90(image, int(label)))


def test_a_key_fixes_the_turn_and_vmap_changes_nothing(image, key):
    keys = jax.random.split(key, 8)
    turned, labels = jax.vmap(rotation.random_rotation, in_axes=(0, None))(keys, image)
    for k, view, label in zip(keys, turned, labels):
        single, single_label = rotation.random_rotation(k, jnp.asarray(image))
        np.testing.assert_array_equal(single, view)
        assert single_label == label


def test_all_rotations_are_the_four_turns_in_order(image):
    turned, labels = rotation.all_rotations(jnp.asarray(image))
    np.testing.assert_array_equal(labels, np.arange(4))
    assert labels.dtype == jnp.int32
    for label in range(4):
        np.testing.assert_array_equal(turned[label], np.rot90(image, label))


def test_no_gather_and_no_branch_under_vmap(key):
    images = jnp.zeros((2, 6, 6, 3), jnp.uint8)
    keys = jax.random.split(key, 2)
    jaxpr = str(jax.make_jaxpr(jax.vmap(rotation.random_rotation))(keys, images))
    for primitive in ("gather", "dynamic_slice", "cond"):
        assert f"{primitive}[" not in jaxpr


@pytest.mark.parametrize("shape", [(4, 6, 3), (6, 6), (2, 6, 6, 3)])
@pytest.mark.parametrize(
    "function",
    [
        ("rotate90", lambda image: rotation.rotate90(image, 1)),
        ("rotate90", lambda image: rotation.random_rotation(jax.random.key(0), image)),
        ("all_rotations", rotation.all_rotations),
    ],
)
def test_images_that_are_not_square_are_refused(shape, function):
    name, turn = function
    with pytest.raises(ValueError) as error:
        turn(jnp.zeros(shape))
    assert str(error.value) == (
        f"{name}: an image must be square, [H, H, C]; got shape {shape}. "
        "Crop it to a square first, and map over a batch with jax.vmap."
    )
