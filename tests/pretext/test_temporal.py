import jax
import jax.numpy as jnp
import numpy as np
import pytest

from jaxssl.pretext import temporal

SHIFT = 3


def frames(seed=0, *, num_frames=200, dtype=np.uint8):
    image = np.random.default_rng(0).integers(0, 256, (8, 10, 3)).astype(dtype)
    made = temporal.jittered_frames(
        jax.random.key(seed), image, num_frames=num_frames, max_shift=SHIFT
    )
    return image, np.asarray(made)


def moved(image, down, right):
    """The image moved by whole pixels, mirrored at its border without repeating the last one."""
    height, width = image.shape[:2]
    result = np.empty_like(image)
    for row, column in np.ndindex(height, width):
        y, x = abs(row - down), abs(column - right)
        y, x = min(y, 2 * (height - 1) - y), min(x, 2 * (width - 1) - x)
        result[row, column] = image[y, x]
    return result


def test_every_frame_is_a_moved_image_and_every_move_occurs():
    image, made = frames()
    assert made.shape == (200, 8, 10, 3) and made.dtype == np.uint8
    seen = set()
    for frame in made:
        moves = [
            (down, right)
            for down in range(-SHIFT, SHIFT + 1)
            for right in range(-SHIFT, SHIFT + 1)
            if np.array_equal(frame, moved(image, down, right))
        ]
        assert len(moves) == 1
        seen.add(moves[0])
    assert len(seen) > 0.9 * (2 * SHIFT + 1) ** 2  # 98 % are expected of 200 draws
    assert {down for down, _ in seen} == {right for _, right in seen} == set(range(-3, 4))


def test_keys_decide_and_no_shift_keeps_the_image():
    assert not np.array_equal(frames(0)[1], frames(1)[1])
    image = np.ones((4, 4, 1), np.float32)
    made = temporal.jittered_frames(jax.random.key(0), image, num_frames=2, max_shift=0)
    np.testing.assert_array_equal(made, np.stack([image, image]))


@pytest.mark.parametrize(
    ("shape", "shift"), [((8, 8), 1), ((8, 8, 3), 8), ((8, 4, 3), 4), ((8, 8, 3), -1)]
)
def test_shapes_and_shifts_that_cannot_be(shape, shift):
    with pytest.raises(ValueError, match=rf"jittered_frames: an image must be .* and {shift}\."):
        temporal.jittered_frames(
            jax.random.key(0), np.zeros(shape, np.uint8), num_frames=2, max_shift=shift
        )


def test_nearest_centre_is_a_loop_over_the_centres():
    generator = np.random.default_rng(1)
    ab = generator.normal(0, 30, (4, 5, 2)).astype(np.float32)
    centres = generator.normal(0, 30, (6, 2))
    found = temporal.nearest_centre(jnp.asarray(ab), jnp.asarray(centres, jnp.float32))
    assert found.dtype == jnp.int32
    for place in np.ndindex(4, 5):
        distances = [np.hypot(*(ab[place] - centre)) for centre in centres]
        assert found[place] == int(np.argmin(distances))
