import dataclasses

import jax
import jax.numpy as jnp
import numpy as np
import pytest
import tiny
from scipy import stats

from jaxssl import draws, jsonable
from jaxssl.methods import jigsaw
from jaxssl.pretext import permutations

# Pixels, on images of 16 x 16.
TINY = {"Jigsaw": {"cell_size": 5, "tile_size": 4, "channel_shift": 1}}

PLAIN = {"normalize_tiles": False, "grey_prob": 0.0, "channel_shift": 0}
TIGHT = PLAIN | {"tile_size": 5}  # cells of 5 pixels: nothing is lost between the tiles
NUM_EXAMPLES = 16


def built(**changes):
    config = dataclasses.replace(tiny.method("Jigsaw"), **changes)
    return config, config.build(tiny.ENCODERS["ViT"].build(), axis_name=None)


def views_of(images, seed=0, **changes):
    _, method = built(**changes)
    keys = jax.random.split(jax.random.key(seed), len(images))
    make = jax.jit(lambda batch: draws.make_views(method, batch, keys))
    return jax.tree.map(np.asarray, make({"image": images}))


def test_undoing_the_permutation_recovers_the_image():
    views = views_of(tiny.images(NUM_EXAMPLES), **TIGHT)
    orders = permutations.permutation_set(100)
    assert np.any(views["label"] != views["label"][0])
    for image, tiles, label in zip(views["image"], views["tiles"], views["label"], strict=True):
        whole = np.zeros((15, 15, 3), np.float32)
        for place, cell in enumerate(orders[label]):
            top, left = 5 * (cell // 3), 5 * (cell % 3)
            whole[top : top + 5, left : left + 5] = tiles[place]
        found = [image[y : y + 15, x : x + 15] for y in range(2) for x in range(2)]
        assert any(np.array_equal(whole, region) for region in found)


def test_tiles_come_from_anywhere_in_their_cells():
    rows = np.arange(15, dtype=np.uint8)[:, None]
    images = np.tile((15 * rows + rows.T)[None, ..., None], (400, 1, 1, 1))
    still = dataclasses.replace(
        tiny.method("Jigsaw").augment, size=15, crop_scale=(1.0, 1.0), crop_ratio=(1.0, 1.0),
        flip_prob=0.0,
    )  # fmt: skip
    views = views_of(images, augment=still, **PLAIN | {"tile_size": 3})
    orders = permutations.permutation_set(100)
    first = np.rint(255 * views["tiles"][..., 0, 0, 0]).astype(int)  # corner of every tile
    np.testing.assert_array_equal(np.rint(255 * views["image"]), images)
    cells = np.array(orders)[views["label"]]
    shifts = np.stack([first // 15 - 5 * (cells // 3), first % 15 - 5 * (cells % 3)])
    assert shifts.min() == 0 and shifts.max() == 2
    together = np.bincount((3 * shifts[0] + shifts[1]).ravel(), minlength=9)
    assert stats.chisquare(together).pvalue > 0.01


def test_permutations_are_drawn_uniformly():
    images = np.zeros((2400, 16, 16, 1), np.uint8)
    labels = views_of(images, num_permutations=24, **PLAIN)["label"]
    assert labels.dtype == np.int32
    assert stats.chisquare(np.bincount(labels, minlength=24)).pvalue > 0.01


def test_some_images_are_grey_with_all_their_tiles():
    images = np.tile(tiny.images(4), (64, 1, 1, 1))
    views = views_of(images, **PLAIN | {"grey_prob": 0.3})
    spread = np.ptp(views["tiles"], axis=-1).max(axis=(2, 3))  # [B, 9]
    grey = spread < 1e-6
    np.testing.assert_array_equal(grey.all(axis=1), grey.any(axis=1))
    assert 0.2 < grey.all(axis=1).mean() < 0.4
    np.testing.assert_array_equal(
        np.ptp(views["image"], axis=-1).max(axis=(1, 2)) < 1e-6, grey[:, 0]
    )


def test_every_tile_has_the_same_mean_and_contrast():
    tiles = views_of(tiny.images(NUM_EXAMPLES))["tiles"]
    assert tiles.shape == (NUM_EXAMPLES, 9, 4, 4, 3) and tiles.dtype == np.float32
    np.testing.assert_allclose(tiles.mean(axis=(2, 3, 4)), 0.5, atol=1e-5)
    np.testing.assert_allclose(tiles.std(axis=(2, 3, 4)), 0.25, atol=1e-4)


def test_channels_of_a_tile_are_shifted_against_each_other():
    grey = np.repeat(tiny.images(NUM_EXAMPLES)[..., :1], 3, axis=-1)
    plain = views_of(grey, **PLAIN)["tiles"]
    np.testing.assert_array_equal(np.ptp(plain, axis=-1), 0)
    shifted = views_of(grey, **PLAIN | {"channel_shift": 1})["tiles"]
    assert np.mean(np.ptp(shifted, axis=-1).max(axis=(2, 3)) > 0) > 0.7


def test_colour_measures_do_nothing_to_grey_images():
    images = tiny.images(NUM_EXAMPLES)[..., :1]
    plain = views_of(images, **PLAIN)
    coloured = views_of(images, **PLAIN | {"channel_shift": 1, "grey_prob": 1.0})
    jax.tree.map(np.testing.assert_array_equal, plain, coloured)


def test_the_label_is_an_index_into_the_set_that_the_fields_choose():
    """Tiles of 5 pixels without a gap: which cell each shows, found by comparing."""
    changes = TIGHT | {"num_permutations": 24, "criterion": "minimum"}
    views = views_of(tiny.images(NUM_EXAMPLES), **changes)
    orders = permutations.permutation_set(24, criterion="minimum")
    for image, tiles, label in zip(views["image"], views["tiles"], views["label"], strict=True):
        whole = np.zeros((15, 15, 3), np.float32)
        for place, cell in enumerate(orders[label]):
            top, left = 5 * (cell // 3), 5 * (cell % 3)
            whole[top : top + 5, left : left + 5] = tiles[place]
        regions = [image[y : y + 15, x : x + 15] for y in range(2) for x in range(2)]
        assert any(np.array_equal(whole, region) for region in regions)


def test_records_that_hold_the_set_are_read():
    """Earlier versions kept the permutations among the fields."""
    config = jigsaw.Jigsaw(num_permutations=24)
    fields = jsonable.to_json(config)
    assert "permutations" not in fields
    older = fields | {"permutations": [[8, 7, 6, 5, 4, 3, 2, 1, 0]] * 24}
    assert jsonable.from_json(jigsaw.Jigsaw, older) == config


def test_a_set_that_there_is_none_of_is_refused():
    with pytest.raises(
        ValueError, match=r"permutation_set: count must be in \[2, 10000\]; got 1\."
    ):
        built(num_permutations=1)


def test_pictures_lay_the_tiles_as_predicted(monkeypatch):
    config, method = built(**TIGHT)
    orders = permutations.permutation_set(100)
    views = views_of(tiny.images(NUM_EXAMPLES), **TIGHT)
    predicted = (views["label"] + (np.arange(NUM_EXAMPLES) % 4 == 0)) % config.num_permutations
    monkeypatch.setattr(jigsaw, "_answer", lambda *_: jax.nn.one_hot(predicted, 100))
    pictures = method.show(None, None, jax.tree.map(jnp.asarray, views))
    (_, whole), (_, puzzle), (title, solved) = pictures
    np.testing.assert_array_equal(whole, views["image"])
    assert "(12 of 16 right)" in title
    for example in range(NUM_EXAMPLES):
        tiles = views["tiles"][example]
        order = orders[predicted[example]]
        for shown, cells in ((puzzle, range(9)), (solved, order)):
            expected = np.zeros((16, 16, 3), np.float32)
            for tile, cell in zip(tiles, cells, strict=True):
                top, left = 5 * (cell // 3), 5 * (cell % 3)
                expected[top : top + 5, left : left + 5] = tile
            np.testing.assert_array_equal(shown[example], expected)


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"tile_size": 84}, r"at most cell_size, .*; got 84 \+ 2 in a cell of 85"),
        ({"channel_shift": -1}, r"channel_shift at least 0 pixels; got 64 \+ -1"),
        ({"grey_prob": -0.1}, r"grey_prob must be in \[0, 1\]; got -0.1"),
    ],
)
def test_impossible_values_are_refused(changes, message):
    with pytest.raises(ValueError, match=f"Jigsaw: .*{message}"):
        jigsaw.Jigsaw(**changes)
