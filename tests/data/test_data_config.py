"""What a config says of a data set, reads of old records, and makes of an encoder's inputs."""

import dataclasses
import json
from typing import NamedTuple

import pytest
import tyro

from jaxssl import data, named


class Input(NamedTuple):
    name: str
    shape: tuple[int, ...]


@pytest.mark.parametrize(
    "config",
    [
        data.ImageData("digits", 8, 1, data_dir="somewhere"),
        data.ClipData("film.mp4", 8, 3, num_frames=4, clip_rate=25.0),
        data.ClipData("photographs", 32, 3),
    ],
    ids=lambda config: config.path,
)
def test_configs_survive_json(config):
    assert data.from_json(json.loads(json.dumps(named.to_json(config)))) == config


def test_every_field_is_overridden_and_explained_on_the_command_line(capsys):
    default = data.ImageData("digits", 8, 1)
    changed = tyro.cli(data.ImageData, default=default, args=["--path", "x", "--image-size", "9"])
    assert changed == data.ImageData("x", 9, 1)
    with pytest.raises(SystemExit):
        tyro.cli(data.ImageData, default=default, args=["--help"])
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for words in ("a known name", "cropped in the centre", "1 for grey", "every image", "threads"):
        assert words in shown
    assert "clip" not in shown


def test_clips_are_cut_by_options_of_their_own(capsys):
    default = data.ClipData("film.mp4", 8, 1)
    changed = tyro.cli(data.ClipData, default=default, args=["--num-frames", "4"])
    assert changed == data.ClipData("film.mp4", 8, 1, num_frames=4)
    with pytest.raises(SystemExit):
        tyro.cli(data.ClipData, default=default, args=["--help"])
    shown = " ".join(capsys.readouterr().out.replace("│", " ").split())
    for words in ("frames of a clip", "whatever the rate of the file", "they may overlap"):
        assert words in shown


@pytest.mark.parametrize("kind", [data.ImageData, data.ClipData])
@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"image_size": 0}, "image_size must be at least 1; got 0"),
        ({"channels": 33}, r"channels must be in \[1, 32\]; got 33\. 1 is grey"),
        ({"num_threads": 0}, "num_threads must be at least 1; got 0"),
        ({"num_workers": -1}, "num_workers must be at least 0; got -1"),
        ({"crops": "both"}, "crops must be one of None, 'host', 'device'; got 'both'"),
    ],
)
def test_configs_refuse_what_cannot_be(kind, change, message):
    with pytest.raises(ValueError, match=rf"{kind.__name__}: {message}"):
        kind(**{"path": "digits", "image_size": 8, "channels": 1, **change})


@pytest.mark.parametrize(
    ("fields", "message"),
    [
        ({"num_frames": 0}, r"ClipData: num_frames must be at least 1; got 0"),
        ({"frame_rate": 0.0}, r"ClipData: frame_rate must be finite and above 0.*; got 0\.0"),
        ({"clip_rate": -1.0}, r"ClipData: clip_rate must be finite and above 0.*; got -1\.0"),
    ],
)
def test_clips_that_cannot_be(fields, message):
    with pytest.raises(ValueError, match=message):
        data.ClipData("film.mp4", 8, 3, **fields)


def test_examples_are_called_what_they_are():
    assert data.ImageData("digits", 8, 1).unit == "images"
    assert data.ClipData("photographs", 8, 1).unit == "images"
    assert data.ClipData("film.mp4", 8, 1, num_frames=2).unit == "clips"


OLD = {
    "path": "film.mp4",
    "image_size": 28,
    "channels": 1,
    "train_split": "all",
    "test_split": "test",
    "data_dir": None,
    "num_threads": 4,
    "in_memory": True,
    "num_frames": 1,
    "frame_rate": 6.0,
    "clip_rate": None,
}
IMAGES = data.ImageData(
    "film.mp4", 28, 1, "all", num_threads=4, in_memory=True, crops="device"
)  # there were no others


@pytest.mark.parametrize("gone", [(), ("clip_rate",), ("num_frames", "frame_rate", "clip_rate")])
def test_old_records_without_clips_are_of_images(gone):
    fields = {name: value for name, value in OLD.items() if name not in gone}
    assert data.from_old_fields(fields) == IMAGES
    assert data.from_json(fields) == IMAGES


@pytest.mark.parametrize("change", [{"num_frames": 4}, {"frame_rate": 12.5}, {"clip_rate": 25.0}])
def test_old_records_of_films_keep_how_they_were_read(change):
    expected = data.ClipData(**dataclasses.asdict(IMAGES), **change)
    assert data.from_old_fields(OLD | change) == expected


def test_a_field_that_there_never_was_is_named():
    with pytest.raises(ValueError, match=r'got \'imagesize\'. Did you mean "image_size"\?'):
        data.from_old_fields(OLD | {"imagesize": 3})


@pytest.mark.parametrize("kind", [data.ImageData, data.ClipData])
def test_data_are_brought_to_what_an_encoder_is_fed(kind):
    config = kind("digits", 8, 1, "all", num_threads=2)
    inputs = [Input("tokens", (5,)), Input("image", (16, 16, 3))]
    matched = config.matching(inputs)
    assert matched == kind("digits", 16, 3, "all", num_threads=2)
    assert matched.open("test")[0]["image"].shape == (16, 16, 3)


def test_clips_are_brought_to_single_frames_at_their_rate():
    config = data.ClipData("film.mp4", 8, 3, num_frames=4, frame_rate=12.5, clip_rate=2.0)
    expected = dataclasses.replace(config, num_frames=1, image_size=16)
    assert config.matching([Input("image", (16, 16, 3))]) == expected


@pytest.mark.parametrize(
    ("inputs", "got"),
    [
        ([], "nothing"),
        ([Input("tokens", (64,))], r"tokens \[64\]"),
        ([Input("image", (16, 8, 3))], r"image \[16, 8, 3\]"),
        ([Input("image", (4, 16, 16, 3))], r"image \[4, 16, 16, 3\]"),
    ],
)
def test_images_fit_no_encoder_of_another_kind(inputs, got):
    message = rf'ImageData: the encoder must be fed an "image" \[S, S, C\]; got {got}\. Name data'
    with pytest.raises(ValueError, match=message):
        data.ImageData("digits", 8, 1).matching(inputs)


def test_a_data_set_may_have_moved():
    config = data.ImageData("digits", 8, 1)
    assert data.elsewhere(config, None) is config
    assert data.elsewhere(config, "other.npz") == data.ImageData("other.npz", 8, 1)

    @dataclasses.dataclass(frozen=True)
    class Generated:
        seed: int = 0

    assert data.elsewhere(Generated(), None) == Generated()
    with pytest.raises(
        ValueError, match=r"--data-path: must be left out for Generated, .* got x\."
    ):
        data.elsewhere(Generated(), "x")
