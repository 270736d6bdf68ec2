import io

import numpy as np
import pytest
from PIL import Image

from jaxssl.data import transforms


def png(image):
    encoded = io.BytesIO()
    image.save(encoded, "PNG")
    return encoded.getvalue()


def picture(height, width, channels=3):
    shape = (height, width, channels) if channels > 1 else (height, width)
    return np.random.default_rng(1).integers(0, 256, shape, np.uint8)


def test_an_image_that_fits_is_untouched():
    pixels = picture(8, 8)
    np.testing.assert_array_equal(
        transforms.decode(png(Image.fromarray(pixels)), image_size=8, channels=3), pixels
    )


def test_a_wide_image_keeps_its_centre():
    pixels = picture(8, 14)
    fitted = transforms.fit(Image.fromarray(pixels), image_size=8, channels=3)
    np.testing.assert_array_equal(fitted, pixels[:, 3:11])


def test_a_high_image_keeps_its_centre():
    pixels = picture(12, 8)
    fitted = transforms.fit(Image.fromarray(pixels), image_size=8, channels=3)
    np.testing.assert_array_equal(fitted, pixels[2:10])


def test_shrinking_averages_instead_of_skipping():
    # A checkerboard of single pixels is grey when seen from afar; nearest or plain bilinear
    # sampling at a multiple of two would give black or white.
    rows, columns = np.mgrid[:64, :64]
    board = ((rows + columns) % 2 * 255).astype(np.uint8)
    fitted = transforms.fit(Image.fromarray(board), image_size=8, channels=1)
    assert abs(fitted.astype(int) - 127).max() <= 3


def test_grey_of_rgb_is_itu_luma_and_rgb_of_grey_repeats():
    pixels = picture(5, 5)
    luma = pixels @ np.array([0.299, 0.587, 0.114])
    grey = transforms.fit(Image.fromarray(pixels), image_size=5, channels=1)
    assert grey.shape == (5, 5, 1)
    assert abs(grey[..., 0] - luma).max() <= 0.51
    again = transforms.fit(Image.fromarray(grey[..., 0]), image_size=5, channels=3)
    np.testing.assert_array_equal(again, np.repeat(grey, 3, axis=-1))


@pytest.mark.parametrize("size_from", [5, 9])
@pytest.mark.parametrize("channels_to", [1, 3])
@pytest.mark.parametrize("channels_from", [1, 3])
def test_arrays_are_fitted_as_single_images_are(size_from, channels_from, channels_to):
    pixels = np.random.default_rng(2).integers(
        0, 256, (4, size_from, size_from, channels_from), np.uint8
    )
    fitted = transforms.fit_array(pixels, image_size=5, channels=channels_to)
    for one, image in zip(fitted, pixels):
        expected = transforms.fit(
            Image.fromarray(image.squeeze(-1) if channels_from == 1 else image),
            image_size=5,
            channels=channels_to,
        )
        np.testing.assert_array_equal(one, expected)


def test_a_palette_becomes_rgb():
    palette = Image.fromarray(picture(4, 4)).convert("P", palette=Image.Palette.ADAPTIVE, colors=16)
    decoded = transforms.decode(png(palette), image_size=4, channels=3)
    np.testing.assert_array_equal(decoded, np.asarray(palette.convert("RGB")))


def test_photographs_are_turned_upright():
    pixels = picture(8, 8)
    image = Image.fromarray(pixels)
    exif = image.getexif()
    exif[0x0112] = 6  # the camera was turned: rotate by 270 degrees to see it upright
    encoded = io.BytesIO()
    image.save(encoded, "PNG", exif=exif)
    decoded = transforms.decode(encoded.getvalue(), image_size=8, channels=3)
    np.testing.assert_array_equal(decoded, np.rot90(pixels, -1))


@pytest.mark.parametrize("image_size", [16, 96])
def test_large_jpeg_is_close_to_what_full_decoding_gives(image_size):
    rows, columns = np.mgrid[:256, :256]
    waves = (127 + 60 * np.sin(rows / 3) + 60 * np.sin(columns / 3)).astype(np.uint8)
    encoded = io.BytesIO()
    Image.fromarray(waves).save(encoded, "JPEG", quality=95)
    decoded = transforms.decode(encoded.getvalue(), image_size=image_size, channels=1)
    expected = transforms.fit(Image.fromarray(waves), image_size=image_size, channels=1)
    assert abs(decoded.astype(int) - expected).mean() <= 2


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"nope", "no known image format"), (b"", "no known image format")],
)
def test_what_is_no_image_says_so(content, message):
    with pytest.raises(ValueError, match=message):
        transforms.decode(content, image_size=4, channels=3)


@pytest.mark.parametrize("encoding", ["PNG", "JPEG"])
def test_part_of_an_image_is_an_error(encoding):
    encoded = io.BytesIO()
    Image.fromarray(picture(64, 64)).save(encoded, encoding)
    content = encoded.getvalue()
    with pytest.raises(ValueError, match=r"truncated|broken"):
        transforms.decode(content[: len(content) // 2], image_size=4, channels=3)


@pytest.mark.parametrize("kind", [np.float32, np.int32, np.uint16])
def test_images_of_other_numbers_are_refused(kind):
    with pytest.raises(ValueError, match=r"8 bits a channel; got PIL mode .*by data\.scaled"):
        transforms.fit(Image.fromarray(np.ones((4, 4), kind)), image_size=4, channels=1)
