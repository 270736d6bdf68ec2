"""Images with masks: canvases made of items, and folders."""

import numpy as np
import pytest
from PIL import Image

from jaxssl import data
from jaxssl.data import canvases, masked, masks


@pytest.fixture
def items():
    """Twelve discs of 6 x 6 pixels, of three classes and grey values of their own."""
    rows, columns = np.mgrid[:6, :6] - 2.5
    disc = rows**2 + columns**2 < 7
    values = np.arange(100, 112, dtype=np.uint8)
    return values[:, None, None] * disc[None].astype(np.uint8), np.arange(12) % 3


def test_a_mask_is_exactly_where_an_item_is(items):
    images, labels = items
    drawn, found = canvases.draw(images, labels, 40, side=14, seed=3)
    assert drawn.shape == found.shape == (40, 14, 14)
    np.testing.assert_array_equal(drawn > 0, found > 0)
    np.testing.assert_array_equal(found[drawn > 0], 1 + labels[drawn[drawn > 0] - 100])
    # No pixel is covered: what is there of an item's value is whole discs.
    size = np.sum(images[0] > 0)
    counts = [np.bincount(canvas.ravel(), minlength=112)[100:] for canvas in drawn]
    assert all(count % size == 0 for each in counts for count in each)
    num_items = [sum(each) // size for each in counts]
    assert min(num_items) == 1 and max(num_items) == 4
    again, _ = canvases.draw(images, labels, 40, side=14, seed=3)
    np.testing.assert_array_equal(drawn, again)
    assert not np.array_equal(drawn, canvases.draw(images, labels, 40, side=14, seed=4)[0])


def test_what_cannot_be_drawn_is_named(items):
    with pytest.raises(ValueError, match=r"side must be at least 6; got 5\. An item must fit in"):
        canvases.draw(*items, 2, side=5)
    with pytest.raises(ValueError, match="count must be at least 1; got 0"):
        canvases.draw(*items, 0)


def test_canvases_of_a_split_hold_items_of_it(items, monkeypatch):
    images, labels = items
    opened = []

    def open_(self, split):
        opened.append(split)
        own = slice(0, 6) if split == "train" else slice(6, 12)
        return data.from_arrays(images[own], labels[own], class_names=("a", "b", "c"))

    monkeypatch.setattr(data.ImageData, "open", open_)
    monkeypatch.setattr(canvases, "NUM_OTHERS", 5)
    monkeypatch.setattr(canvases, "NUM_CANVASES", {"test": 3})
    canvases.open_split.cache_clear()
    try:
        sources = [
            masked.open_masked(canvases.NAME, split, image_size=None, channels=3)
            for split in ("train", "test")
        ]
        with pytest.raises(ValueError, match="--image-size must be 56 for fashion-mnist-canvas"):
            masked.open_masked(canvases.NAME, "test", image_size=28, channels=3)
    finally:
        canvases.open_split.cache_clear()
    train, test = sources
    assert opened == ["train", "test"]
    assert train.images.shape == (5, 56, 56, 3) and len(test) == 3
    assert set(np.unique(train.images)) <= {0, *range(100, 106)}
    assert set(np.unique(test.images)) <= {0, *range(106, 112)}
    assert train.class_names == ("background", "a", "b", "c")
    assert train.fingerprint != test.fingerprint


@pytest.fixture
def folder(tmp_path):
    """Two images of 12 x 8 pixels with masks, one of them in colours of a palette."""
    root = tmp_path / "scenes"
    for kind in ("images", "masks"):
        (root / "Training" / kind).mkdir(parents=True)
    for number in range(2):
        image = np.full((8, 12, 3), 100 * number, np.uint8)
        Image.fromarray(image).save(root / "Training" / "images" / f"{number}.jpg")
        mask = np.zeros((8, 12), np.uint8)
        mask[:, 6:] = 1 + number
        mask[:2] = 255
        masks.write(root / "Training" / "masks" / f"{number}.png", mask)
    Image.fromarray(mask).save(root / "Training" / "masks" / "1.png")
    return root


def open_train(folder, **options):
    return masked.open_masked(str(folder), "train", **{"image_size": 4, "channels": 1} | options)


def test_folders_hold_images_and_masks(folder):
    opened = open_train(folder)
    assert opened.images.shape == (2, 4, 4, 1) and opened.class_names is None
    expected = np.array([[255] * 4] + [[0, 0, 1, 1]] * 3)
    np.testing.assert_array_equal(opened.masks[0], expected)
    np.testing.assert_array_equal(opened.masks[1], np.where(expected == 1, 2, expected))
    (folder / "classes.txt").write_text("floor\nwall\ndoor\n")
    assert open_train(folder).class_names == ("floor", "wall", "door")


def test_a_written_mask_is_read_as_it_was(tmp_path):
    mask = np.arange(64, dtype=np.uint8).reshape(8, 8) * 4
    masks.write(tmp_path / "mask.png", mask)
    np.testing.assert_array_equal(masks.read(tmp_path / "mask.png", 8, what="mask"), mask)
    with Image.open(tmp_path / "mask.png") as image:
        colours = image.getpalette()[:12]
    assert colours == [0, 0, 0, 128, 0, 0, 0, 128, 0, 128, 128, 0]  # VOC's first four


def test_folders_that_cannot_be_read_are_named(folder, tmp_path):
    def refused(error, match, path=folder, **options):
        with pytest.raises(error, match=match):
            open_train(path, **options)

    refused(FileNotFoundError, "fashion-mnist-canvas or a folder of images", tmp_path / "none")
    refused(FileNotFoundError, r"must hold train/images/ and train/masks/; got scenes\.", tmp_path)
    refused(ValueError, "--image-size must be given for a folder", image_size=None)
    place = folder / "Training"
    Image.new("L", (8, 8)).save(place / "masks" / "1.png")
    refused(ValueError, r"1.png: must be a readable image; got 8 x 8 pixels for an image of 12 x 8")
    (place / "images" / "1.jpg").write_bytes(b"nothing")
    refused(ValueError, r"1.jpg must be a readable image; got content of no known image format")
    (place / "masks" / "1.png").unlink()
    refused(FileNotFoundError, r"every image must have a mask; got 1.jpg without")
    (place / "images" / "1.jpg").unlink()
    (folder / "classes.txt").write_text("floor")
    refused(ValueError, "must name every class, 2 at least; got 1 lines")
    (place / "images" / "0.jpg").unlink()
    refused(ValueError, "images must hold images; got none")
