"""Shipped recipes and recipes as JSON."""

import copy
import dataclasses
import importlib
import json
import typing
from pathlib import Path

import jax
import numpy as np
import pytest
import tiny
import tiny_runs

import jaxssl
from jaxssl import cli, data, jsonable, methods, models, parallel, pretraining, recipe
from jaxssl.augment import policies
from jaxssl.training import optimizers
from jaxssl.training import step as training_step

NAMES = tiny_runs.NAMES


@pytest.mark.parametrize("name", NAMES)
def test_shipped_recipes_are_the_same_by_name_and_by_path(name):
    config = recipe.load(name)
    assert isinstance(config, recipe.Recipe)
    assert config == recipe.load(str(recipe.shipped_directory() / f"{name}.py"))
    assert name.replace("_", "").startswith(type(config.method).__name__.lower())
    assert config.method.augment.size == config.data.image_size


@pytest.mark.parametrize("name", NAMES)
def test_shipped_recipes_say_how_to_run_them(name):
    text = (recipe.shipped_directory() / f"{name}.py").read_text()
    assert f"Command: jaxssl pretrain {name} --out runs/" in text
    assert "Source: " in text


@pytest.mark.parametrize("name", NAMES)
def test_shipped_recipes_survive_json(name):
    config = recipe.load(name)
    text = json.dumps(recipe.to_json(config))
    assert recipe.from_json(json.loads(text), methods.all_configs()) == config


@pytest.mark.parametrize("name", NAMES)
def test_the_shipped_plan_is_one_that_can_be_run(name):
    """Warm-up shorter than the run, on the 60,000 images that the recipe is made for."""
    config = recipe.load(name)
    steps = 60000 // config.training.batch_size
    plan = {
        "batch_size": config.training.batch_size,
        "steps_per_epoch": steps,
        "total_steps": round(config.training.epochs * steps),
    }
    optimizers.build(config.optimizer, **plan)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.usefixtures("standard_promotion")
def test_every_shipped_recipe_traces_a_step_at_its_own_size(name):
    """On eight devices and nothing compiled: sizes, encoder, method and optimizer fit together."""
    config = recipe.load(name)
    data_config, batch_size = config.data, config.training.batch_size
    side, channels = data_config.image_size, data_config.channels
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (batch_size, side, side, channels), dtype=np.uint8)
    source = data.from_arrays(images)
    kind = pretraining.fitted(config.method, source)
    method = kind.build(config.encoder.build(axis_name="data"), axis_name="data")
    optimizer = optimizers.build(
        config.optimizer,
        batch_size=batch_size,
        steps_per_epoch=100,
        total_steps=1000,
        freezes=method.frozen is not None,
    )
    batch = data.Loader(source, batch_size=batch_size, seed=0).batch(0)
    if data_config.num_frames > 1:
        batch["video"] = np.stack([batch.pop("image")] * data_config.num_frames, axis=1)
    one = jax.tree.map(lambda leaf: leaf[:1], batch)
    state = jax.eval_shape(lambda: training_step.init_state(method, optimizer, one, seed=0))
    step = training_step.make_step(method, optimizer, seed=0, axis_name="data")
    after, metrics = jax.eval_shape(parallel.shard_mapped(step, axis_name="data"), state, batch)
    form = jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), state)
    assert jax.tree.map(lambda leaf: (leaf.shape, leaf.dtype), after) == form
    assert all(metric.shape == () for metric in metrics.values())


# One of each kind of run: a ViT with frozen parameters, a split encoder with fitted statistics, a
# convolutional encoder.
@pytest.mark.parametrize(
    "name",
    [
        "moco_v3_vit_fashion_mnist",
        "split_brain_photographs",
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
    written = recipe.from_json(encoder.meta["config"], methods.all_configs())
    assert written.encoder == encoder.module.config
    images = tiny.images(2)[..., : encoder.meta["channels"]]
    assert np.all(np.isfinite(encoder(images).pooled))


def test_an_installed_package_brings_the_recipes():
    package = importlib.import_module("jaxssl.recipes")
    assert Path(package.__file__).parent == recipe.shipped_directory()


def test_a_checkout_that_is_not_installed_finds_them_too(monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    assert recipe.shipped_directory() == Path(recipe.__file__).parent.parent / "configs"
    assert NAMES == sorted(path.stem for path in recipe.shipped_directory().glob("[!_]*.py"))


def test_another_encoder_and_tuples_survive_json():
    config = dataclasses.replace(
        recipe.load("simclr_fashion_mnist"),
        encoder=models.ViTConfig(size="Ti", patch_size=4, mean=(0.1, 0.2, 0.3)),
        method=methods.all_configs()["MAE"](augment=policies.mae(size=8, crop_scale=(0.3, 0.9))),
    )
    written = json.loads(json.dumps(recipe.to_json(config)))
    assert written["encoder"]["name"] == "ViT"
    assert written["method"]["name"] == "MAE"
    assert recipe.from_json(written, methods.all_configs()) == config


def test_a_config_file_may_define_its_own_classes(tmp_path):
    """Their annotations are looked up in the module of the file, which must be found by name."""
    (tmp_path / "own.py").write_text(
        "from __future__ import annotations\n"
        "import dataclasses\n"
        "from jaxssl import recipe\n"
        "from jaxssl.methods.rotation import Rotation\n\n"
        "@dataclasses.dataclass(frozen=True)\n"
        "class Own(Rotation):\n"
        "    strength: float = 1\n\n"
        "def get_config():\n"
        "    return dataclasses.replace(recipe.load('rotation_fashion_mnist'), method=Own())\n"
    )
    config = recipe.load(str(tmp_path / "own.py"))
    assert typing.get_type_hints(type(config.method))["strength"] is float


def test_differing_fields_are_named_with_both_values():
    ours = {"a": 1, "b": {"c": 2, "d": [3]}, "e": None}
    theirs = {"a": 1, "b": {"c": 5, "d": [3]}, "f": True}
    assert recipe.differing_fields(ours, theirs) == ["b.c (2, 5)", "f (None, True)"]


def test_what_changes_no_number_does_not_make_another_run():
    config = recipe.load("mae_fashion_mnist")
    changed = dataclasses.replace(
        config,
        run=dataclasses.replace(config.run, log_every=3, backend="shard_map"),
        data=dataclasses.replace(config.data, num_threads=2),
    )
    kept = [recipe.without_run(recipe.to_json(each)) for each in (config, changed)]
    assert recipe.differing_fields(*kept) == []
    other = dataclasses.replace(config, training=dataclasses.replace(config.training, seed=4))
    kept = [recipe.without_run(recipe.to_json(each)) for each in (config, other)]
    assert recipe.differing_fields(*kept) == ["training.seed (0, 4)"]


def test_a_record_from_before_a_field_existed_has_its_default():
    config = recipe.load("mae_fashion_mnist")
    today = json.loads(json.dumps(recipe.to_json(config)))
    older = copy.deepcopy(today)
    del older["optimizer"]["constant_rate"]
    del older["method"]["fields"]["augment"]["flip_prob"]
    completed = recipe.completed(older, type(config.method))
    assert completed["optimizer"] == today["optimizer"]
    assert completed["method"]["fields"]["augment"]["flip_prob"] == 0.5


def test_a_record_that_cannot_be_read_stays_as_it_is():
    today = recipe.to_json(recipe.load("mae_fashion_mnist"))
    gone = today | {"optimizer": today["optimizer"] | {"gone": 1}}
    assert recipe.completed(gone, methods.all_configs()["MAE"]) == gone
    assert recipe.completed(gone, methods.all_configs()["SimCLR"]) == gone


def test_recorded_recipes_of_before_have_the_views_of_today():
    """What ``to_json`` gave for every shipped recipe when the fields of all views were flat."""
    recorded = json.loads((Path(__file__).parent / "recorded" / "recipes.json").read_text())
    kinds = methods.all_configs()
    for name, record in recorded.items():
        method = record["method"]
        augment = jsonable.from_json(kinds[method["name"]], method["fields"]).augment
        assert augment == recipe.load(name).method.augment, name
