import io

import numpy as np
import pytest
from PIL import Image

from jaxssl import cropping, data
from jaxssl.augment import policies
from jaxssl.data import bands, crops, transforms

CHANNELS = 5


def stored(values):
    content = io.BytesIO()
    np.save(content, values)
    return content.getvalue()


def paged(values):
    """A TIFF of a page for each channel."""
    content = io.BytesIO()
    first, *others = (
        Image.fromarray(np.ascontiguousarray(page)) for page in np.moveaxis(values, -1, 0)
    )
    first.save(content, "TIFF", save_all=True, append_images=others)
    return content.getvalue()


@pytest.fixture
def pixels():
    return np.random.default_rng(0).integers(0, 256, (9, 12, CHANNELS), np.uint8)


@pytest.mark.parametrize("write", [stored, paged])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_files_hold_every_channel(write, dtype, pixels):
    values = pixels.astype(dtype) * (1 if dtype == np.uint8 else 257)
    found = bands.read(write(values))
    assert found.dtype == dtype
    np.testing.assert_array_equal(found, values)


@pytest.mark.parametrize("write", [stored, paged])
def test_each_channel_is_resized_as_a_grey_image_is(write, pixels):
    made = transforms.decode(write(pixels), image_size=6, channels=CHANNELS)
    assert made.shape == (6, 6, CHANNELS)
    for band in range(CHANNELS):
        alone = transforms.fit(Image.fromarray(pixels[..., band].copy()), image_size=6, channels=1)
        np.testing.assert_array_equal(made[..., band], alone[..., 0])


def test_crops_are_the_same_of_every_channel(pixels):
    asked = policies.dino(8, local_size=4).host_crops()
    cut = crops.draw(asked, seed=1, step=2, position=3)
    of_all = cut.decode(stored(pixels), channels=CHANNELS)
    for band in range(CHANNELS):
        alone = cut.of_image(Image.fromarray(pixels[..., band].copy()), channels=1)
        for group, other in zip(of_all.groups, alone.groups, strict=True):
            np.testing.assert_array_equal(group[..., band], other[..., 0])


@pytest.mark.parametrize("channels", [1, 3])
def test_arrays_of_colours_are_what_an_image_of_them_is(channels, pixels):
    rgb = pixels[..., :3]
    image = io.BytesIO()
    Image.fromarray(rgb.copy()).save(image, "PNG")
    made = (
        transforms.decode(each, image_size=6, channels=channels)
        for each in (stored(rgb), image.getvalue())
    )
    np.testing.assert_array_equal(*made)
    cut = crops.draw(
        (cropping.Crop(4, (0.5, 1.0), (1.0, 1.0), "linear", 1),), seed=0, step=0, position=0
    )
    cuts = (cut.decode(each, channels=channels) for each in (stored(rgb), image.getvalue()))
    np.testing.assert_array_equal(*(each.groups[0] for each in cuts))


def test_a_folder_of_them_is_a_data_set(tmp_path):
    random = np.random.default_rng(0)
    for name in ("field", "city"):
        (tmp_path / name).mkdir()
        for number in range(6):
            np.save(
                tmp_path / name / f"{number}.npy", random.integers(0, 4096, (9, 12, 13), np.uint16)
            )
    source = data.ImageData(str(tmp_path), 6, 13).open("train")
    assert source.class_names == ("city", "field") and source[0]["image"].shape == (6, 6, 13)
    low, high = source.value_range
    assert 0 <= low < 20 and 4075 < high <= 4095
    with data.Loader(source, batch_size=4, seed=0, crops=policies.simclr(4).host_crops()) as loader:
        assert loader.batch(0)["image"].groups[0].shape == (4, 2, 4, 4, 13)


def test_archives_may_have_many_channels(tmp_path):
    images = np.random.default_rng(0).integers(0, 256, (10, 8, 8, 32), np.uint8)
    np.savez(tmp_path / "x.npz", images=images)
    source = data.ImageData(str(tmp_path / "x.npz"), 8, 32).open("all")
    np.testing.assert_array_equal(source.columns["image"], images)
    with pytest.raises(
        ValueError,
        match=r"have 32 channels, where 3 are read; .*--data\.channels 32\.$",
    ):
        data.ImageData(str(tmp_path / "x.npz"), 8, 3).open("all")
    with pytest.raises(ValueError, match=r"at most 32 channels and not empty; got \[2, 8, 8, 33\]"):
        data.from_arrays(np.zeros((2, 8, 8, 33), np.uint8))


@pytest.mark.parametrize(
    "content, message",
    [
        (stored(np.zeros((2, 3, 4, 5))), r"an array of float64 \[2, 3, 4, 5\], where numbers"),
        (
            stored(np.zeros((5, 40, 40), np.uint8)),
            "at most 32 channels are read; channels come last",
        ),
        (stored(np.array("text")), "an array of str"),
        (stored(np.zeros((4, 4, 5), np.uint16)), "nobody knows which values are black"),
        (
            stored(np.zeros((4, 4, 4), np.uint8)),
            "--data.channels 4, or leave the alpha",
        ),
        (stored(np.zeros((4, 4, 5), np.uint8))[:90], r"a damaged \.npy file"),
        (paged(np.zeros((4, 4, 2), np.uint8)), "2 channels, where 5 are read"),
    ],
)
def test_what_cannot_be_read_says_why(content, message):
    with pytest.raises(ValueError, match=message):
        transforms.decode(content, image_size=4, channels=CHANNELS)


def test_pages_must_be_channels_of_one_image():
    pages = [Image.new("L", (4, 4)), Image.new("L", (5, 4))]
    for modes, message in (
        (pages, "pages of several sizes"),
        ([Image.new("RGB", (4, 4))] * 2, "several pages of colours"),
    ):
        content = io.BytesIO()
        modes[0].save(content, "TIFF", save_all=True, append_images=modes[1:])
        with pytest.raises(ValueError, match=message):
            bands.read(content.getvalue())
