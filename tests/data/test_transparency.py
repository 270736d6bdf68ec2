"""What is transparent shows white, whatever colour is hidden there and however the file says so."""

import io
import warnings

import numpy as np
import pytest
from PIL import Image

from jaxssl import data
from jaxssl.data import transforms

HIDDEN, SHOWN = (255, 0, 0), (0, 200, 0)
ALPHA = np.array([[0, 255], [0, 128]], np.uint8)  # upper left and lower left are hidden


def four_pixels(mode):
    """A PNG of 2 x 2 pixels: red under alpha 0, green under 255 and 128."""
    colours = np.array([[HIDDEN, SHOWN], [HIDDEN, SHOWN]], np.uint8)
    options = {}
    if mode == "P with a table":
        image = Image.fromarray(np.array([[0, 1], [0, 2]], np.uint8)).convert("P")
        image.putpalette([*HIDDEN, *SHOWN, *SHOWN])
        options["transparency"] = bytes([0, 255, 128])
    elif mode == "P with one colour":
        image = Image.fromarray(np.array([[0, 1], [0, 1]], np.uint8)).convert("P")
        image.putpalette([*HIDDEN, *SHOWN])
        options["transparency"] = 0
    elif mode == "RGB with one colour":
        image = Image.fromarray(colours)
        options["transparency"] = HIDDEN
    elif mode == "L with one value":
        image = Image.fromarray(np.array([[7, 100], [7, 100]], np.uint8))
        options["transparency"] = 7
    elif mode == "LA":
        image = Image.fromarray(np.stack([[[7, 100], [7, 100]], ALPHA], -1).astype(np.uint8))
    else:
        image = Image.fromarray(np.concatenate([colours, ALPHA[..., None]], -1))
    content = io.BytesIO()
    image.save(content, "PNG", **options)
    return content.getvalue()


ONE = ("P with one colour", "RGB with one colour", "L with one value")


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("mode", [*ONE, "P with a table", "LA", "RGBA"])
def test_hidden_colours_are_white_and_nothing_is_warned_of(mode, channels):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = transforms.decode(four_pixels(mode), image_size=2, channels=channels)
    assert (found[:, 0] == 255).all()
    shown = np.array([100] * 3 if mode[0] == "L" else SHOWN)
    if channels == 1:
        shown = shown @ [0.299, 0.587, 0.114]
    np.testing.assert_allclose(found[0, 1], np.broadcast_to(shown, channels), atol=1)
    half_seen = 255 + (shown - 255) * (1 if mode in ONE else 128 / 255)
    np.testing.assert_allclose(found[1, 1], np.broadcast_to(half_seen, channels), atol=1)


def test_opaque_pixels_do_not_change():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 8, 4), np.uint8)
    pixels[..., 3] = 255
    found = transforms.fit(Image.fromarray(pixels), image_size=8, channels=3)
    np.testing.assert_array_equal(found, pixels[..., :3])


def test_prepared_images_are_on_the_same_background(tmp_path):
    (tmp_path / "icons").mkdir()
    for number, mode in enumerate(("P with a table", "RGB with one colour", "RGBA")):
        (tmp_path / "icons" / f"{number}.png").write_bytes(four_pixels(mode))
    data.prepare(tmp_path / "icons", tmp_path / "out", show_progress=False)
    folder = data.ImageData(str(tmp_path / "icons"), 2, 3).open("all")
    prepared = data.ImageData(str(tmp_path / "out"), 2, 3).open("all")
    assert {prepared[row]["image"].tobytes() for row in range(3)} == {
        folder[row]["image"].tobytes() for row in range(3)
    }
    # Readers that look at no transparency see it too.
    stored = [prepared.source.records[row]["image"] for row in range(3)]
    assert not any(Image.open(io.BytesIO(each)).has_transparency_data for each in stored)
