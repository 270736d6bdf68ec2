"""Who makes the crops of a run: by default, as asked for, as recorded; and who is refused."""

import dataclasses
from typing import ClassVar

import numpy as np
import pytest
import tiny
import tiny_runs
from PIL import Image

from jaxssl import checkpoints, cli, data
from jaxssl.augment import policies
from jaxssl.methods.autoencoder import Autoencoder
from jaxssl.methods.jigsaw import Jigsaw
from jaxssl.methods.rotation import Rotation
from jaxssl.runs import host_crops, recipe, record
from jaxssl.runs.directory import RunDirectory

MAE, DINO = "mae_fashion_mnist", "dino_fashion_mnist"
SHORT = ("--training.epochs", 0.5, "--optimizer.warmup-epochs", 0)


@dataclasses.dataclass(frozen=True)
class Looking(Autoencoder):
    """A method that reads more of an image than what its augmentation makes of it."""

    WHOLE_IMAGE: ClassVar[bool] = True


@pytest.fixture(scope="module")
def photos(tmp_path_factory):
    """Pictures of half again the width, in two splits."""
    folder = tmp_path_factory.mktemp("photos")
    for number, pixels in enumerate(tiny.images(40)):
        place = folder / ("train" if number < 32 else "test")
        place.mkdir(exist_ok=True)
        wide = np.concatenate([pixels, pixels[:, :8]], axis=1)
        Image.fromarray(wide).save(place / f"{number}.png")
    return folder


def words(name, folder, out, *more):
    return tiny_runs.words(name, folder, out, *SHORT, *more)


def settled(photos, method, tmp_path, **fields):
    config = data.ImageData(str(photos), 16, 3, **fields)
    asked = dataclasses.replace(recipe.load(MAE), method=method, data=config)
    source = config.open(config.train_split)
    return host_crops.settle(asked, source, RunDirectory(tmp_path / "new"))


@pytest.mark.usefixtures("standard_promotion")
def test_a_run_on_a_folder_records_its_crops_and_goes_on_with_no_others(photos, tmp_path, capsys):
    out = tmp_path / "run"
    assert cli.main(words(MAE, photos, out)) == 0
    said = " ".join(capsys.readouterr().out.split())
    assert "cut out of whole images (--data.crops host)" in said
    assert checkpoints.read_meta(out)["config"]["data"]["fields"]["crops"] == "host"
    assert cli.main(words(MAE, photos, out, "--data.crops", "device")) == 2
    assert "data.fields.crops (device, host)" in capsys.readouterr().err


@pytest.mark.slow
@pytest.mark.usefixtures("standard_promotion")
@pytest.mark.parametrize("crops", ["host", "device"])
def test_views_of_two_sizes_are_trained_on(crops, photos, tmp_path):
    options = ("--data.crops", crops, "--run.backend", "jit")
    assert cli.main(words(DINO, photos, tmp_path / "run", *options)) == 0
    assert checkpoints.read_meta(tmp_path / "run")["config"]["data"]["fields"]["crops"] == crops


@pytest.mark.parametrize("is_recorded", [True, False])
def test_a_run_goes_on_as_recorded_and_those_from_before_on_the_device(
    is_recorded, photos, tmp_path, monkeypatch
):
    shipped = recipe.load(MAE)
    fields = {"crops": "device"} if is_recorded else {}
    config = record.to_json(
        dataclasses.replace(shipped, data=dataclasses.replace(shipped.data, **fields))
    )
    if not is_recorded:
        del config["data"]["fields"]["crops"]
    monkeypatch.setattr(checkpoints, "complete_steps", lambda path: (2,))
    monkeypatch.setattr(checkpoints, "read_meta", lambda path: {"config": config})
    found = settled(photos, Rotation(), tmp_path).data
    assert found.crops == "device"
    assert host_crops.leave_open(found).crops is None  # of a run that begins with this one


@pytest.mark.parametrize(
    "method, fields, expected",
    [
        (Rotation(), {}, "host"),
        (Rotation(), {"crops": "device"}, "device"),
        (Rotation(), {"in_memory": True}, "device"),
        (Jigsaw(), {}, "device"),  # its crop is a fixed part of a picture that was resized
        (Jigsaw(), {"crops": "host"}, "host"),
        (Looking(), {}, "device"),
        (Rotation(policies.PadCropFlip()), {}, "device"),
    ],
)
def test_the_host_makes_them_where_it_can(method, fields, expected, photos, tmp_path):
    assert settled(photos, method, tmp_path, **fields).data.crops == expected


@pytest.mark.parametrize(
    "method, fields, message",
    [
        (
            Rotation(),
            {"in_memory": True},
            r"--data\.crops host: the data must be images in files .* got .*photos.*, which holds "
            r"them as arrays of 16 pixels\. Use --data\.crops device, or leave --data\.in-memory ",
        ),
        (
            Rotation(policies.PadCropFlip()),
            {},
            r"--data\.crops host: the views of the method must begin with a random crop and need "
            r"no more of an image; got Rotation with PadCropFlip\. Use --data\.crops device\.",
        ),
        (Looking(), {}, r"got Looking\. Use --data\.crops device\."),
    ],
)
def test_where_it_cannot_one_line_says_so(method, fields, message, photos, tmp_path):
    with pytest.raises(ValueError, match=message):
        settled(photos, method, tmp_path, crops="host", **fields)
