"""Mean and deviation of the pixels of a data set."""

import numpy as np
import pictures
import pytest

from jaxssl import data


def test_moments_are_those_of_all_pixels_of_a_channel(images):
    source = data.from_arrays(images)
    found = data.measure_moments(source)
    values = images / 255
    np.testing.assert_allclose(found.mean, values.mean(axis=(0, 1, 2)), atol=6e-5)
    np.testing.assert_allclose(found.std, values.std(axis=(0, 1, 2)), atol=6e-5)
    assert found.num_examples == len(images) and len(found.mean) == images.shape[-1]


def test_some_images_at_even_distances_are_enough(images):
    found = data.measure_moments(data.from_arrays(images), 4)
    assert found == data.measure_moments(data.from_arrays(images[[0, 6, 12, 19]]))
    assert found.num_examples == 4


@pytest.mark.parametrize("num_threads", [1, 5])
def test_files_are_decoded_and_threads_change_nothing(tmp_path, num_threads):
    pictures.write_pictures(tmp_path / "photos", 40)
    config = data.ImageData(str(tmp_path / "photos"), 8, 1, num_threads=num_threads)
    source = config.open("all")
    pixels = np.stack([source[row]["image"] for row in range(len(source))]) / 255
    found = data.measure_moments(source, num_threads=num_threads)
    np.testing.assert_allclose(found.mean, [pixels.mean()], atol=6e-5)
    np.testing.assert_allclose(found.std, [pixels.std()], atol=6e-5)


def test_images_of_one_grey_can_still_be_divided_by():
    found = data.measure_moments(data.from_arrays(np.full((3, 4, 4, 1), 51, np.uint8)))
    assert found.mean == (0.2,) and found.std == (0.0039,)
