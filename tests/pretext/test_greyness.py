"""Images without colours: whether they are told from coloured ones, however they are stored."""

import numpy as np
import pytest
import tiny

from jaxssl import methods
from jaxssl.pretext import greyness

COLOR_TASKS = ("Colorization", "SplitBrain", "VideoColorization")
GREY = np.repeat(tiny.images(20)[..., :1], 3, axis=-1)


def test_one_pixel_is_enough_and_noise_of_storage_is_not():
    image = GREY[0].copy()
    assert not greyness.has_color(image)
    image[..., 0] ^= 1  # as JPEG rounds
    assert not greyness.has_color(image)
    image[3, 4] = (200, 100, 100)
    assert greyness.has_color(image)


def test_large_images_are_seen_in_part():
    image = np.full((1000, 700, 3), 90, np.uint8)
    image[:20, :20, 2] = 200
    assert greyness.has_color(image)


@pytest.mark.parametrize("name", COLOR_TASKS)
def test_tasks_of_colours_refuse_grey_images(name):
    config = methods.all_configs()[name]()
    message = f"^{name}: the images must hold colours, .* got grey ones: of 20 looked at, 0 "
    with pytest.raises(ValueError, match=message):
        config.prepare(20, lambda *_: GREY)
    message = f"^{name}: the images must hold colours, .* got images of 1 channel. Set data.channe"
    with pytest.raises(ValueError, match=message):
        config.prepare(20, lambda *_: GREY[..., :1])


def test_a_few_coloured_images_among_many_grey_ones():
    images = np.concatenate([GREY] * 15)
    images[0] = tiny.images(1)[0]
    greyness.check_has_color("test", images[:20])
    with pytest.raises(ValueError, match="of 200 looked at, 1 hold any"):
        greyness.check_has_color("test", images)
