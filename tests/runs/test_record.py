"""Recipes as JSON, of today and of before; what makes two runs the same run."""

import copy
import dataclasses
import json
from pathlib import Path

import pytest
import tiny_runs

from jaxssl import data, models
from jaxssl.augment import policies
from jaxssl.methods.mae import MAE
from jaxssl.runs import recipe, record

# What earlier versions recorded of the shipped recipes, a line each.
BEFORE = json.loads((Path(__file__).parents[1] / "recorded" / "recipes.json").read_text())


@pytest.mark.parametrize("name", tiny_runs.NAMES)
def test_shipped_recipes_survive_json(name):
    shipped = recipe.load(name)
    assert record.from_json(record.through_json(record.to_json(shipped))) == shipped


@pytest.mark.parametrize("name", BEFORE)
def test_records_of_before_are_the_recipes_of_today(name):
    """So that their runs are evaluated, looked at, and gone on with."""
    shipped, before = recipe.load(name), BEFORE[name]
    asked = record.through_json(record.to_json(shipped))
    if "crops" in asked["data"]["fields"]:
        asked["data"]["fields"]["crops"] = "device"  # what a run of data in memory records today
    asked["run"]["backend"] = "pmap"  # the default of before; it changes no number
    assert record.differing_fields(asked, record.complete(before, asked)) == []
    read = record.from_json(before)
    assert (read.method, read.encoder) == (shipped.method, shipped.encoder)
    assert read.data.open.__func__ is data.ImageData.open  # whichever of the kinds it is


def test_another_encoder_and_tuples_survive_json():
    own = dataclasses.replace(
        recipe.load("simclr_fashion_mnist"),
        encoder=models.ViTConfig(size="Ti", patch_size=4, mean=(0.1, 0.2, 0.3)),
        method=MAE(augment=policies.mae(size=8, crop_scale=(0.3, 0.9))),
    )
    written = record.through_json(record.to_json(own))
    assert written["encoder"]["name"] == "jaxssl.models.vit:ViTConfig"
    assert written["method"]["name"] == "jaxssl.methods.mae:MAE"
    assert record.from_json(written) == own


@dataclasses.dataclass(frozen=True)
class OwnWatcher:
    def build(self):
        raise AssertionError("nothing is built of a record")


def test_watchers_are_no_part_of_a_record():
    shipped = recipe.load("mae_fashion_mnist")
    run = dataclasses.replace(shipped.run, watchers=(OwnWatcher(),))
    watched = record.to_json(dataclasses.replace(shipped, run=run))
    assert watched == record.to_json(shipped)
    assert record.from_json(watched) == shipped


def test_differing_fields_are_named_with_both_values():
    ours = {"a": 1, "b": {"c": 2, "d": [3]}, "e": None}
    theirs = {"a": 1, "b": {"c": 5, "d": [3]}, "f": True}
    assert record.differing_fields(ours, theirs) == ["b.c (2, 5)", "f (None, True)"]


def test_what_changes_no_number_does_not_make_another_run():
    shipped = recipe.load("mae_fashion_mnist")
    changed = dataclasses.replace(
        shipped,
        run=dataclasses.replace(shipped.run, log_every=3, backend="shard_map"),
        data=dataclasses.replace(
            shipped.data, num_threads=2, num_workers=1, max_pixels=10**9, max_unreadable=0.5
        ),
    )
    kept = [record.without_run(record.to_json(each)) for each in (shipped, changed)]
    assert record.differing_fields(*kept) == []
    other = dataclasses.replace(shipped, training=dataclasses.replace(shipped.training, seed=4))
    kept = [record.without_run(record.to_json(each)) for each in (shipped, other)]
    assert record.differing_fields(*kept) == ["training.seed (0, 4)"]


def test_a_record_from_before_a_field_existed_has_its_default():
    today = record.through_json(record.to_json(recipe.load("mae_fashion_mnist")))
    older = copy.deepcopy(today)
    del older["optimizer"]["constant_rate"]
    del older["method"]["fields"]["normalize_target"]
    completed = record.complete(older, today)
    assert completed["optimizer"] == today["optimizer"]
    assert completed["method"]["fields"]["normalize_target"] is MAE().normalize_target


def test_a_record_that_cannot_be_read_stays_as_it_is():
    today = record.through_json(record.to_json(recipe.load("mae_fashion_mnist")))
    for gone in (
        today | {"optimizer": today["optimizer"] | {"gone": 1}},
        today | {"method": {"name": "jaxssl.methods.gone:Gone", "fields": {}}},
    ):
        assert record.complete(gone, today) == gone
