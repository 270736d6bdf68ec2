"""What a recipe leaves to data and machine."""

import contextlib
import dataclasses

import jax
import numpy as np
import pytest

from jaxssl import checkpoints, data
from jaxssl.runs import fitting, recipe
from jaxssl.runs.directory import RunDirectory
from jaxssl.training import memory

PHOTOS = "photos_mae"


@pytest.fixture(scope="module")
def photos():
    return recipe.load(PHOTOS)


@pytest.mark.parametrize(("platform", "dtype"), [("cpu", "float32"), ("gpu", "bfloat16")])
def test_an_accelerator_computes_in_bfloat16(photos, tmp_path, monkeypatch, platform, dtype):
    monkeypatch.setattr(jax, "default_backend", lambda: platform)
    directory = RunDirectory(tmp_path)
    assert fitting.begin(photos, directory).encoder.dtype == dtype
    closed = dataclasses.replace(photos, fit=dataclasses.replace(photos.fit, dtype=None))
    assert fitting.begin(closed, directory) == closed
    assert fitting.begin(recipe.load("mae_fashion_mnist"), directory).encoder.dtype == "float32"


GREY = [{"name": "image", "shape": [8, 8, 1], "dtype": "float32"}]


@pytest.mark.parametrize(
    "of_start",
    [{"config": {"data": {"fields": {"channels": 1}}}}, {"origin": {}, "inputs": GREY}],
    ids=["trained", "imported"],
)
def test_a_run_that_begins_with_another_ones_encoder_has_its_channels(
    photos, tmp_path, monkeypatch, of_start
):
    monkeypatch.setattr(checkpoints, "read_meta", lambda *_: of_start)
    asked = dataclasses.replace(photos, start=recipe.Start("elsewhere"))
    found = fitting.begin(asked, RunDirectory(tmp_path))
    assert found.data.channels == 1
    assert fitting.settle_channels(found, images()) == (found, "")


def images(*colored):
    """Images of three channels, some of them with a red pixel."""
    made = np.tile(np.arange(64, dtype=np.uint8).reshape(1, 8, 8, 1), (6, 1, 1, 3))
    made[list(colored), 0, 0] = 255, 0, 0
    return data.from_arrays(made)


def test_grey_images_are_read_with_one_channel(photos):
    found, line = fitting.settle_channels(photos, images())
    assert found.data == dataclasses.replace(photos.data, channels=1)
    assert line == "--data.channels 1: of 6 images looked at, none holds a colour"
    assert fitting.settle_channels(photos, images(4)) == (photos, "")
    color = dataclasses.replace(photos.encoder, color_space="lab")
    for asked in (
        dataclasses.replace(photos, encoder=color),
        dataclasses.replace(photos, fit=None),
        dataclasses.replace(photos, fit=dataclasses.replace(photos.fit, grey=False)),
    ):
        assert fitting.settle_channels(asked, images()) == (asked, "")


@pytest.fixture
def asked(photos, monkeypatch):
    """The batch and the line of a device of so many examples; a footprint is a byte an example."""
    monkeypatch.setattr(memory, "SHARE", 1.0)

    def footprint(job, batch_size):
        return memory.Footprint(0, 0, 0, 0, activations=batch_size)

    monkeypatch.setattr(memory, "footprint", footprint)

    @contextlib.contextmanager
    def make_job(batch_size):
        yield _Job(_Plan(batch_size))

    def settle(num_examples, *, holds=None, **fit):
        run = dataclasses.replace(photos.run, device_memory_gb=None if not holds else holds / 1e9)
        changed = dataclasses.replace(photos.fit, **fit)
        changed = dataclasses.replace(photos, run=run, fit=changed)
        return fitting.settle_batch(changed, num_examples, make_job)

    return settle


@dataclasses.dataclass(frozen=True)
class _Plan:
    batch_size: int


@dataclasses.dataclass(frozen=True)
class _Job:
    plan: _Plan


def test_a_cpu_keeps_the_recipes_batch(asked):
    assert asked(10**6) == (64, "")


def test_fewer_images_than_a_batch_are_enough(asked):
    assert asked(40) == (32, "--training.batch-size 32: there are 40 images")
    assert asked(5)[0] == 8  # eight devices share no fewer
    assert asked(40, max_batch=None) == (64, "")


@pytest.mark.parametrize(
    ("num_examples", "holds", "batch_size"),
    [
        (10**6, 1500, 1024),
        (10**6, 10**6, 4096),  # no more than was published
        (10_000, 10**6, 512),  # an epoch keeps 16 steps
        (100, 10**6, 64),
        (10**6, 30, 16),
        (10**6, 2, 8),  # refused by the plan of the run, with what would help
    ],
)
def test_the_batch_is_what_a_device_holds(asked, num_examples, holds, batch_size):
    found, line = asked(num_examples, holds=holds)
    assert found == batch_size
    assert line == (
        f"--training.batch-size {batch_size}: what {holds / 1e9:.1f} GB a device hold, of at most "
        f"4096 and of {num_examples:,} images"
    )


def test_a_settled_recipe_leaves_nothing_open(photos):
    found = fitting.with_batch(photos, 128)
    assert found.training.batch_size == 128 and found.fit is None
    with pytest.raises(ValueError, match=r"^Fit: max_batch must be at least 1; got 0"):
        recipe.Fit(max_batch=0)
