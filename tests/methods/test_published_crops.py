"""The default crops of the classic tasks are those of their authors' programs, pixel for pixel."""

import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl import methods

# Side of the resized image, side of the crop, and whether it is mirrored:
CROPS = {
    "Jigsaw": (256, 255, False),  # train_val_cfn_jps.prototxt: crop_size 255, mirror false
    "Colorization": (256, 176, True),  # colorization_train_val_v2.prototxt: 176, mirror true
    "SplitBrain": (256, 180, True),  # train_alexnet/train_val.prototxt: 180, mirror 1
    "ContextEncoder": (350, 128, True),  # README.md: loadSize 350, fineSize 128; hflip 0.5
}
NUM_VIEWS = 12


@pytest.mark.parametrize("name", CROPS)
def test_default_crops_are_the_published_ones(name):
    side, size, is_mirrored = CROPS[name]
    # Every pixel has a value of its own, whose row and column can be read off a view.
    image = np.arange(side * side, dtype=np.float32).reshape(side, side, 1) / side**2
    keys = jax.random.split(jax.random.key(0), NUM_VIEWS)
    augment = methods.all_configs()[name]().augment
    views = np.asarray(jax.jit(jax.vmap(augment, in_axes=(0, None)))(keys, jnp.asarray(image)))
    assert views.shape == (NUM_VIEWS, size, size, 1)
    corners, flips = set(), 0
    for view in views:
        is_flipped = view[0, 0] > view[0, -1]
        view = view[:, ::-1] if is_flipped else view
        top, left = divmod(round(float(view[0, 0, 0]) * side**2), side)
        np.testing.assert_array_equal(view, image[top : top + size, left : left + size])
        corners.add((top, left))
        flips += is_flipped
    assert len(corners) == (4 if size == side - 1 else NUM_VIEWS)
    assert (0 < flips < NUM_VIEWS) if is_mirrored else not flips
