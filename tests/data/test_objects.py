import io

import numpy as np
import pytest
from PIL import Image

from jaxssl import data
from jaxssl.augment import policies
from jaxssl.data import readable, transforms

SHAPE = {"image_size": 6, "channels": 3}
PIXELS = np.random.default_rng(0).integers(0, 256, (5, 9, 12, 3), np.uint8)


class Dataset:
    """As torchvision's are: pairs of image and label, and both lists."""

    targets = (0, 2, 1, 2, 0)
    classes = ("cat", "dog", "cow")

    def __len__(self):
        return len(PIXELS)

    def __getitem__(self, index):
        return Image.fromarray(PIXELS[index]), self.targets[index]


def stored(pixels):
    content = io.BytesIO()
    Image.fromarray(pixels).save(content, "PNG")
    return content.getvalue()


def expected(index):
    return transforms.decode(stored(PIXELS[index]), **SHAPE)


def test_pairs_with_their_classes():
    source = data.from_dataset(Dataset(), **SHAPE)
    assert len(source) == 5 and source.labelled and source.class_names == ("cat", "dog", "cow")
    assert [source[row]["label"] for row in range(5)] == [0, 2, 1, 2, 0]
    np.testing.assert_array_equal(source[3]["image"], expected(3))


FORMS = {
    "pillow": lambda path: Image.fromarray(PIXELS[0]),
    "array": lambda path: PIXELS[0],
    "content": lambda path: stored(PIXELS[0]),
    "path": lambda path: path,
    "a mapping": lambda path: {"img": Image.fromarray(PIXELS[0]), "label": 1},
    "a tuple": lambda path: (PIXELS[0], 7, "more"),
}


@pytest.mark.parametrize("form", FORMS)
def test_items_of_every_form_are_the_same_image(form, tmp_path):
    (tmp_path / "a.png").write_bytes(stored(PIXELS[0]))
    source = data.from_dataset([FORMS[form](tmp_path / "a.png")], **SHAPE)
    np.testing.assert_array_equal(source[0]["image"], expected(0))
    assert not source.labelled and set(source[0]) == {"image"}
    assert source.fingerprint == data.from_dataset([PIXELS[0]], **SHAPE).fingerprint


@pytest.mark.parametrize("workers", [0, 1])
def test_training_cuts_crops_out_of_the_whole_image(workers):
    source = data.from_dataset([*PIXELS], **SHAPE)
    assert data.can_crop(source)
    asked = policies.simclr(4).host_crops()
    with data.Loader(source, batch_size=2, seed=0, crops=asked, num_workers=workers) as loader:
        batch = loader.batch(0)
    (group,), row = batch["image"].groups, batch["index"][0]
    cut = data.crops.draw(asked, seed=0, step=0, position=0)
    np.testing.assert_array_equal(group[0], cut.decode(stored(PIXELS[row]), channels=3).groups[0])


def test_other_channels_and_numbers():
    random = np.random.default_rng(0).integers(0, 4000, (3, 8, 8, 13), np.uint16)
    source = data.from_dataset([*random], image_size=8, channels=13, value_range=(0, 4000))
    np.testing.assert_array_equal(source[1]["image"], data.scaled(random[1], (0, 4000)))


def test_grey_and_colour_become_each_other():
    grey = data.from_dataset([Image.fromarray(PIXELS[0, ..., 0])], **SHAPE)[0]["image"]
    np.testing.assert_array_equal(grey[..., 0], grey[..., 2])
    assert data.from_dataset([*PIXELS], image_size=6, channels=1)[0]["image"].shape == (6, 6, 1)


def test_an_item_that_cannot_be_read_is_unreadable():
    broken = data.from_dataset([stored(PIXELS[0]), b"nothing", stored(PIXELS[2])], **SHAPE)
    source = readable.Readable(broken, 0.5)
    np.testing.assert_array_equal(source[1]["image"], expected(2))
    assert source.account.unreadable == ("dataset[1]",)


def test_the_content_has_a_fingerprint():
    prints = {
        data.from_dataset([*part], **SHAPE).fingerprint
        for part in (PIXELS, PIXELS[:4], PIXELS[::-1])
    }
    assert len(prints) == 3
    first, second = (data.from_dataset([*PIXELS], **SHAPE).identities() for _ in range(2))
    assert first == second and len(set(first)) == 5


@pytest.mark.parametrize(
    ("items", "fields", "message"),
    [
        ([], {}, "must have an item at least"),
        ([{"a": 1, "b": 2}], {}, 'the first item of dataset: a mapping without "image", with a, b'),
        (["nowhere.png"], {}, "the first item of dataset: .*nowhere.png"),
        ([7], {}, r"an image must be Pillow's.*got int of shape \[\]"),
        ([PIXELS[0], PIXELS[1]], {"labels": [0]}, "got 2 examples and 1 labels"),
        ([PIXELS[0]], {"labels": [5], "class_names": "ab"}, "below the number of class names, 2"),
        ([np.zeros((3, 40, 40), np.float32)], {}, "channels come last.*Leave transforms such as"),
        ([np.zeros((8, 8, 5), np.uint8)], {}, r"5 channels, where 3 are read"),
    ],
)
def test_what_cannot_be_is_refused(items, fields, message):
    with pytest.raises(ValueError, match=message):
        data.from_dataset(items, **SHAPE, **fields)
