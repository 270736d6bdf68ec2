import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.pretext import cpc


def test_the_published_grid_has_seven_rows():
    assert cpc.grid_rows(256, patch_size=64, stride=32) == 7
    assert cpc.grid_rows(260, patch_size=80, stride=36) == 6
    assert cpc.grid_rows(28, patch_size=28, stride=3) == 1


@pytest.mark.parametrize("dtype", [np.uint8, np.float32])
def test_patches_are_windows_of_the_image(dtype):
    image = np.random.default_rng(0).integers(0, 256, (11, 11, 2)).astype(dtype)
    patches = cpc.overlapping_patches(jnp.asarray(image), patch_size=5, stride=2)
    assert patches.shape == (4, 4, 5, 5, 2) and patches.dtype == dtype
    for row in range(4):
        for column in range(4):
            top, left = 2 * row, 2 * column
            np.testing.assert_array_equal(
                patches[row, column], image[top : top + 5, left : left + 5]
            )


def test_a_subcrop_is_a_random_square_in_the_middle_of_zeros(key):
    patch = jnp.arange(1, 8 * 8 * 2 + 1, dtype=jnp.float32).reshape(8, 8, 2)
    keys = jax.random.split(key, 200)
    cropped = jax.jit(jax.vmap(lambda key: cpc.random_subcrop(key, patch, size=5)))(keys)
    assert cropped.shape == (200, 8, 8, 2) and cropped.dtype == patch.dtype
    inside = np.zeros((8, 8), bool)
    inside[1:6, 1:6] = True  # 3 spare pixels: 1 before, 2 behind
    assert np.all(np.asarray(cropped)[:, ~inside] == 0)
    seen = set()
    for square in np.asarray(cropped)[:, 1:6, 1:6]:
        top, left = divmod(int(square[0, 0, 0]) // 2, 8)
        np.testing.assert_array_equal(square, patch[top : top + 5, left : left + 5])
        seen.add((top, left))
    assert seen == {(top, left) for top in range(4) for left in range(4)}


def test_a_subcrop_of_the_whole_patch_is_the_patch(key):
    patch = jnp.ones((6, 6, 1), jnp.uint8)
    np.testing.assert_array_equal(cpc.random_subcrop(key, patch, size=6), patch)


@pytest.mark.parametrize("size, patch_size, stride", [(28, 8, 3), (8, 9, 1), (8, 0, 2), (8, 4, 0)])
def test_patches_that_do_not_cover_the_image_are_refused(size, patch_size, stride):
    with pytest.raises(ValueError) as error:
        cpc.grid_rows(size, patch_size=patch_size, stride=stride)
    assert str(error.value) == (
        "grid_rows: patches must cover the image from edge to edge, size = patch_size + n · "
        f"stride; got size {size}, patch_size {patch_size}, stride {stride}. "
        "Published: 256, 64 and 32; for 28 pixels 8 and 4."
    )


@pytest.mark.parametrize("shape", [(4, 6, 3), (6, 6)])
def test_images_that_are_not_square_cannot_be_cut(shape):
    with pytest.raises(
        ValueError, match=r"overlapping_patches: an image must be square.*got shape"
    ):
        cpc.overlapping_patches(jnp.zeros(shape), patch_size=2, stride=1)


@pytest.mark.parametrize("size", [0, 7])
def test_a_subcrop_that_does_not_fit_is_refused(key, size):
    with pytest.raises(ValueError, match=rf"random_subcrop: size must be in \[1, 6\]; got {size}"):
        cpc.random_subcrop(key, jnp.zeros((6, 6, 1)), size=size)
