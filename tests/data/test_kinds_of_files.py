"""What Pillow can read is read, and what it cannot is refused by its true name."""

import io
import logging
import struct
import zlib

import deep_files
import numpy as np
import pytest
from PIL import Image

from jaxssl import data
from jaxssl.data import imagefiles, transforms

SHAPE = {"image_size": 8, "channels": 3}


def picture(value=0):
    rows, columns = np.mgrid[:8, :8]
    return np.stack([20 * rows, 20 * columns, value + 0 * rows], -1).astype(np.uint8)


def encoded(image, kind, **options):
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


@pytest.mark.parametrize(
    ("suffix", "kind", "options"),
    [
        (".jfif", "JPEG", {}),
        (".JPE", "JPEG", {}),
        (".avif", "AVIF", {}),
        (".jp2", "JPEG2000", {}),
        (".j2k", "JPEG2000", {"no_jp2": True}),
        (".pnm", "PPM", {}),
    ],
)
def test_every_suffix_that_pillow_reads_is_an_image(suffix, kind, options, tmp_path):
    for number in range(2):
        content = encoded(Image.fromarray(picture()), kind, **options)
        (tmp_path / f"{number}{suffix}").write_bytes(content)
    (tmp_path / "2.heic").write_bytes(b"\0\0\0\x18ftypheic")
    source = data.ImageData(str(tmp_path), **SHAPE).open("all")
    assert len(source) == 2
    assert abs(source[0]["image"].astype(int) - picture()).mean() < 25
    assert any("(1 .heic)" in note for note in data.account_of(source).notes)


@pytest.mark.parametrize("kind", ["TIFF", "GIF", "WEBP", "PNG"])
def test_of_several_pages_or_frames_the_first_is_read(kind):
    first, second = (Image.fromarray(picture(value)) for value in (40, 250))
    options = {"lossless": True} if kind == "WEBP" else {}
    several = encoded(first, kind, save_all=True, append_images=[second], **options)
    with Image.open(io.BytesIO(several)) as image:
        assert image.n_frames == 2
    one = encoded(first, kind, **options)
    np.testing.assert_array_equal(
        transforms.decode(several, **SHAPE), transforms.decode(one, **SHAPE)
    )


@pytest.mark.parametrize("kind", [b"zTXt", b"tEXt", b"iTXt", b"iCCP"])
def test_long_texts_of_a_png_stop_nothing(kind):
    text = b"long " * (1 << 20)
    packed = zlib.compress(text)
    body = {
        b"zTXt": b"Comment\0\0" + packed,
        b"tEXt": b"Comment\0" + text,
        b"iTXt": b"Comment\0\1\0\0\0" + packed,
        b"iCCP": b"profile\0\0" + packed,
    }[kind]
    pixels = picture()
    for broken in (False, True):
        chunk = deep_files.chunk(kind, body)
        chunk = chunk[:-1] + bytes([chunk[-1] ^ broken])  # a wrong check sum of what is not read
        found = transforms.decode(deep_files.png(pixels, before=[chunk]), **SHAPE)
        np.testing.assert_array_equal(found, pixels)


def test_the_orientation_in_a_text_of_a_png_is_read():
    xmp = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><d tiff:Orientation="6"/></x:xmpmeta>'
    chunk = deep_files.chunk(b"iTXt", b"XML:com.adobe.xmp\0\0\0\0\0" + xmp)
    other = deep_files.chunk(b"tEXt", b"Comment\0hello")
    found = transforms.decode(deep_files.png(picture(), before=[other, chunk]), **SHAPE)
    np.testing.assert_array_equal(found, np.rot90(picture(), -1))


def test_a_limit_of_pixels_can_be_raised(tmp_path, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 50)
    for number in range(2):
        Image.new("L", (14, 10), 77).save(tmp_path / f"{number}.png")
    small, large = (data.ImageData(str(tmp_path), **SHAPE, max_pixels=each) for each in (99, 141))
    message = r"140 pixels, and images of more than 100 are refused.*raise --data\.max-pixels"
    with pytest.raises(ValueError, match=message):
        small.open("all")[0]
    assert (large.open("all")[0]["image"] == 77).all()
    assert (small.open("all")[0]["image"] == 77).all()  # what is allowed stays so


def test_the_usual_limit_is_that_of_pillow(monkeypatch):
    assert imagefiles.MAX_PIXELS == 2 * Image.MAX_IMAGE_PIXELS
    imagefiles.allow_pixels(imagefiles.MAX_PIXELS)
    assert 2 * Image.MAX_IMAGE_PIXELS == imagefiles.MAX_PIXELS
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", None)
    imagefiles.allow_pixels(1)
    assert Image.MAX_IMAGE_PIXELS is None


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (
            deep_files.tiff(np.zeros((4, 4, 13), np.uint16)),
            "a TIFF of 13 channels of 16 bits, of a kind that Pillow does not read; save it as",
        ),
        (
            deep_files.tiff(np.zeros((4, 4, 3), np.float32)),
            "a TIFF of 3 channels of 32 bits, of a kind that Pillow does not read",
        ),
        (b"II*\0" + struct.pack("<L", 9999), "a damaged TIFF"),
        (b"\0\0\0\x18ftypheic", "HEIC, which Pillow does not read here; convert it to JPEG"),
        (b"\0\0\0\x0cJXL \r\n\x87\n", "JPEG XL, which Pillow does not read here"),
        (b"nope", "content of no known image format"),
    ],
)
def test_what_pillow_does_not_read_is_called_by_its_name(content, message, capfd, caplog):
    with pytest.raises(ValueError) as refused:
        transforms.decode(content, **SHAPE)
    assert str(refused.value).startswith(message)
    assert capfd.readouterr() == ("", "")
    assert any(isinstance(each, logging.NullHandler) for each in logging.getLogger("PIL").handlers)
