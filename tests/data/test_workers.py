import dataclasses
import logging
import os
import pickle
import subprocess
import sys
import textwrap
import time

import numpy as np
import pytest
from PIL import Image

from jaxssl import data
from jaxssl.augment import policies
from jaxssl.data import imagefiles, readable, stream, workers
from jaxssl.data import source as source_lib

NUM_IMAGES = 20


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Labelled JPEGs, each of another picture."""
    folder = tmp_path_factory.mktemp("photos")
    random = np.random.default_rng(0)
    for number in range(NUM_IMAGES):
        place = folder / ("cat" if number % 2 else "dog")
        place.mkdir(exist_ok=True)
        pixels = random.integers(0, 256, (20, 30, 3), np.uint8)
        Image.fromarray(pixels).save(place / f"{number:02}.jpg")
    return folder


def opened(folder, **fields):
    return data.ImageData(str(folder), 16, 3, "all", **fields).open("all")


def loader(source, num_workers, **options):
    return data.Loader(source, batch_size=6, seed=3, num_workers=num_workers, **options)


def assert_equal(batch, other):
    assert batch.keys() == other.keys()
    for name, column in batch.items():
        pairs = zip(
            getattr(column, "groups", (column,)), getattr(other[name], "groups", (other[name],))
        )
        for ours, theirs in pairs:
            np.testing.assert_array_equal(ours, theirs)


@pytest.mark.parametrize("crops", [(), policies.dino(16, local_size=8).host_crops()])
def test_processes_give_the_batches_of_threads(photos, crops):
    source = opened(photos)
    options = {"labels": True, "crops": crops, "process": (1, 2)}
    with loader(source, 0, **options) as threads, loader(source, 2, **options) as processes:
        for step in (0, 1, 2, 3, 9, 4):  # on, and elsewhere
            assert_equal(processes.batch(step), threads.batch(step))


def broken(photos, folder, count):
    """A copy of the photos, of which some are no images."""
    for path in sorted(photos.rglob("*.jpg")):
        copy = folder / path.relative_to(photos)
        copy.parent.mkdir(exist_ok=True)
        copy.write_bytes(path.read_bytes())
    for path in sorted(folder.rglob("*.jpg"))[:count]:
        path.write_bytes(b"no image")


def test_what_cannot_be_read_is_replaced_counted_and_said_once(photos, tmp_path, caplog):
    broken(photos, tmp_path, 2)
    with loader(opened(tmp_path, max_unreadable=0.1), 0) as threads:
        expected = [threads.batch(step) for step in range(6)]
    caplog.clear()
    source = opened(tmp_path, max_unreadable=0.1)
    with caplog.at_level(logging.WARNING), loader(source, 2) as processes:
        for step, batch in enumerate(expected):
            assert_equal(processes.batch(step), batch)
    said = [record.getMessage() for record in caplog.records if "cannot be read" in record.msg]
    assert len(said) == 2 and len(source_lib.account_of(source).unreadable) == 2


def test_too_many_that_cannot_be_read_over_all_processes_end_a_run(photos, tmp_path):
    broken(photos, tmp_path, 6)
    # Each process alone may see fewer than that.
    with loader(opened(tmp_path, max_unreadable=0.25), 3) as processes:
        with pytest.raises(ValueError, match=r"at most 5 \(25 %\) may be unreadable; got 6"):
            for step in range(6):
                processes.batch(step)


@dataclasses.dataclass(frozen=True, eq=False)
class Strange(source_lib.Wrapped):
    """A source with something else about it."""

    about: object

    def __len__(self):
        return len(self.source)

    def __getitem__(self, index):
        if self.about == "ends":
            os._exit(9)
        raise KeyError(f"row {index} of {os.getpid()}")


def test_a_source_that_cannot_be_sent_is_refused(photos):
    strange = Strange(opened(photos), lambda: None)
    with pytest.raises(ValueError, match=r"num_workers must be 0 .* got 2 for .*local.*Leave it"):
        loader(strange, 2).batch(0)


def test_an_error_reaches_the_one_who_asks(photos):
    strange = loader(Strange(opened(photos), None), 2)
    with pytest.raises(KeyError, match="row") as caught:
        strange.batch(0)
    assert str(os.getpid()) not in str(caught.value)


def test_a_process_that_ends_is_missed(photos):
    with pytest.raises(
        OSError, match=r"a process that decodes images ended .* --data\.num-workers"
    ):
        loader(Strange(opened(photos), "ends"), 2).batch(0)


def test_the_bound_on_pixels_is_that_of_the_run(photos, monkeypatch):
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", Image.MAX_IMAGE_PIXELS)  # and back at the end
    source = opened(photos, max_pixels=10**9)
    examples = stream.Stream(source, 6, seed=0, first=0, local_size=6, labels=False, crops=())
    processes = workers.Workers(examples, start=0, num_workers=1, num_ahead=6)
    assert processes._pool.submit(imagefiles.allowed_pixels).result() == 10**9
    processes.close()


@pytest.mark.parametrize(
    "wrap", [lambda source: source, lambda source: source_lib.Subset(source, np.arange(9))]
)
def test_the_readable_is_found_inside(photos, wrap):
    source = opened(photos)
    assert readable.inside(wrap(source)) is source
    assert readable.inside(source.source) is None


def test_an_unreadable_image_is_the_same_elsewhere():
    error = source_lib.UnreadableError("a.jpg", OSError("cut off"))
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.example, copy.reason) == (str(error), "a.jpg", "cut off")


def test_processes_end_with_the_one_that_asks(photos):
    program = f"""
        from jaxssl import data

        if __name__ == "__main__":
            source = data.ImageData({str(photos)!r}, 16, 3, "all").open("all")
            loader = data.Loader(source, batch_size=6, seed=0, num_workers=2)
            loader.batch(0)
            print(*[process for process in loader._ahead._pool._processes], flush=True)
            input()
    """
    with subprocess.Popen(
        [sys.executable, "-c", textwrap.dedent(program)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        text=True,
    ) as run:
        children = [int(word) for word in run.stdout.readline().split()]
        run.kill()
    assert len(children) == 2
    for _ in range(100):
        if not any(map(alive, children)):
            return
        time.sleep(0.1)
    pytest.fail("the processes outlive the one that asked")


def alive(process):
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return False
    with open(f"/proc/{process}/stat") as file:
        return file.read().split()[2] != "Z"
