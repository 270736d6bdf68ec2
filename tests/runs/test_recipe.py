"""Shipped recipes and recipes as JSON."""

import dataclasses
import importlib
import os
import re
import shutil
import subprocess
import sys
import typing
from pathlib import Path

import jax
import numpy as np
import parity
import pytest
import tiny
import tiny_runs

import jaxssl
from jaxssl import cli, data
from jaxssl.runs import pretrain, recipe, record, tokenizer
from jaxssl.training import optimizers

NAMES = tiny_runs.NAMES


@pytest.mark.parametrize("name", NAMES)
def test_shipped_recipes_are_the_same_by_name_and_by_path(name):
    config = recipe.load(name)
    assert isinstance(config, recipe.Recipe)
    assert config == recipe.load(str(recipe.shipped_directory() / f"{name}.py"))
    of_method = name.removeprefix("photos_").replace("_", "")
    assert of_method.startswith(type(config.method).__name__.lower())
    if hasattr(config.method, "augment"):
        assert config.method.augment.size == config.data.image_size


@pytest.mark.parametrize("name", NAMES)
def test_shipped_recipes_say_how_to_run_them(name):
    text = (recipe.shipped_directory() / f"{name}.py").read_text()
    assert f"Command: jaxssl pretrain {name} --out runs/" in text
    assert "Source: " in text


@pytest.mark.parametrize("name", NAMES)
def test_the_shipped_plan_is_one_that_can_be_run(name):
    """Warm-up shorter than the run, on the 60,000 images that the recipe is made for."""
    config = recipe.load(name)
    optimizers.build(config.optimizer, config.training.plan(60000 // config.training.batch_size))


# A long recipe is a short one with other numbers.
@pytest.mark.parametrize(
    "name",
    [parity.group(each, slow=[] if each.endswith("_long") else [each]) for each in NAMES],
)
@pytest.mark.usefixtures("standard_promotion")
def test_every_shipped_recipe_traces_a_step_at_its_own_size(name):
    """On eight devices and nothing compiled: sizes, encoder, method and optimizer fit together."""
    config = recipe.load(name)
    batch_size = config.training.batch_size
    source = data.from_columns(columns_like(config.data, batch_size))
    method = config.method
    if tokenizer.names(method):
        words = recipe.load("vq_autoencoder_fashion_mnist")
        method = method.with_tokenizer(words.method, words.encoder)
    config = dataclasses.replace(
        config,
        method=pretrain.prepare(method, source),
        training=dataclasses.replace(config.training, epochs=1000),
    )
    with data.Loader(source, batch_size=batch_size, seed=0) as loader:
        job = pretrain.build(config, source, loader)
        if not isinstance(config.data, data.TextData):
            side, channels = config.data.image_size, config.data.channels
            shape = f"{side} x {side} x {channels}"
            assert re.search(
                rf"\nviews {shape}.*, of \w+ [\dx ]*{shape}; the encoder's mean", job.about
            )
        state = jax.eval_shape(job.initial_state)
        after, metrics = jax.eval_shape(job.global_step, state, loader.batch(0))
    form = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), state)
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), after) == form
    assert all(metric.shape == () for metric in metrics.values())


def columns_like(config, count):
    """Random examples in the shape that a config of data gives."""
    random = np.random.default_rng(0)
    if isinstance(config, data.TextData):
        return {"tokens": random.integers(0, 256, (count, config.length), np.uint16)}
    side, channels = config.image_size, config.channels
    images = random.integers(0, 256, (count, side, side, channels), np.uint8)
    if isinstance(config, data.PairData):
        return {
            "image": images,
            "tokens": random.integers(0, 256, (count, config.length), np.uint16),
        }
    if config.num_frames == 1:
        return {"image": images}
    return {"video": np.stack([images] * config.num_frames, axis=1)}


# One of each kind of run: a ViT with frozen parameters, a split encoder with fitted statistics, a
# convolutional encoder.
@pytest.mark.parametrize(
    "name",
    [
        "split_brain_photographs",
        pytest.param("moco_v3_vit_fashion_mnist", marks=pytest.mark.slow),
        pytest.param("simclr_fashion_mnist", marks=pytest.mark.slow),
    ],
)
@pytest.mark.usefixtures("standard_promotion")
def test_a_shipped_recipe_runs_two_shrunken_steps(name, tmp_path):
    npz = tiny_runs.write_data(tmp_path / "tiny.npz")
    words = tiny_runs.words(name, npz, tmp_path / "run", "--training.epochs", 0.5,
                            "--optimizer.warmup-epochs", 0)  # fmt: skip
    assert cli.main(words) == 0
    rows = tiny_runs.rows(tmp_path / "run")
    assert [row["step"] for row in rows] == [1, 2]
    encoder = jaxssl.restore_encoder(tmp_path / "run")
    written = record.from_json(encoder.meta["config"])
    assert written.encoder == encoder.module.config
    images = tiny.images(2)[..., : encoder.inputs[0].shape[-1]]
    assert np.all(np.isfinite(encoder(images).pooled))


def test_an_installed_package_brings_the_recipes():
    package = importlib.import_module("jaxssl.recipes")
    assert Path(package.__file__).parent == recipe.shipped_directory()


LOAD = """
import sys
from importlib import machinery

# Not those of editable installs, which know where another checkout is.
sys.meta_path[:] = [machinery.BuiltinImporter, machinery.FrozenImporter, machinery.PathFinder]

from jaxssl.runs import recipe

assert recipe.load("simclr_fashion_mnist") == recipe.load(sys.argv[1])
print(recipe.shipped_directory(), recipe.shipped_directory())
"""


def test_a_checkout_that_is_not_installed_finds_them_too(tmp_path):
    """And a recipe that was copied to another place takes its blocks from there."""
    shutil.copytree(
        Path(jaxssl.__file__).parent,
        tmp_path / "jaxssl",
        ignore=shutil.ignore_patterns("recipes", "__pycache__"),
    )
    configs = tmp_path / "configs"
    shutil.copytree(recipe.shipped_directory(), configs)
    own = shutil.copy(configs / "simclr_fashion_mnist.py", tmp_path / "own.py")
    done = subprocess.run(
        [sys.executable, "-c", LOAD, own],
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        cwd=tmp_path,
        capture_output=True,
        text=True,
    )
    assert done.stdout.split() == [str(configs)] * 2, done.stderr


def test_the_beginning_of_one_name_is_enough(tmp_path, monkeypatch):
    assert recipe.load("jigsaw") == recipe.load("jigsaw_fashion_mnist")
    assert recipe.load("simclr_fashion_mnist_l") == recipe.load("simclr_fashion_mnist_long")
    monkeypatch.chdir(tmp_path)
    (tmp_path / "jigsaw").write_text("from jaxssl.runs import recipe\n\n\ndef get_config():\n"
                                     "    return recipe.load('mae_fashion_mnist')\n")  # fmt: skip
    assert recipe.load("jigsaw") == recipe.load("mae_fashion_mnist")
    for name in ("", "xyz"):
        with pytest.raises(recipe.NoRecipeError, match=f"got '{name}'. The shipped ones:"):
            recipe.load(name)


def test_what_recipes_share_is_no_recipe():
    with pytest.raises(FileNotFoundError, match=r"shipped one; got '_fashion_mnist'"):
        recipe.load("_fashion_mnist")
    with pytest.raises(ValueError, match=r"_fashion_mnist\.py: must define get_config"):
        recipe.load(str(recipe.shipped_directory() / "_fashion_mnist.py"))


def test_a_config_file_may_define_its_own_classes(tmp_path):
    """Their annotations are looked up in the module of the file, which must be found by name."""
    (tmp_path / "own.py").write_text(
        "from __future__ import annotations\n"
        "import dataclasses\n"
        "from jaxssl.runs import recipe\n"
        "from jaxssl.methods.rotation import Rotation\n\n"
        "@dataclasses.dataclass(frozen=True)\n"
        "class Own(Rotation):\n"
        "    strength: float = 1\n\n"
        "def get_config():\n"
        "    return dataclasses.replace(recipe.load('rotation_fashion_mnist'), method=Own())\n"
    )
    config = recipe.load(str(tmp_path / "own.py"))
    assert typing.get_type_hints(type(config.method))["strength"] is float
