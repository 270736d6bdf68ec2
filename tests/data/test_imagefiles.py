"""Of an image file only the pixels and the orientation count, whatever else it says."""

import io
import struct
import warnings

import numpy as np
import pytest
from mutations import mutated
from PIL import Image

from jaxssl import data
from jaxssl.data import imagefiles, transforms

ORIENTATION, MAKE, WIDTH, RESOLUTION, DATE = 0x0112, 0x010F, 0x0100, 0x011A, 0x0132
ODD_TAGS = {  # tag, type, count, value: what cameras and editors have been seen to write
    "negative width": (WIDTH, 9, 1, struct.pack("<i", -5)),
    "a double for the resolution": (RESOLUTION, 12, 1, struct.pack("<d", 72.5)),
    "a rational for the make": (MAKE, 5, 1, struct.pack("<II", 1, 0)),
    "a resolution of 0 / 0": (RESOLUTION, 5, 1, struct.pack("<II", 0, 0)),
    "a date outside the file": (DATE, 2, 10**6, struct.pack("<I", 10**6)),
    "no known type": (MAKE, 77, 1, b"ABCD"),
}


def exif(tags):
    """A little-endian EXIF block of (tag, type, count, value)s in order."""
    start = 8 + 2 + 12 * len(tags) + 4
    table, values = struct.pack("<H", len(tags)), b""
    for tag, kind, count, value in sorted(tags):
        place = value.ljust(4, b"\0")
        if len(value) > 4:
            place, values = struct.pack("<I", start + len(values)), values + value
        table += struct.pack("<HHI", tag, kind, count) + place
    return b"Exif\0\0II*\0\x08\0\0\0" + table + b"\0\0\0\0" + values


def picture(side=16):
    rows, columns = np.mgrid[:side, :side]
    return np.stack([8 * rows, 8 * columns, rows + columns], -1).astype(np.uint8)


def encoded(image, kind, **options):
    content = io.BytesIO()
    image.save(content, kind, **options)
    return content.getvalue()


@pytest.mark.parametrize("kind", ["JPEG", "PNG", "WEBP"])
@pytest.mark.parametrize("odd", ODD_TAGS)
def test_an_odd_tag_beside_the_orientation_changes_nothing(odd, kind):
    options = {"lossless": True} if kind == "WEBP" else {}
    image = Image.fromarray(picture())
    plain = encoded(image, kind, **options)
    turned = encoded(
        image,
        kind,
        exif=exif([(ORIENTATION, 3, 1, struct.pack("<H", 6)), ODD_TAGS[odd]]),
        **options,
    )
    shape = {"image_size": 16, "channels": 3}
    with warnings.catch_warnings(record=True) as seen:
        found = transforms.decode(turned, **shape)
    np.testing.assert_array_equal(found, np.rot90(transforms.decode(plain, **shape), -1))
    assert not seen


@pytest.mark.parametrize(
    "content", [b"Exif\0\0nope", b"Exif\0\0II*\0\xff\xff\xff\xff", b"Exif\0\0"]
)
def test_metadata_that_cannot_be_read_change_nothing(content):
    image = Image.fromarray(picture())
    shape = {"image_size": 16, "channels": 3}
    np.testing.assert_array_equal(
        transforms.decode(encoded(image, "JPEG", exif=b"Exif\0\0" + content), **shape),
        transforms.decode(encoded(image, "JPEG"), **shape),
    )


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("kind", ["PNG", "TIFF"])
def test_every_orientation_is_turned_once(kind, orientation):
    pixels = picture()
    block = exif([(ORIENTATION, 3, 1, struct.pack("<H", orientation))])
    found = transforms.decode(
        encoded(Image.fromarray(pixels), kind, exif=block), image_size=16, channels=3
    )
    flips = {2: (0, True), 3: (2, False), 4: (2, True), 5: (-1, True), 6: (-1, False)}
    flips |= {1: (0, False), 7: (1, True), 8: (1, False)}
    quarter_turns, flipped = flips[orientation]
    expected = np.rot90(pixels, quarter_turns)
    np.testing.assert_array_equal(found, expected[:, ::-1] if flipped else expected)


def test_what_is_prepared_can_be_read(tmp_path):
    (tmp_path / "photos").mkdir()
    for number, odd in enumerate(ODD_TAGS):
        block = exif([(ORIENTATION, 3, 1, struct.pack("<H", 6)), ODD_TAGS[odd]])
        content = encoded(Image.fromarray(picture()), "JPEG", exif=block)
        (tmp_path / "photos" / f"{number}.jpg").write_bytes(content)
    done = data.prepare(tmp_path / "photos", tmp_path / "out", show_progress=False)
    assert (done.written, done.skipped) == (len(ODD_TAGS), ())
    config = data.ImageData(str(tmp_path / "out"), 16, 3)
    source = config.open("all")
    assert {source[row]["image"].shape for row in range(len(source))} == {(16, 16, 3)}


KINDS = {
    "PNG": {}, "JPEG": {"exif": exif([(ORIENTATION, 3, 1, struct.pack("<H", 6))])}, "GIF": {},
    "BMP": {}, "TIFF": {"compression": "tiff_lzw"}, "WEBP": {}, "PPM": {},
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_damaged_files_are_images_or_a_value_error(kind):
    content = encoded(Image.fromarray(picture()), kind, **KINDS[kind])
    refused = 0
    for number in range(60):
        try:
            image = transforms.decode(mutated(content, number), image_size=8, channels=3)
            assert image.shape == (8, 8, 3)
        except ValueError as error:
            refused += 1
            assert str(error)
    assert refused < 60 or kind == "WEBP"


def test_running_out_of_memory_says_nothing_of_the_file():
    with (
        pytest.raises(MemoryError),
        imagefiles.opened(encoded(Image.fromarray(picture()), "PNG")),
    ):
        raise MemoryError
