"""A tiny run to draw, and what is looked at in a picture."""

import io
import shutil

import jax
import numpy as np
import pytest
import tiny
from PIL import Image
from rich.console import Console

from jaxssl import models
from jaxssl.data import ImageData
from jaxssl.report import canvas
from jaxssl.runs import pretrain
from jaxssl.runs.recipe import Recipe
from jaxssl.training import optimizers
from jaxssl.training.config import RunConfig, TrainingConfig

ENCODER = models.ViTConfig(width=16, depth=1, num_heads=2, patch_size=2, pool="mean")


def config_of(path):
    return Recipe(
        method=tiny.method("MAE"),
        encoder=ENCODER,
        data=ImageData(path=str(path), image_size=tiny.SIZE, channels=3),
        optimizer=optimizers.OptimizerConfig(warmup_epochs=0),
        training=TrainingConfig(batch_size=8, epochs=1),
        run=RunConfig(log_every=1),
    )


@pytest.fixture
def config():
    """The recipe of the run."""
    return config_of("unused")


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A run of two steps on sixteen images."""
    folder = tmp_path_factory.mktemp("report")
    images, labels = tiny.images(24), np.arange(24) % 3
    arrays = {"train_images": images[:16], "train_labels": labels[:16]}
    arrays |= {"test_images": images[16:], "test_labels": labels[16:]}
    np.savez(folder / "blocks.npz", **arrays)
    # optax relies on implicit promotion in its bias correction.
    with jax.numpy_dtype_promotion("standard"):
        pretrain.run(config_of(folder / "blocks.npz"), folder / "run", Console(file=io.StringIO()))
    return folder / "run"


@pytest.fixture(scope="module")
def run(trained, tmp_path_factory):
    """The same, for one file of tests to evaluate and draw."""
    return shutil.copytree(trained, tmp_path_factory.mktemp("report") / "run")


@pytest.fixture
def names():
    """Names of files, the pictures among them checked for not being blank."""
    return checked_names


def checked_names(paths):
    for path in paths:
        if path.suffix == ".png":
            with Image.open(path) as image:
                assert image.format == "PNG"
                assert 150 < min(image.size) and max(image.size) < 2000
                assert np.ptp(np.asarray(image.convert("L"))) > 100, f"{path} is blank"
        elif path.suffix == ".svg":
            drawing = path.read_text()
            assert "<image " in drawing or 'id="line2d_' in drawing, f"{path} is blank"
    return {path.name for path in paths}


@pytest.fixture
def pixels():
    """A PNG as an array, checked for size and for not being blank."""
    return checked_pixels


def checked_pixels(path):
    with Image.open(path) as image:
        assert image.format == "PNG"
        values = np.asarray(image.convert("RGB"))
    assert 150 < min(values.shape[:2]) and max(values.shape[:2]) < 2000
    assert 0.005 < np.mean(values != 255) < 0.95
    return values


@pytest.fixture
def drawn(monkeypatch):
    """Figures in the order in which they are saved."""
    figures, save = [], canvas.save
    monkeypatch.setattr(canvas, "save", lambda f, path: (figures.append(f), save(f, path)))
    return figures
