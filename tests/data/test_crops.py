"""Random crops of whole pictures on the host: what is drawn, what is cut out, who may ask."""

import io
import math
import random
import struct

import augment_reference as reference
import jax
import numpy as np
import pytest
from PIL import Image
from scipy import stats

from jaxssl import cropping, data
from jaxssl.augment import geometry, policies
from jaxssl.data import crops

RATIO = (3 / 4, 4 / 3)
TWO = policies.simclr(8).host_crops()
MANY = policies.dino(12, local_size=6, num_local=3).host_crops()
ORIENTATION = 0x0112


def cut_of(asked, number=0):
    return crops.draw(asked, seed=3, step=5, position=number)


def encoded(pixels, kind="PNG", **options):
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, kind, **options)
    return content.getvalue()


def smooth(height, width):
    rows, columns = np.mgrid[:height, :width]
    waves = [np.sin(rows / 40), np.cos(columns / 60), np.sin((rows + columns) / 80)]
    return (127.5 + 120 * np.stack(waves, -1)).astype(np.uint8)


def turned(number):
    """An EXIF block that says how a picture is turned, and nothing else."""
    entry = struct.pack("<HHIHH", ORIENTATION, 3, 1, number, 0)
    return b"Exif\0\0II*\0\x08\0\0\0\x01\0" + entry + b"\0\0\0\0"


def arrays(batch):
    return [*batch["image"].groups, batch["index"]]


@pytest.mark.parametrize("height, width, scale", [(300, 400, (0.08, 1.0)), (50, 400, (0.2, 1.0))])
def test_boxes_are_those_of_the_rejection_loop_and_of_the_device(height, width, scale):
    asked = (cropping.Crop(8, scale, RATIO, "linear", count=2),)
    host = np.concatenate([cut_of(asked, number).boxes(width, height) for number in range(1500)])
    generator = random.Random(0)
    looped = [reference.sample_crop(generator, height, width, scale, RATIO) for _ in host]
    draws = jax.random.uniform(jax.random.key(3), (len(host), geometry.NUM_CROP_DRAWS))
    device = jax.vmap(lambda d: geometry.crop_box(d, height, width, scale=scale, ratio=RATIO))
    top, left, h, w = host.T
    assert np.array_equal(host, np.round(host)) and h.min() > 0 and w.min() > 0
    assert min(top.min(), left.min()) >= 0 and (top + h).max() <= height
    assert (left + w).max() <= width
    for others in (np.array(looped), np.asarray(jax.jit(device)(draws), np.float64)):
        for number in range(4):
            assert stats.ks_2samp(host[:, number], others[:, number]).pvalue > 0.01
        assert stats.ks_2samp(h * w, others[:, 2] * others[:, 3]).pvalue > 0.01
        assert stats.ks_2samp(w / h, others[:, 3] / others[:, 2]).pvalue > 0.01


def test_draws_never_change_and_are_one_for_each_view_seed_step_and_position():
    # A run that was interrupted must go on with the same crops after any upgrade. Made once with
    # NumPy 2.4 by: np.random.Philox(key=[3, 5], counter=[0, 0, 7, 1]).random_raw(1) / 2**64
    assert crops.draw(TWO, seed=3, step=5, position=7).draws[0, 0] == pytest.approx(
        0.4704289656276489
    )
    places = [(0, 0, 0), (1, 0, 0), (0, 1, 0), (0, 0, 1), (2**64 - 1, 0, 0)]
    drawn = [crops.draw(TWO, seed=a, step=b, position=c).draws for a, b, c in places]
    assert len(np.unique(np.concatenate(drawn))) == len(places) * 2 * cropping.NUM_DRAWS


@pytest.mark.parametrize("interpolation", ["linear", "cubic"])
def test_what_is_cut_out_is_the_box_resized_as_the_loops_do_it(interpolation):
    pixels = np.random.default_rng(0).integers(0, 256, (23, 40, 3), np.uint8)
    asked = (cropping.Crop(9, (0.1, 1.0), RATIO, interpolation, count=4),)
    cut = cut_of(asked)
    (made,) = cut.decode(encoded(pixels), channels=3).groups
    assert made.shape == (4, 9, 9, 3) and made.dtype == np.uint8
    kernel = {"linear": reference.triangle, "cubic": reference.keys_cubic}[interpolation]
    for view, box in zip(made, cut.boxes(40, 23).astype(int), strict=True):
        expected = np.clip(reference.crop_resize(pixels / 255, *box, 9, kernel), 0, 1)
        np.testing.assert_allclose(view / 255, expected, atol=1.5 / 255)


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_jpeg_is_decoded_smaller_and_never_too_small(orientation, monkeypatch):
    asked = (
        cropping.Crop(16, (0.1, 1.0), RATIO, "linear", 2),
        cropping.Crop(8, (0.4, 0.5), RATIO, "cubic"),
    )
    parts = []

    def resized(image, box, **options):
        parts.append((image.size, min(box[2:]) / options["size"]))
        return made(image, box, **options)

    made = crops.resized
    monkeypatch.setattr(crops, "resized", resized)
    pixels = smooth(300, 451)
    options = {"quality": 95, "exif": turned(orientation)}
    found, whole = [], []
    for number in range(6):
        cut = cut_of(asked, number)
        found += cut.decode(encoded(pixels, "JPEG", **options), channels=3).groups
        monkeypatch.setattr(crops, "_REDUCTIONS", ())
        whole += cut.decode(encoded(pixels, "JPEG", **options), channels=3).groups
        monkeypatch.undo()
        monkeypatch.setattr(crops, "resized", resized)
    assert all(enough >= 1 for _, enough in parts)
    is_upright = orientation != 6
    sizes = {max(width, height) for (width, height), _ in parts}
    assert len(sizes) > 1 and sizes <= {math.ceil(451 / reduction) for reduction in (1, 2, 4, 8)}
    assert all((width > height) == is_upright for (width, height), _ in parts)
    for one, other in zip(found, whole, strict=True):
        # What lies between two pixels of the smaller picture is known at the box's border only to
        # a part of one, where a wave rises by up to 3 grey levels a pixel of the whole one.
        difference = np.abs(one.astype(float) - other)
        assert difference.max() < 12 and difference[:, 1:-1, 1:-1].max() <= 4


def test_grey_transparent_and_deep_pictures_are_cut_like_any():
    pixels = np.random.default_rng(0).integers(0, 256, (20, 30, 4), np.uint8)
    cut = cut_of(TWO)
    assert cut.decode(encoded(pixels), channels=1).groups[0].shape == (2, 8, 8, 1)
    deep = np.linspace(0, 4095, 600).reshape(20, 30).astype(np.uint16)
    (found,) = cut.decode(encoded(deep), channels=3, value_range=(0, 4095)).groups
    plain = np.round(deep / 4095 * 255).astype(np.uint8)
    (expected,) = cut.decode(encoded(plain), channels=3).groups
    assert np.abs(found.astype(int) - expected).max() <= 1


@pytest.mark.parametrize("asked", [TWO, MANY])
def test_a_batch_is_the_same_on_any_number_of_processes_and_after_a_resume(class_folder, asked):
    source = data.ImageData(str(class_folder), 8, 3).open("all")

    def loader(**options):
        return data.Loader(source, batch_size=4, seed=2, crops=asked, num_threads=2, **options)

    with loader() as one:
        batches = [one.batch(step) for step in range(5)]
    with loader() as resumed:
        again = [resumed.batch(step) for step in (3, 4)]
    parts = [loader(process=(index, 2)) for index in range(2)]
    for step, batch in enumerate(batches):
        assert [group.shape[1:3] for group in batch["image"].groups] == [
            (crop.count, crop.size) for crop in asked
        ]
        halves = zip(*(arrays(part.batch(step)) for part in parts))
        for array, shared in zip(arrays(batch), map(np.concatenate, halves), strict=True):
            np.testing.assert_array_equal(array, shared)
    for found, expected in zip(again, batches[3:], strict=True):
        for array, other in zip(arrays(found), arrays(expected), strict=True):
            np.testing.assert_array_equal(array, other)
    for part in parts:
        part.close()
    with loader() as examples:
        example, whole = examples.example(), examples.example(whole=True)
    for array, first in zip(arrays(example), arrays(batches[0]), strict=True):
        np.testing.assert_array_equal(array, first[:1])
    np.testing.assert_array_equal(whole["image"][0], source[int(batches[0]["index"][0])]["image"])


def test_the_borders_of_a_wide_picture_are_seen(tmp_path):
    pixels = np.zeros((16, 64), np.uint8)
    pixels[:, :20] = pixels[:, 44:] = 255  # nothing of which lies in the square at the centre
    for number in range(2):
        Image.fromarray(pixels).save(tmp_path / f"{number}.png")
    source = data.ImageData(str(tmp_path), 16, 1).open("all")
    assert not source[0]["image"].any()
    with data.Loader(source, batch_size=2, seed=0, crops=TWO) as loader:
        seen = [loader.batch(step)["image"].groups[0].max() for step in range(10)]
    assert max(seen) == 255


def test_another_file_stands_in_for_one_that_cannot_be_read(class_folder):
    (class_folder / "cat" / "00.png").write_bytes(b"no picture")
    source = data.ImageData(str(class_folder), 8, 3, max_unreadable=0.1).open("all")
    part = data.take(source, np.array([0, 1]))
    cut = cut_of(TWO)
    for number in range(2):
        found = part.cropped(number, cut)
        assert found["label"] == 0
        (expected,) = source.cropped(1, cut)["image"].groups
        np.testing.assert_array_equal(found["image"].groups[0], expected)


def test_a_source_in_memory_has_no_whole_pictures(class_folder):
    held = data.ImageData(str(class_folder), 8, 3, in_memory=True).open("all")
    assert not data.can_crop(held)
    with pytest.raises(ValueError, match=r"Loader: crops must be of a source that decodes whole "):
        data.Loader(held, batch_size=2, seed=0, crops=TWO)
