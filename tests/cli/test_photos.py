"""A folder of photos in one command: by a recipe, by names, and both."""

import dataclasses
import json
import re

import numpy as np
import pytest
from PIL import Image

from jaxssl import checkpoints, cli
from jaxssl.cli import parts_by_name
from jaxssl.runs import combining, pretrain, recipe

NUM_PHOTOS = 50  # of which 40 are for training
TINY = (
    "--encoder.width 16 --encoder.depth 1 --encoder.num-heads 2 --encoder.patch-size 8 "
    "--method.decoder-width 16 --method.decoder-depth 1 --method.decoder-heads 2 "
    "--data.image-size 16 --training.epochs 2 --optimizer.warmup-epochs 0 "
).split()

pytestmark = pytest.mark.usefixtures("standard_promotion")


@pytest.fixture
def asked(monkeypatch, tmp_path):
    """The recipe that a command would run, and what of mean and deviation it would measure."""

    def run(*words):
        seen = []
        with monkeypatch.context() as patch:
            patch.setattr(pretrain, "run", lambda *args, **_: seen.append(args))
            argv = ["pretrain", *words, "--out", str(tmp_path / "run"), "--data.path", "photos/"]
            assert cli.main(argv) == 0
        ((found, _, _, measured),) = seen
        return found, measured

    return run


def at(found):
    """A shipped recipe where the photos are."""
    return dataclasses.replace(found, data=dataclasses.replace(found.data, path="photos/"))


def test_recipes_and_names_are_the_same_commands(asked):
    dino = at(recipe.load("photos_dino")), ("mean", "std")
    assert asked("photos_dino") == asked("--method", "dino", "--encoder=vit-s/16") == dino
    larger = at(combining.combine("dino", "vit-b/16"))
    assert asked("photos_dino", "--encoder", "vit-b/16")[0] == larger
    assert asked("--encoder", "vit-b/16", "--method=dino")[0] == larger
    assert asked("mae_fashion_mnist", "--encoder", "vit-ti/7")[0].encoder.dimensions.width == 192


def test_views_follow_images_and_patches(asked, capsys):
    found, _ = asked("--method", "lejepa", "--encoder", "vit-s/16")
    assert (found.method.augment.size, found.method.augment.local.size) == (224, 96)
    assert "as patches ask: --method.augment.local.size 96\n" in capsys.readouterr().out
    found, _ = asked("photos_dino", "--data.image-size", "96")
    assert (found.method.augment.size, found.method.augment.local.size) == (96, 48)


def test_what_is_typed_is_left_to_nobody(asked):
    fit = recipe.load("photos_simclr").fit
    for words, open_ in (
        (("--training.batch-size", "32"), {"max_batch": None}),
        (("--training.micro-batch", "32"), {"max_batch": None}),
        (("--fit.max-batch", "128", "--training.batch-size", "32"), {"max_batch": 128}),
        (("--encoder.dtype", "float32"), {"dtype": None}),
        (("--data.channels", "3"), {"grey": False}),
        (("--encoder.mean", "0.5"), {"moments": ("std",), "grey": False}),
    ):
        assert asked("photos_simclr", *words)[0].fit == dataclasses.replace(fit, **open_)
    assert asked("photos_simclr", "--encoder.mean", "0.5")[1] == ("std",)


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["photos_mae"], r"data\.path: must name images, such as a folder .* Set --data\.path"),
        (["photos_mae", "--encoder", "resnet-50"], r"MAE: the encoder must be a ViT.* got ResNet"),
        (["photos_mae", "--encoder", "vit-s16"], r"'vit-s16'\. Did you mean \"vit-s/16\"\?"),
        (["photos_mae", "--encoder"], r"--encoder: must be followed by a name, such as resnet-50"),
        (["photos_mae", "--encoder", "--out"], r"--encoder: must be followed by a name"),
        (["photos_mae", "--method", "dino"], r"--method dino: must come without .* got photos_mae"),
        (["--encoder", "vit-s/16"], r"--encoder vit-s/16: must come with a recipe, or with --meth"),
        (["--method", "dinno", "--encoder", "vit-s/16"], r"'dinno'\. Did you mean \"dino\"\?"),
        (["--method", "mae", "--encoder", "resnet-18"], r"MAE: the encoder must be a ViT"),
        (["bert_python", "--encoder", "vit-s/16"], r"one network of images; got a TextTransformer"),
        (["--method", "byol", "--encoder", "resnet-18", "--method.mask-ratio", "0.5"],
         r"--method\.mask-ratio: no such option"),
    ],
)  # fmt: skip
def test_what_cannot_be_is_one_line(refused, tmp_path, words, text):
    line = refused("pretrain", *words, "--out", tmp_path / "run")
    assert re.search(text, line), line
    assert not (tmp_path / "run").exists()


def test_names_are_taken_out_of_a_line_wherever_they_stand():
    line = ["--out", "x", "--method=mae", "--method.mask-ratio", "0.5", "--encoder", "vit-s/8"]
    taken = parts_by_name.take(line)
    assert taken == ("mae", "vit-s/8", ["--out", "x", "--method.mask-ratio", "0.5"])


@pytest.mark.slow
def test_a_folder_of_grey_photos_from_names_to_a_run_that_goes_on(tmp_path, capsys):
    random = np.random.default_rng(0)
    for number in range(NUM_PHOTOS):
        place = tmp_path / "photos" / f"{number % 3}" / "deep"
        place.mkdir(parents=True, exist_ok=True)
        pixels = random.integers(0, 256, (20, 24), np.uint8)
        Image.fromarray(pixels).convert("RGB").save(place / f"{number}.png")
    argv = ["pretrain", "--method", "mae", "--encoder", "vit-ti/16", *TINY]
    argv += ["--data.path", str(tmp_path / "photos"), "--out", str(tmp_path / "run")]
    assert cli.main(argv) == 0
    out = capsys.readouterr().out
    assert "--data.channels 1: of 40 images looked at, none holds a colour" in out
    assert "--training.batch-size 32: there are 40 images" in out
    assert "--encoder.mean and --encoder.std: measured on 40 of 40 images" in out
    meta = checkpoints.read_meta(tmp_path / "run")
    config = meta["config"]
    fields = config["encoder"]["fields"]
    assert (config["training"]["batch_size"], config["data"]["fields"]["channels"]) == (32, 1)
    assert fields["dtype"] == "float32" and len(fields["mean"]) == len(fields["std"]) == 1
    assert "fit" not in config and meta["step"] == 2
    written = json.loads((tmp_path / "run" / "config.json").read_text())
    assert written["config"] == config
    assert cli.main(argv) == 0
    assert "resuming after step 2 of 2" in capsys.readouterr().out
