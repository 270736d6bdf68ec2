"""Images of more than 8 bits a channel keep every one of them, until a stated range is applied."""

import dataclasses
import io

import deep_files
import numpy as np
import pytest

from jaxssl import data
from jaxssl.data import deep, imagefiles, transforms, valuerange

SIDE = 16


def ramp(bits, kind=np.uint16, channels=None):
    """Every value of so many bits in equal steps, in no order; other ones in each channel."""
    values = np.linspace(0, 2**bits - 1, SIDE * SIDE).astype(kind)
    shuffled = np.random.default_rng(0).permutation(values).reshape(SIDE, SIDE)
    if channels is None:
        return shuffled
    return np.stack([np.roll(shuffled, each) for each in range(channels)], -1)


# What a file is written from; what is read is the same numbers, whatever Pillow makes of them.
GREY = {
    **{f"{bits} bits in a TIFF": (deep_files.tiff, ramp(bits), {}) for bits in (10, 12, 16)},
    **{f"{bits} bits in a PNG": (deep_files.png, ramp(bits), {}) for bits in (10, 12, 16)},
    "12 bits packed": (deep_files.tiff, ramp(12), {"bits": 12}),
    "big-endian": (deep_files.tiff, ramp(12), {"order": ">"}),
    "compressed": (deep_files.tiff, ramp(12), {"compressed": True}),
    "signed": (deep_files.tiff, (ramp(12) - 1000.0).astype(np.int16), {}),
    "signed bytes": (deep_files.tiff, (ramp(8) - 128.0).astype(np.int8), {}),
    "32 bits": (deep_files.tiff, ramp(32, np.uint32), {}),
    "signed 32 bits": (deep_files.tiff, (ramp(31, np.float64) - 2**30).astype(np.int32), {}),
    "floats": (deep_files.tiff, (ramp(12) / 4096 - 0.5).astype(np.float32), {}),
    "PGM": (deep_files.pnm, ramp(16), {"highest": 65535}),
    "PGM of 12 bits": (deep_files.pnm, ramp(12), {"highest": 4095}),
    "PGM of 12 bits that claims 16": (deep_files.pnm, ramp(12), {"highest": 65535}),
}
COLOURS = {
    "PNG": (deep_files.png, 3, {}),
    "PNG with alpha": (deep_files.png, 4, {}),
    "TIFF": (deep_files.tiff, 3, {}),
    "TIFF with alpha": (deep_files.tiff, 4, {}),
    "big-endian TIFF": (deep_files.tiff, 3, {"order": ">"}),
    "compressed TIFF": (deep_files.tiff, 3, {"compressed": True}),
    "compressed big-endian TIFF": (deep_files.tiff, 3, {"compressed": True, "order": ">"}),
    "PPM": (deep_files.pnm, 3, {"highest": 65535}),
    "PPM of 12 bits": (deep_files.pnm, 3, {"highest": 4095}),
}


def read(content):
    with imagefiles.opened(content) as image:
        assert deep.is_deep(image)
        return deep.read(image, content)


@pytest.mark.parametrize("case", GREY)
def test_every_bit_of_grey_is_read(case):
    write, values, options = GREY[case]
    found = read(write(values, **options))
    np.testing.assert_array_equal(found.values, values)
    assert found.alpha is None and not found.is_inverted


@pytest.mark.parametrize("case", COLOURS)
@pytest.mark.parametrize("bits", [12, 16])
def test_every_bit_of_colours_is_read(case, bits):
    write, channels, options = COLOURS[case]
    values = ramp(bits, channels=channels)
    found = read(write(values, **options))
    np.testing.assert_array_equal(found.values, values[..., :3])
    if channels == 4:
        np.testing.assert_array_equal(found.alpha, values[..., 3] >> 8)


@pytest.mark.parametrize("case", GREY)
def test_a_range_gives_256_levels_of_it(case):
    write, values, options = GREY[case]
    low, high = float(values.min()), float(values.max())
    found = transforms.decode(
        write(values, **options), image_size=SIDE, channels=1, value_range=(low, high)
    )
    expected = np.round(255 * (values.astype(np.float64) - low) / (high - low))
    np.testing.assert_array_equal(found[..., 0], expected)
    assert len(np.unique(found)) > 200


@pytest.mark.parametrize("kind", [np.uint16, np.float32])
def test_white_is_zero_is_turned_after_the_range(kind):
    values = ramp(12, kind)
    content = deep_files.tiff(values, photometric=0)
    shape = {"image_size": SIDE, "channels": 1, "value_range": (0, 4095)}
    plain = transforms.decode(deep_files.tiff(values), **shape)
    np.testing.assert_array_equal(transforms.decode(content, **shape), 255 - plain)


def test_what_is_transparent_shows_white():
    values = np.stack([ramp(12), np.where(ramp(12) < 2000, 0, 65535)], -1).astype(np.uint16)
    shape = {"image_size": SIDE, "channels": 1, "value_range": (0, 4095)}
    shown = transforms.decode(deep_files.png(values[..., 0]), **shape)
    expected = np.where(values[..., 1:] == 0, 255, shown)
    np.testing.assert_array_equal(transforms.decode(deep_files.png(values), **shape), expected)
    one = values[3, 3, 0]
    found = transforms.decode(deep_files.png(values[..., 0], hidden=one), **shape)
    np.testing.assert_array_equal(found, np.where(values[..., :1] == one, 255, shown))
    colours = ramp(12, channels=3)
    shape["channels"] = 3
    found = transforms.decode(deep_files.png(colours, hidden=colours[2, 5]), **shape)
    assert (found[2, 5] == 255).all() and (found[2, 6] < 255).any()


def test_pixels_that_are_no_number_are_black_and_none_at_all_is_an_error():
    values = ramp(12, np.float32)
    values[2, 3], values[4, 5] = np.nan, np.inf
    shape = {"image_size": SIDE, "channels": 1, "value_range": (0, 4095)}
    found = transforms.decode(deep_files.tiff(values), **shape)
    assert found[2, 3] == 0 and found[4, 5] == 255
    with pytest.raises(ValueError, match="no pixel is a finite number"):
        transforms.decode(deep_files.tiff(np.full((4, 4), np.nan, np.float32)), **shape)


def test_without_a_range_a_deep_image_is_refused():
    with pytest.raises(ValueError, match=r"more than 8 bits a channel, and .*--data\.value-range"):
        transforms.decode(deep_files.png(ramp(12)), image_size=SIDE, channels=1)


def test_layouts_whose_lower_bytes_are_lost_are_refused():
    tifffile = pytest.importorskip("tifffile")
    ink = deep_files.tiff(ramp(12, channels=4), photometric=5)
    files = [(ink, "CMYK")]
    for compression in (None, "zlib"):
        file = io.BytesIO()
        planes = np.moveaxis(ramp(12, channels=3), -1, 0)
        tifffile.imwrite(
            file, planes, photometric="rgb", planarconfig="separate", compression=compression
        )
        files.append((file.getvalue(), "RGB"))
    for content, mode in files:
        message = rf"in TIFF, mode {mode}, are not read in this layout\. Save it as grey or RGB of"
        with pytest.raises(ValueError, match=message):
            transforms.decode(content, image_size=SIDE, channels=3, value_range=(0, 4095))


def test_images_of_8_bits_are_as_they_are():
    values = ramp(8, np.uint8)
    for write in (deep_files.png, deep_files.tiff):
        found = transforms.decode(write(values), image_size=SIDE, channels=1, value_range=(7, 9))
        np.testing.assert_array_equal(found[..., 0], values)


@pytest.fixture
def xrays(tmp_path):
    """Twenty files of 12 bits, one of them with a dead pixel."""
    (tmp_path / "xrays").mkdir()
    for number in range(20):
        values = ramp(12)
        values[0, 0] = 65535 if number == 3 else values[0, 0]
        suffix, write = ((".png", deep_files.png), (".tif", deep_files.tiff))[number % 2]
        (tmp_path / "xrays" / f"{number:02d}{suffix}").write_bytes(write(values))
    return tmp_path / "xrays"


def test_the_range_of_a_folder_is_measured_on_its_training_split(xrays):
    config = data.ImageData(str(xrays), SIDE, 1)
    train, test = config.open("train"), config.open("test")
    low, high = train.value_range
    assert 0 <= low < 10 and 4080 < high < 4100
    assert train.value_range == test.value_range == config.open("validation").value_range
    assert len(np.unique(test[0]["image"])) > 240
    asked = dataclasses.replace(config, value_range=(0, 65535)).open("test")
    assert asked.value_range == (0, 65535) and asked[0]["image"].max() <= 16
    held = dataclasses.replace(config, in_memory=True).open("train")
    assert held.value_range == train.value_range


def test_a_range_that_8_bits_need_not_is_none(class_folder):
    assert data.ImageData(str(class_folder), 8, 3).open("train").value_range is None


def test_what_is_prepared_has_the_same_levels(xrays, tmp_path):
    done = data.prepare(xrays, tmp_path / "out", channels=1, show_progress=False)
    before = data.ImageData(str(xrays), SIDE, 1).open("all")
    assert done.value_range == data.ImageData(str(xrays), SIDE, 1).open("train").value_range
    after = data.ImageData(str(tmp_path / "out"), SIDE, 1).open("train")
    assert after.value_range is None
    levels = [np.sort(after[row]["image"], None) for row in range(len(after))]
    assert sum(np.array_equal(each, levels[0]) for each in levels) > 10
    assert abs(np.sort(before[0]["image"], None).astype(int) - levels[0]).max() <= 1


@pytest.mark.parametrize(
    ("kind", "expected"),
    [(np.uint16, 4095), (np.int16, 4095), (np.int32, 4095), (np.float32, 4095), (bool, 1)],
)
def test_arrays_of_any_numbers_are_scaled(kind, expected, tmp_path):
    values = ramp(12) > 2000 if kind is bool else ramp(12).astype(kind)
    images = np.broadcast_to(values, (10, SIDE, SIDE))
    np.savez(tmp_path / "a.npz", images=images, labels=np.arange(10) % 2)
    config = data.ImageData(str(tmp_path / "a.npz"), SIDE, 1)
    train, test = config.open("train"), config.open("test")
    low, high = train.value_range
    assert train.value_range == test.value_range
    assert low == pytest.approx(0, abs=10) and high == pytest.approx(expected, abs=10)
    found = train.columns["image"]
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found[0], valuerange.scaled(values, (low, high))[..., None])
    assert len(np.unique(found)) > (1 if kind is bool else 240)
    other = dataclasses.replace(config, value_range=(0, 2 * expected)).open("train")
    assert other.fingerprint == train.fingerprint
    assert other.columns["image"].max() == 128


def test_every_range_is_checked():
    message = r"value_range must be LOW HIGH, .*LOW below HIGH; got 3 2\."
    with pytest.raises(ValueError, match=f"ImageData: {message}"):
        data.ImageData("photos", 8, 3, value_range=(3, 2))
    with pytest.raises(ValueError, match=f"scaled: {message}"):
        data.scaled(np.arange(4), (3, 2))


@pytest.mark.parametrize(
    "kind", [np.uint8, np.int8, np.uint16, ">u2", np.int16, np.int32, np.float16, np.float64]
)
@pytest.mark.parametrize("shape", [(120,), (2, 60), (2, 3, 4, 5)])
def test_scaling_is_the_formula_for_every_kind_and_shape(kind, shape):
    values = np.arange(120).reshape(shape).astype(kind)
    if np.dtype(kind).kind != "u":
        values = values - np.array(60, kind)
    expected = np.round(255 * np.clip((values.astype(float) - 20) / 30, 0, 1))
    found = data.scaled(values, (20, 50))
    assert found.dtype == np.uint8
    np.testing.assert_array_equal(found, expected)


def test_a_range_of_one_value_is_one_wide():
    assert valuerange.measured([np.full((4, 4), 7)]) == (7, 8)
    assert valuerange.measured([np.full(4, np.nan)]) == (0, 1)
