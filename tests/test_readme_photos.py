"""README's command for a folder of photos, typed as it stands, on a folder as people have them."""

import json
import re
import shlex
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from jaxssl import checkpoints, cli

README = Path(__file__).parent.parent / "README.md"
NUM_PHOTOS = 100
SIDE = 40


def command():
    """The words behind ``jaxssl`` of the one command that pretrains on a folder."""
    block = re.search(r"## Pretrain, evaluate\n\n```bash\n(.*?)```", README.read_text(), re.S)[1]
    lines = block.replace("\\\n", "").splitlines()
    (line,) = (line for line in lines if "pretrain" in line and "my_photos/" in line)
    return shlex.split(line, comments=True)[1:]


def write_photos(folder):
    """A hundred photos in two classes, and one of each kind that used to go wrong."""
    random = np.random.default_rng(0)
    for number in range(NUM_PHOTOS):
        place = folder / ("cats", "dogs")[number % 2]
        place.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (SIDE // 8, SIDE // 8, 3), np.uint8)
        image = Image.fromarray(pixels).resize((SIDE + number % 5, SIDE), Image.Resampling.BICUBIC)
        image.save(place / f"{number:03d}.jpg")
    whole = (folder / "cats" / "000.jpg").read_bytes()
    (folder / "cats" / "truncated.jpg").write_bytes(whole[: len(whole) // 2])
    Image.fromarray(np.full((SIDE, SIDE), 128, np.uint8)).save(folder / "beside the folders.png")
    deep = np.linspace(0, 4095, SIDE * SIDE).reshape(SIDE, SIDE).astype(np.uint16)
    Image.fromarray(deep).save(folder / "dogs" / "x-ray.tif")
    Image.fromarray(deep).save(folder / "dogs" / "x-ray.png")
    palette = Image.fromarray(np.zeros((SIDE, SIDE), np.uint8), "P")
    palette.putpalette([255, 0, 0, 0, 255, 0])
    palette.save(folder / "cats" / "palette.png", transparency=bytes([0, 255]))


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore:'mode' parameter:DeprecationWarning")
@pytest.mark.usefixtures("standard_promotion")
def test_the_command_trains_on_a_folder_of_photos_as_people_have_them(
    tmp_path, monkeypatch, capfd, caplog
):
    monkeypatch.chdir(tmp_path)
    write_photos(tmp_path / "my_photos")
    assert cli.main(command()) == 0
    out, err = capfd.readouterr()
    out = " ".join(out.split())
    total = NUM_PHOTOS + 5
    kept = total // 5
    assert f"{total - kept} of {total} images; {kept} kept for evaluation" in out
    assert "views 96 x 96 x 3" in out and "--data.train-split all takes them too" in out
    assert "Warning" not in err
    meta = checkpoints.read_meta("runs/photos")
    fields = meta["config"]["encoder"]["fields"]
    assert len(fields["mean"]) == len(fields["std"]) == 3
    assert all(0.2 < value < 0.8 for value in fields["mean"])
    low, high = meta["config"]["data"]["fields"]["value_range"]
    assert low >= 0 and 3000 < high <= 4095
    lines = Path("runs/photos/metrics.jsonl").read_text().splitlines()
    rows = [json.loads(line) for line in lines]
    assert rows and all(np.isfinite(row["loss"]) for row in rows)
    assert caplog.text.count("truncated.jpg") == 1
    # Not every image has a class: evaluation says so, and pretraining did not ask.
    assert cli.main(["knn-eval", "runs/photos"]) == 2
    assert "beside the folders.png" in capfd.readouterr().err
